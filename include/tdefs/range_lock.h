/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on ranges of sectors: readers share, writers exclude, and ranges that
 * do not overlap never wait for each other. Requests are served in the order
 * they came, so nobody starves and two requests cannot wait for one another.
 */
#ifndef TDEFS_RANGE_LOCK_H
#define TDEFS_RANGE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define RANGE_END UINT64_MAX

/* One request, on the stack of the thread that made it. */
struct range {
	uint64_t first; /* sectors, inclusive */
	uint64_t last;
	bool exclusive;
	struct range *prev, *next;
};

struct range_lock {
	pthread_mutex_t lock; /* guards the list; innermost, held for a few instructions */
	pthread_cond_t released;
	struct range *oldest, *newest; /* holders and waiters, in order of arrival */
	unsigned waiters;
};

void range_lock_init(struct range_lock *rl);
void range_lock_destroy(struct range_lock *rl); /* nobody holds or waits */

/* Fill `r` and wait until no older overlapping request conflicts with it. */
void range_lock_shared(struct range_lock *rl, struct range *r, uint64_t first, uint64_t last);
void range_lock_exclusive(struct range_lock *rl, struct range *r, uint64_t first, uint64_t last);

void range_unlock(struct range_lock *rl, struct range *r);

#endif
