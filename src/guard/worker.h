/* SPDX-License-Identifier: Apache-2.0 */
/* A thread with one job at a time. Private to src/guard. */
#ifndef TDEFS_GUARD_WORKER_H
#define TDEFS_GUARD_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "tdefs/cleanup.h"

struct worker {
	pthread_t thread;
	bool started;
	void (*job)(void *arg);	 /* what it does each time it is asked */
	void (*left)(void *arg); /* the last it does when it was left behind */
	void *arg;

	pthread_mutex_t lock; /* guards what follows; innermost */
	pthread_cond_t wake;
	pthread_cond_t gone;
	bool wanted, busy, ended, finished, left_behind;
};

void worker_init(struct worker *w, void (*job)(void *arg), void *arg);
int worker_start(struct worker *w) WARN_UNUSED;
/* Do the job once more, after what it is doing now if it is. */
void worker_ask(struct worker *w);
bool worker_is_idle(struct worker *w);
void worker_stop(struct worker *w); /* after its job; also when it never started */
/*
 * The same, but no longer than that. False: its job hangs, and its thread is left
 * behind: whatever it may touch must stay until it has called left().
 */
bool worker_stop_within(struct worker *w, uint64_t wait_ms, void (*left)(void *arg)) WARN_UNUSED;
void worker_release(struct worker *w);

#endif
