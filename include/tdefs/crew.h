/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crew: threads that go through a list of items together, as many as it takes.
 * Where one item hangs (a disk, a page that the kernel has locked), one more
 * thread goes on with the rest. Nothing here knows what an item is.
 */
#ifndef TDEFS_CREW_H
#define TDEFS_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/cleanup.h"

/* Any thread; `let_go` once for each item, after its visit or in place of it. */
struct crew_work {
	void (*visit)(void *arg, uint64_t item);
	void (*let_go)(void *arg, uint64_t item);
	void *arg;
};

struct crew;

/* Of `most` threads at most; none is started yet. NULL: no memory. */
struct crew *crew_new(unsigned most) WARN_UNUSED;

/*
 * Visit all of them; true: that is done. False: nothing has moved for
 * `patience_ms`. Who hangs then goes on hanging, and what was not begun is let
 * go; an item that hangs is not begun again by a later call. From one thread at a
 * time.
 */
bool crew_run(struct crew *crew, const struct crew_work *work, const uint64_t *items, size_t n,
	      uint64_t patience_ms) WARN_UNUSED;

/* Waits for the threads, those that hang, too. Accepts NULL. */
void crew_free(struct crew *crew);

#endif
