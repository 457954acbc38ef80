/* SPDX-License-Identifier: Apache-2.0 */
/* What pthreads(7) make long: waits with a limit, and threads that nobody joins. */
#ifndef TDEFS_THREADS_H
#define TDEFS_THREADS_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "tdefs/cleanup.h"

/* A condition whose deadlines are CLOCK_MONOTONIC's: setting the clock moves none. */
void cond_init_monotonic(pthread_cond_t *cond);

/* The deadline for it that is `wait_ms` from now. */
struct timespec monotonic_in(uint64_t wait_ms);

/* Start a thread that nobody joins: 0, or a negative errno. */
int thread_start_detached(void *(*run)(void *arg), void *arg) WARN_UNUSED;

#endif
