/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "worker.h"

void worker_init(struct worker *w, void (*job)(void *arg), void *arg)
{
	*w = (struct worker){ .job = job, .arg = arg };
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
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

static void *worker_loop(void *arg)
{
	struct worker *w = arg;

	while (take_job(w))
		w->job(w->arg);
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
	pthread_mutex_destroy(&w->lock);
}
