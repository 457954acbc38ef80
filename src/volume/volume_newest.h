/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the protector's key has a newer version than the one in use: asked
 * each rotation_poll by a thread and a vault handle of its own, so that no
 * probe waits for it, and told of; it never changes the volume's state. What
 * rotation by itself does about it is volume_auto.c's, on the same thread. Private to
 * src/volume. Every function accepts NULL.
 */
#ifndef TDEFS_VOLUME_NEWEST_H
#define TDEFS_VOLUME_NEWEST_H

#include "volume_auto.h"
#include "volume_internal.h"

struct newest {
	struct volume *volume;
	struct vault_watch watch;
	pthread_t thread;
	bool started;

	/* Its thread's alone: whom it asks, about which key. */
	struct volume_key *of;	     /* the key in force that the next two are of; NULL: none yet */
	struct watched_vault *vault; /* NULL: that key has no versions */
	char kid[KID_MAX + 1];	     /* that key, without a version; "": the same */
	struct watched_vault *second; /* the secondary; NULL: there is none */

	/* Guards what follows; innermost, held for no call. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ended;		/* nobody wants to know any more */
	bool done;		/* its thread asks nobody any more */
	bool up;		/* the DEK is in memory: only then it could be wrapped anew */
	bool asked;		/* at `asked_ms`, by the boot clock */
	uint64_t asked_ms;	/* the next time is `pause_ms` later */
	uint64_t pause_ms;	/* 0: never */
	char told[KID_MAX + 1]; /* the newer version that was told of last */
	struct newest_view view;
	struct auto_rotation by_itself;
};

/* Asks nobody. A protector in a file has no versions, and that is no error. */
int newest_open(struct volume *v, struct errmsg *reterr) WARN_UNUSED;
int newest_start(struct newest *n) WARN_UNUSED;
void newest_end(struct newest *n); /* nothing is asked any more */
/* After newest_end(). False: its thread hangs with the vault and was left behind. */
bool newest_stop(struct newest *n) WARN_UNUSED;
void newest_silence(struct newest *n); /* see watched_vault_end() */
void newest_close(struct newest *n);

/* The guard's thread, after each step; does not block. */
void newest_told(struct newest *n, const struct guard *after);
/* The header has another key: what was known is of the one before. */
void newest_look_again(struct newest *n);
/* rotation_poll and auto_rotate as they were read again. */
void newest_set(struct newest *n, const struct settings *settings);
/* The protector as tdefs.conf names it now. */
void newest_note_protector(struct newest *n, const char *protector);

#endif
