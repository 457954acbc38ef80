/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vaults as this project opens them, wherever a volume's key is used: in the
 * daemon and in tdefsctl. What is asked of one is told to all who keep account
 * of it, in one place (volume_vault.c): no key is used unseen.
 */
#ifndef TDEFS_VOLUME_VAULT_H
#define TDEFS_VOLUME_VAULT_H

#include "tdefs/vault_counts.h"

struct audit;

/* Who is told of the use of a vault; outlives it. */
struct vault_watch {
	const char *volume;	     /* its name, or what else names it in events */
	struct audit *audit;	     /* the event log; NULL: none */
	const char *by;		     /* what makes the calls, in events; NULL: not said */
	const char *probe_by;	     /* what makes those that are probes; NULL: "probe" */
	struct vault_counts *counts; /* NULL: nobody counts */
};

struct watched_vault;

/* As vault_open(). Contacts nobody. */
int watched_vault_open(const struct vault_watch *watch, const char *kid,
		       const struct settings *settings, const struct clock *clock,
		       struct watched_vault **ret_vault, struct errmsg *reterr) WARN_UNUSED;
void watched_vault_close(struct watched_vault *w); /* accepts NULL */

/*
 * Tell of what was not told yet; from now on nobody is told in the event log. For
 * one that cannot be closed, because a thread still waits for its answer.
 */
void watched_vault_end(struct watched_vault *w); /* accepts NULL */

/* The vault itself, for whoever asks it; it is thread-safe, as vaults are. */
struct vault *watched_vault_of(const struct watched_vault *w);

/*
 * What the calling thread asks from now on, until watched_vault_probed(), is
 * probes: those that are granted are many, and are told of in sum. One thread
 * at a time.
 */
void watched_vault_probing(struct watched_vault *w);
void watched_vault_probed(struct watched_vault *w);

static inline void cleanup_watched_vault_(struct watched_vault **w)
{
	watched_vault_close(*w);
}
#define CLEANUP_WATCHED_VAULT CLEANUP(cleanup_watched_vault_)

#endif
