/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "worker.h"
#include "tdefs/threads.h"

void worker_init(struct worker *w, void (*job)(void *arg), void *arg)
{
	*w = (struct worker){ .job = job, .arg = arg };
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	cond_init_monotonic(&w->gone);
}

/* Wait for work; false: there will be none. */
static bool take_job(struct worker *w)
{
	LOCK_SCOPE(&w->lock);
	w->busy = false;
	while (!w->wanted && !w->ended)
		pthread_cond_wait(&w->wake, &w->lock);
	if (w->ended)
		return false;
	w->wanted = false;
	w->busy = true;
	return true;
}

/* True: nobody waits for this thread. */
static bool finish(struct worker *w)
{
	LOCK_SCOPE(&w->lock);
	w->finished = true;
	pthread_cond_signal(&w->gone);
	return w->left_behind;
}

static void *worker_loop(void *arg)
{
	struct worker *w = arg;

	while (take_job(w))
		w->job(w->arg);
	if (finish(w))
		w->left(w->arg);
	return NULL;
}

int worker_start(struct worker *w)
{
	int r = -pthread_create(&w->thread, NULL, worker_loop, w);

	w->started = r == 0;
	return r;
}

void worker_ask(struct worker *w)
{
	LOCK_SCOPE(&w->lock);
	w->wanted = true;
	pthread_cond_signal(&w->wake);
}

bool worker_is_idle(struct worker *w)
{
	LOCK_SCOPE(&w->lock);
	return !w->wanted && !w->busy;
}

/* Whether its thread has come to an end by then. */
static bool end_by(struct worker *w, const struct timespec *until, void (*left)(void *arg))
{
	int error = 0;
	LOCK_SCOPE(&w->lock);

	w->ended = true;
	pthread_cond_signal(&w->wake);
	while (!w->finished && error == 0)
		error = pthread_cond_timedwait(&w->gone, &w->lock, until);
	w->left = left;
	w->left_behind = !w->finished;
	return w->finished;
}

bool worker_stop_within(struct worker *w, uint64_t wait_ms, void (*left)(void *arg))
{
	const struct timespec until = monotonic_in(wait_ms);
	const pthread_t thread = w->thread; /* `w` may be gone once it is left behind */

	if (!w->started)
		return true;
	w->started = false;
	if (!end_by(w, &until, left)) {
		pthread_detach(thread);
		return false;
	}
	pthread_join(thread, NULL);
	return true;
}

void worker_stop(struct worker *w)
{
	{
		LOCK_SCOPE(&w->lock);
		w->ended = true;
		pthread_cond_signal(&w->wake);
	}
	if (w->started)
		pthread_join(w->thread, NULL);
	w->started = false;
}

void worker_release(struct worker *w)
{
	pthread_cond_destroy(&w->wake);
	pthread_cond_destroy(&w->gone);
	pthread_mutex_destroy(&w->lock);
}
