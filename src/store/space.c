/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space that is about to come back: files without a name that nobody has open,
 * kept by their descriptor only until the kernel forgets them, a moment later.
 * On ext4 unlink(2) frees them before it returns; here a write that finds the
 * disk full waits for them, and is tried once more: they may also have come back
 * while it was being refused.
 */
#include <time.h>

#include "node.h"
#include "tdefs/threads.h"

#define WAIT_MS 1000 /* who looked a file up may keep it: not for ever */

void space_init(struct store *s)
{
	pthread_mutex_init(&s->space_lock, NULL);
	cond_init_monotonic(&s->space_back);
}

void space_release(struct store *s)
{
	pthread_cond_destroy(&s->space_back);
	pthread_mutex_destroy(&s->space_lock);
}

void space_expect(struct store *s, struct node *n, bool expected)
{
	if (n->space_expected == expected)
		return;
	n->space_expected = expected;
	LOCK_SCOPE(&s->space_lock);
	if (expected)
		s->space_expected++;
	else if (--s->space_expected == 0)
		pthread_cond_broadcast(&s->space_back);
}

void space_wait(struct store *s)
{
	struct timespec until;
	LOCK_SCOPE(&s->space_lock);

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_MS / 1000;
	while (s->space_expected > 0)
		if (pthread_cond_timedwait(&s->space_back, &s->space_lock, &until) != 0)
			break;
}
