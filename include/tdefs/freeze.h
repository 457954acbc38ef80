/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding back what would change a volume's backing, for a snapshot of it.
 * Whoever serves the volume asks freeze_enter() with each such request as it
 * came, before anything is done about it: while the volume is held the request
 * is copied and queued, so that it keeps no thread; once it is let go one
 * thread carries all of them out, in their order. Knows no FUSE.
 */
#ifndef TDEFS_FREEZE_H
#define TDEFS_FREEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/cleanup.h"

/* What ended a freeze, in words that are user-visible and stable. */
enum freeze_end {
	FREEZE_NOT_ENDED,
	FREEZE_THAWED,	/* thaw: the only end at which a snapshot taken meanwhile is known good */
	FREEZE_TIME,	/* its time was over */
	FREEZE_STATE,	/* the volume is not online any more */
	FREEZE_UNMOUNT, /* it is being unmounted */
	FREEZE_MEMORY,	/* there was no room for more requests */
	FREEZE_FAILED,	/* what was written before could not be made durable */
};
const char *freeze_end_name(enum freeze_end end);

#define FREEZE_HELD_MAX (256u << 20) /* bytes of requests; more end the freeze */

struct freeze;

struct freeze *freeze_new(void) WARN_UNUSED; /* NULL: no memory */
void freeze_free(struct freeze *f);	     /* accepts NULL; wipes what is still queued */

/*
 * Around a request that changes the backing. True: carry it out, then
 * freeze_leave(). False: it was kept, and will be. Any thread.
 */
bool freeze_enter(struct freeze *f, const void *request, size_t len) WARN_UNUSED;
void freeze_leave(struct freeze *f);

/* The same around a change that is no request: false, it is held, and nothing was entered. */
bool freeze_try_enter(struct freeze *f) WARN_UNUSED;

/*
 * For a thread that keeps its request itself, once freeze_try_enter() was false:
 * wait until nothing is held. It counts among the requests that wait.
 */
void freeze_wait_behind(struct freeze *f);

/* Hold from now on. What has entered before can be waited for: false, it has not left in time. */
void freeze_hold(struct freeze *f);
bool freeze_wait_for_others(struct freeze *f, uint64_t wait_ms) WARN_UNUSED;

/* Wait until it ends, by another thread or in `wait_ms`. The end. */
enum freeze_end freeze_wait(struct freeze *f, uint64_t wait_ms);

/*
 * Let go, for this reason: the first counts. Never blocks; -EALREADY when nothing is held. What was
 * queued is carried out by freeze_serve(), `wipe`d and freed.
 */
int freeze_end(struct freeze *f, enum freeze_end by);
bool freeze_is_held(struct freeze *f);
enum freeze_end freeze_ended_by(struct freeze *f); /* the last one */
uint64_t freeze_count(struct freeze *f);	   /* requests that are queued, or wait behind it */
uint64_t freeze_held(struct freeze *f);		   /* the same, when the last one ended */

/* Carry out what was queued, until there is none. After the end, by one thread. */
void freeze_serve(struct freeze *f, void (*serve)(void *arg, void *request, size_t len), void *arg);

#endif
