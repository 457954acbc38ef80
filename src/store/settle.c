/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that were closed before their writes were safe. Closing their
 * descriptors could lose the only report of a write-back error, so they stay
 * open until a thread has pushed their data to the disk a little later; an
 * error is then latched and the file stays, for its next fsync to report.
 */
#include <errno.h>
#include <sys/resource.h>
#include <time.h>

#include "node.h"
#include "tdefs/threads.h"

#define SETTLE_DELAY_MS 5000 /* files that are written again soon are not pushed twice */
#define SETTLE_MOST	4096 /* beyond this many, the oldest do not wait */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void settle_queue(struct store *s, struct node *n)
{
	LOCK_SCOPE(&s->settle_lock);

	if (n->settle_queued)
		return;
	node_hold(s, n);
	n->settle_queued = true;
	n->settle_next = NULL;
	n->settle_at_ms = now_ms() + SETTLE_DELAY_MS;
	if (s->settle_newest)
		s->settle_newest->settle_next = n;
	else
		s->settle_oldest = n;
	s->settle_newest = n;
	s->settle_count++;
	pthread_cond_signal(&s->settle_wake);
}

bool settle_is_full(struct store *s)
{
	LOCK_SCOPE(&s->settle_lock);

	return s->settle_count > 2 * s->settle_most;
}

/* Wait until the oldest is due, under settle_lock; false when the store closes. */
static bool wait_until_due(struct store *s)
{
	while (!s->settle_stop) {
		struct timespec until;
		int64_t at;

		if (!s->settle_oldest) {
			pthread_cond_wait(&s->settle_wake, &s->settle_lock);
			continue;
		}
		at = s->settle_oldest->settle_at_ms;
		if (s->settle_count > s->settle_most || at <= now_ms())
			return true;
		until = (struct timespec){ at / 1000, at % 1000 * 1000000 };
		pthread_cond_timedwait(&s->settle_wake, &s->settle_lock, &until);
	}
	return false;
}

static struct node *take_oldest(struct store *s)
{
	struct node *n;
	LOCK_SCOPE(&s->settle_lock);

	if (!wait_until_due(s))
		return NULL;
	n = s->settle_oldest;
	s->settle_oldest = n->settle_next;
	if (!s->settle_oldest)
		s->settle_newest = NULL;
	s->settle_count--;
	n->settle_queued = false;
	return n;
}

static void settle(struct store *s, struct node *n)
{
	bool idle;

	pthread_mutex_lock(&n->lock);
	idle = n->file && n->opens == 0;
	if (idle)
		n->opens++; /* open again, or gone: its last close will see to it */
	pthread_mutex_unlock(&n->lock);
	if (idle) {
		file_settle(n->file);
		node_file_put(s, n, false);
	}
}

static void *settle_loop(void *arg)
{
	struct store *s = arg;
	struct node *n;

	while ((n = take_oldest(s))) {
		settle(s, n);
		node_unhold(s, n);
	}
	return NULL;
}

int settle_start(struct store *s)
{
	struct rlimit limit;

	s->settle_most = SETTLE_MOST;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 8 < SETTLE_MOST)
		s->settle_most = limit.rlim_cur / 8;
	pthread_mutex_init(&s->settle_lock, NULL);
	cond_init_monotonic(&s->settle_wake);
	return -pthread_create(&s->settle_thread, NULL, settle_loop, s);
}

void settle_stop(struct store *s)
{
	{
		LOCK_SCOPE(&s->settle_lock);
		s->settle_stop = true;
		pthread_cond_signal(&s->settle_wake);
	}
	pthread_join(s->settle_thread, NULL);
	pthread_cond_destroy(&s->settle_wake);
	pthread_mutex_destroy(&s->settle_lock);
}
