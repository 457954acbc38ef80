/* SPDX-License-Identifier: Apache-2.0 */
/* A recorder's state: its queue (queue.c), its thread (recorder.c), its life (audit.c). */
#ifndef TDEFS_AUDIT_RECORDER_H
#define TDEFS_AUDIT_RECORDER_H

#include <pthread.h>

#include "audit_internal.h"

#define MINOR_BURST 60

struct entry {
	struct entry *next;
	enum audit_weight weight;
	bool told; /* sinks have heard it, while the log was failing */
	uint64_t time_ms;
	char event[AUDIT_EVENT_MAX];
	char *members;
};

struct queue {
	struct entry *first, **end;
	size_t n, of_rank[AUDIT_RANKS];
};

struct audit {
	struct audit_log log;
	char *event_dir, *state_dir, *volume;
	struct audit_sink *sinks;
	size_t nsinks;
	uint64_t anchor_interval_ms, retry_ms, close_wait_ms;
	pthread_t thread;

	struct audit_batch batch; /* the thread's own */
	struct entry *taken[AUDIT_BATCH];

	pthread_mutex_t lock; /* guards what follows; innermost; around no call out */
	pthread_cond_t wake;  /* of the thread */
	pthread_cond_t ended; /* done, or no longer in a sink */
	struct queue queue;
	size_t ntaken;
	uint64_t allowance, refilled_ms;		    /* of minor events */
	uint64_t dropped[2], untold_drops[2], drops_due_ms; /* by weight */
	uint64_t anchor_due_ms, retry_due_ms;
	uint64_t writing_since_ms; /* 0: not at it */
	bool failing, closing, in_sinks, abandoned, done;
	uint64_t failing_since;
	char error[1024];
	struct audit_link head;
};

uint64_t audit_monotonic_ms(void);

void audit_entry_free(struct entry *e); /* accepts NULL */
/* The first, which there is, taken out. */
struct entry *audit_queue_shift(struct queue *q);
void audit_queue_unshift(struct queue *q, struct entry *e);

/* Until a time of audit_monotonic_ms(), or for ever with UINT64_MAX; may return early. */
void audit_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t due_ms);

/* The thread; `arg` is the struct audit. */
void *audit_recorder(void *arg);
/* Of a struct whose thread has ended or never started; accepts NULL. */
void audit_free(struct audit *a);

#endif
