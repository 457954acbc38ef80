/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume's second vault: what both say together, and the daily proof that it
 * would do. Private to src/volume. Every function accepts NULL: there is none.
 *
 * Each question to it is asked by a thread of its own and waited for no longer
 * than it may take, so that one that hangs blinds nobody to the primary.
 */
#ifndef TDEFS_VOLUME_SECONDARY_H
#define TDEFS_VOLUME_SECONDARY_H

#include "volume_internal.h"

/* Who asks; each one question at a time. */
enum secondary_asker { ASKER_GUARD, ASKER_PROVER, ASKER_COUNT };

struct secondary {
	struct volume *volume;
	struct vault_watch watch;
	struct watched_vault *vault;
	pthread_t prover;
	bool started;

	/* Guards what follows; innermost, held for no call. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool busy[ASKER_COUNT];		   /* a question is at work, waited for or not */
	bool ended;			   /* nobody waits any more */
	bool up;			   /* the DEK is in memory: it may be proved */
	bool serves;			   /* the last grant was the secondary's */
	uint64_t due_ms;		   /* the next proof */
	bool another_key;		   /* since the proof at work began */
	bool found;			   /* `view.kid` is the key of `found_for` */
	uint8_t found_for[THUMBPRINT_LEN]; /* a thumbprint */
	struct secondary_view view;
};

/* Asks nobody. Without a "secondary" in the settings there is none, and that is no error. */
int secondary_open(struct volume *v, struct errmsg *reterr) WARN_UNUSED;
int secondary_start(struct secondary *s) WARN_UNUSED;
void secondary_end(struct secondary *s); /* nothing is asked or waited for any more */
/* After secondary_end(). False: a thread hangs with it and was left behind. */
bool secondary_stop(struct secondary *s) WARN_UNUSED;
void secondary_silence(struct secondary *s); /* see watched_vault_end() */
void secondary_close(struct secondary *s);

/* The guard's thread, after each step; does not block. */
void secondary_told(struct secondary *s, const struct guard *after);

/* The header has another key: prove at once that the secondary has it, too. */
void secondary_look_again(struct secondary *s);

/* One question, for at most `wait_ms`; `ret_dek` NULL: a probe. */
enum vault_verdict secondary_ask(struct secondary *s, enum secondary_asker asker, uint64_t wait_ms,
				 struct secret **ret_dek, struct vault_report *ret_report);

/* Under its lock: until something changes, at most so long. */
void secondary_wait(struct secondary *s, uint64_t wait_ms);

/* It does not do, for the reason in the report; told of once. */
void secondary_is_broken(struct secondary *s, const struct vault_report *report);
/* It unwraps the DEK. */
void secondary_is_proved(struct secondary *s);

/* The prover's thread. */
void *secondary_prove_daily(void *arg);

#endif
