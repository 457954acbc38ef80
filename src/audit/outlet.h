/* SPDX-License-Identifier: Apache-2.0 */
/* What hook and webhook share: a queue, its lock, a thread that empties it, counts. */
#ifndef TDEFS_AUDIT_OUTLET_H
#define TDEFS_AUDIT_OUTLET_H

#include <pthread.h>

#include "event_queue.h"
#include "tdefs/outlets.h"

struct outlet {
	const char *kind; /* "hook" or "webhook" */
	char *volume;
	int wake_fd; /* eventfd: something of what the lock guards has changed */
	pthread_t thread;
	bool started;
	/*
	 * Guards all below; innermost (locks.h), held for a few instructions: the
	 * recorder's thread takes it for each event.
	 */
	pthread_mutex_t lock;
	struct event_queue queue;
	struct outlet_view view; /* but for `dropped` and `waiting` */
	bool busy;		 /* an event is being delivered */
	bool kicked;		 /* end a pause */
	bool stopping;
	uint64_t stop_at_ms; /* when stopping: the time to give up */
	uint64_t logged_at_ms;
};

int outlet_init(struct outlet *o, const char *kind, const char *volume) WARN_UNUSED;
int outlet_start(struct outlet *o, void *(*run)(void *), void *arg) WARN_UNUSED; /* once */
void outlet_stop(struct outlet *o);    /* a few seconds for what waits, then joins the thread */
void outlet_release(struct outlet *o); /* says how many events were not delivered */

void outlet_turn(struct outlet *o, bool on); /* off: what waits is dropped */
void outlet_kick(struct outlet *o);
void outlet_push(struct outlet *o, enum audit_rank rank, const char *line, size_t len);
void outlet_view(struct outlet *o, struct outlet_view *ret_view);

/* The thread's: */

/* Wait for an event, which is then the caller's. NULL: the end, or something to read at `fd`. */
struct event *outlet_next(struct outlet *o, int fd) WARN_UNUSED;

/* Wait for `fd` (or -1), a kick, the end or the time: poll's revents of `fd`. */
short outlet_wait(struct outlet *o, int fd, uint64_t wait_ms);

bool outlet_is_stopping(struct outlet *o);
bool outlet_is_over(void *outlet); /* stopping, and the time for what waits is over */

void outlet_sent(struct outlet *o);
/* An attempt failed: logged when it is the first, and then once in a while. */
void outlet_trouble(struct outlet *o, bool last, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Nothing can be delivered any more; what waits is dropped. */
void outlet_lost(struct outlet *o, const char *error);

#endif
