/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/crew.h"
#include "tdefs/threads.h"

#include <time.h>

#define LOOK_AGAIN_MS 20u

/* One call of crew_run(); whoever hangs with it may outlive the call. */
struct job {
	struct crew_work work;
	size_t n, next, done;
	unsigned users;
	uint64_t items[];
};

struct crew {
	pthread_mutex_t lock; /* guards what follows, and the jobs; innermost */
	pthread_cond_t moved;
	unsigned threads;
	unsigned most;
	struct hand {
		bool busy;
		uint64_t item;
	} hands[]; /* what each thread is at */
};

struct crew *crew_new(unsigned most)
{
	struct crew *c = calloc(1, sizeof(*c) + most * sizeof(c->hands[0]));

	if (!c)
		return NULL;
	c->most = most;
	pthread_mutex_init(&c->lock, NULL);
	cond_init_monotonic(&c->moved);
	return c;
}

/* Under the lock. */
static void job_put(struct job *job)
{
	if (--job->users == 0)
		free(job);
}

/* Under the lock: a hand for the next item; NULL: none is left to begin. */
static struct hand *take_item(struct crew *c, struct job *job)
{
	struct hand *hand = c->hands;

	if (job->next == job->n)
		return NULL;
	while (hand->busy) /* there are no more threads than hands */
		hand++;
	*hand = (struct hand){ .busy = true, .item = job->items[job->next++] };
	return hand;
}

/* Under the lock, which is let go of meanwhile. */
static void do_items(struct crew *c, struct job *job)
{
	struct hand *hand;

	while ((hand = take_item(c, job))) {
		pthread_mutex_unlock(&c->lock);
		job->work.visit(job->work.arg, hand->item);
		job->work.let_go(job->work.arg, hand->item);
		pthread_mutex_lock(&c->lock);
		hand->busy = false;
		job->done++;
		pthread_cond_broadcast(&c->moved);
	}
}

struct member {
	struct crew *crew;
	struct job *job;
};

static void *work(void *arg)
{
	struct member m = *(struct member *)arg;

	free(arg);
	LOCK_SCOPE(&m.crew->lock);
	do_items(m.crew, m.job);
	job_put(m.job);
	m.crew->threads--;
	pthread_cond_broadcast(&m.crew->moved);
	return NULL;
}

/* Under the lock. False: it could not be started. */
static bool add_thread(struct crew *c, struct job *job)
{
	struct member *m = malloc(sizeof(*m));

	if (!m)
		return false;
	*m = (struct member){ c, job };
	if (thread_start_detached(work, m) < 0) {
		free(m);
		return false;
	}
	c->threads++;
	job->users++;
	return true;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Under the lock: until something moves, or for a moment. */
static void wait_for_move(struct crew *c)
{
	uint64_t until = now_ms() + LOOK_AGAIN_MS;
	const struct timespec t = { (time_t)(until / 1000), (long)(until % 1000) * 1000000 };

	IGNORE_RESULT(pthread_cond_timedwait(&c->moved, &c->lock, &t), "the caller looks");
}

/* Under the lock: as many threads as it takes. */
static void see_through(struct crew *c, struct job *job, uint64_t patience_ms)
{
	uint64_t moved_ms = now_ms();
	size_t before = job->done;

	while (job->done < job->n && now_ms() - moved_ms <= patience_ms) {
		/* The first, or all that are at work hang. */
		if (job->next < job->n && job->done == before && c->threads < c->most &&
		    !add_thread(c, job) && c->threads == 0)
			return;
		before = job->done;
		wait_for_move(c);
		if (job->done != before)
			moved_ms = now_ms();
	}
}

/* Under the lock: does an earlier job hang with it? */
static bool is_in_hand(const struct crew *c, uint64_t item)
{
	for (unsigned i = 0; i < c->most; i++)
		if (c->hands[i].busy && c->hands[i].item == item)
			return true;
	return false;
}

/* Under the lock: what can be begun; the others come first, from `items[0]` to [*ret_skipped]. */
static struct job *job_new(const struct crew *c, const struct crew_work *work_,
			   const uint64_t *items, size_t n, size_t *ret_skipped)
{
	struct job *job = malloc(sizeof(*job) + n * sizeof(items[0]));
	size_t skipped = 0, at;

	if (!job)
		return NULL;
	*job = (struct job){ .work = *work_, .n = n, .users = 1 };
	for (size_t i = 0; i < n; i++)
		if (is_in_hand(c, items[i]))
			job->items[skipped++] = items[i];
	at = skipped;
	for (size_t i = 0; i < n; i++)
		if (!is_in_hand(c, items[i]))
			job->items[at++] = items[i];
	job->next = job->done = skipped;
	*ret_skipped = skipped;
	return job;
}

static void let_go(const struct crew_work *work_, const uint64_t *items, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		work_->let_go(work_->arg, items[i]);
}

bool crew_run(struct crew *c, const struct crew_work *work_, const uint64_t *items, size_t n,
	      uint64_t patience_ms)
{
	size_t skipped, begun;
	struct job *job;
	bool all;

	pthread_mutex_lock(&c->lock);
	job = job_new(c, work_, items, n, &skipped);
	if (!job) {
		pthread_mutex_unlock(&c->lock);
		let_go(work_, items, 0, n);
		return false;
	}
	see_through(c, job, patience_ms);
	all = job->done == n && skipped == 0;
	begun = job->next;
	job->next = n; /* nobody begins another */
	pthread_mutex_unlock(&c->lock);
	let_go(work_, job->items, 0, skipped);
	let_go(work_, job->items, begun, n);
	pthread_mutex_lock(&c->lock);
	job_put(job);
	pthread_mutex_unlock(&c->lock);
	return all;
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	while (c->threads > 0)
		pthread_cond_wait(&c->moved, &c->lock);
	pthread_mutex_unlock(&c->lock);
	pthread_cond_destroy(&c->moved);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
