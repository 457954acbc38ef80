/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder's thread: it empties the queue into the log and the sinks. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "recorder.h"
#include "tdefs/log.h"

#define DROPS_TOLD_MS 60000 /* at most so often */

void audit_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t due_ms)
{
	const struct timespec t = { (time_t)(due_ms / 1000), (long)(due_ms % 1000) * 1000000 };

	if (due_ms == UINT64_MAX)
		pthread_cond_wait(cond, lock);
	else
		IGNORE_RESULT(pthread_cond_timedwait(cond, lock, &t), "the caller looks again");
}

/* What it has to do now; all of it under the lock. */
static bool has_untold(const struct audit *a)
{
	for (const struct entry *e = a->queue.first; e; e = e->next)
		if (!e->told)
			return true;
	return false;
}

static bool drops_are_due(const struct audit *a, uint64_t now)
{
	return (a->untold_drops[0] || a->untold_drops[1]) && !a->failing &&
	       (a->closing || now >= a->drops_due_ms);
}

static bool anchor_is_due(const struct audit *a, uint64_t now)
{
	return a->anchor_interval_ms && !a->failing && now >= a->anchor_due_ms;
}

static bool write_is_due(const struct audit *a, uint64_t now)
{
	return a->failing ? now >= a->retry_due_ms : a->queue.n > 0;
}

/* When time alone will give it something to do. */
static uint64_t next_due(const struct audit *a)
{
	uint64_t due = a->failing ? a->retry_due_ms : UINT64_MAX;

	if (a->failing)
		return due;
	if (a->anchor_interval_ms)
		due = a->anchor_due_ms;
	if ((a->untold_drops[0] || a->untold_drops[1]) && a->drops_due_ms < due)
		due = a->drops_due_ms;
	return due;
}

/* False: it is to end. */
static bool wait_for_work(struct audit *a)
{
	LOCK_SCOPE(&a->lock);
	while (!a->closing) {
		uint64_t now = audit_monotonic_ms();

		if (write_is_due(a, now) || anchor_is_due(a, now) || drops_are_due(a, now) ||
		    (a->failing && has_untold(a)))
			return true;
		audit_wait_until(&a->wake, &a->lock, next_due(a));
	}
	return false;
}

/* Events of the recorder itself; `closing` counts as due. */
static void record_own(struct audit *a)
{
	uint64_t now = audit_monotonic_ms(), major = 0, minor = 0;
	bool anchor;

	{
		LOCK_SCOPE(&a->lock);
		anchor = anchor_is_due(a, now) ||
			 (a->closing && a->anchor_interval_ms && !a->failing);
		if (anchor)
			a->anchor_due_ms = now + a->anchor_interval_ms;
		if (drops_are_due(a, now)) {
			major = a->untold_drops[AUDIT_MAJOR];
			minor = a->untold_drops[AUDIT_MINOR];
			a->untold_drops[AUDIT_MAJOR] = a->untold_drops[AUDIT_MINOR] = 0;
			a->drops_due_ms = now + DROPS_TOLD_MS;
		}
	}
	if (major || minor)
		audit_record(a, AUDIT_MAJOR, "events_dropped",
			     json_pack("{s:I, s:I}", "major", (json_int_t)major, "minor",
				       (json_int_t)minor));
	if (anchor)
		audit_record(a, AUDIT_MAJOR, "anchor", NULL);
}

static void take_batch(struct audit *a)
{
	struct audit_batch *b = &a->batch;
	LOCK_SCOPE(&a->lock);

	for (b->nitems = 0; b->nitems < AUDIT_BATCH && a->queue.n > 0; b->nitems++) {
		struct entry *e = audit_queue_shift(&a->queue);

		a->taken[b->nitems] = e;
		b->items[b->nitems] = (struct audit_item){ .weight = e->weight,
							   .event = e->event,
							   .time_ms = e->time_ms,
							   .members = e->members };
	}
	a->ntaken = b->nitems;
	a->writing_since_ms = audit_monotonic_ms();
}

/* Sinks are called with no lock held, and audit_close() waits meanwhile. False: no more. */
static bool enter_sinks(struct audit *a)
{
	LOCK_SCOPE(&a->lock);
	a->in_sinks = !a->abandoned;
	return a->in_sinks;
}

static void leave_sinks(struct audit *a)
{
	LOCK_SCOPE(&a->lock);
	a->in_sinks = false;
	pthread_cond_signal(&a->ended);
}

static void send_line(struct audit *a, const struct audit_item *item, const char *line, size_t len)
{
	for (size_t i = 0; i < a->nsinks; i++)
		a->sinks[i].send(a->sinks[i].arg, item->weight, item->event, line, len);
}

static void send_batch(struct audit *a)
{
	const struct audit_batch *b = &a->batch;

	if (!enter_sinks(a))
		return;
	for (size_t i = 0; i < b->nnotes; i++)
		send_line(a, &b->notes[i], b->text + b->notes[i].line_off, b->notes[i].line_len);
	for (size_t i = 0; i < b->nitems; i++)
		if (!a->taken[i]->told)
			send_line(a, &b->items[i], b->text + b->items[i].line_off,
				  b->items[i].line_len);
	leave_sinks(a);
}

/* The log does not take them: sinks hear of events that wait, without their place in the chain. */
static void send_unwritten(struct audit *a)
{
	CLEANUP_FREE char *line = malloc(AUDIT_LINE_MAX);

	if (!line || !enter_sinks(a))
		return;
	for (;;) {
		char event[AUDIT_EVENT_MAX];
		struct audit_item item;
		struct entry *e;
		int n = -ENOENT;

		{
			LOCK_SCOPE(&a->lock);
			for (e = a->queue.first; e && e->told; e = e->next)
				;
			if (e) {
				e->told = true;
				memcpy(event, e->event, sizeof(event));
				item = (struct audit_item){ .weight = e->weight,
							    .event = event,
							    .time_ms = e->time_ms,
							    .members = e->members };
				n = audit_line_print(line, a->volume, &item, NULL);
			}
		}
		if (!e)
			break;
		if (n > 0)
			send_line(a, &item, line, (size_t)n);
	}
	leave_sinks(a);
}

/* The batch is in the log, or goes back to where it was. Whether it failed just now. */
static bool settle_batch(struct audit *a, int r, const struct errmsg *err)
{
	LOCK_SCOPE(&a->lock);
	bool was_failing = a->failing;

	for (size_t i = a->ntaken; i-- > 0;) {
		if (a->batch.written)
			audit_entry_free(a->taken[i]);
		else
			audit_queue_unshift(&a->queue, a->taken[i]);
	}
	a->ntaken = 0;
	a->writing_since_ms = 0;
	if (a->batch.written)
		a->head = a->batch.head;
	a->failing = r < 0;
	if (a->failing) {
		(void)snprintf(a->error, sizeof(a->error), "%s", err->text);
		a->retry_due_ms = audit_monotonic_ms() + a->retry_ms;
		if (!was_failing)
			a->failing_since = audit_now_ms() / 1000;
	}
	return a->failing && !was_failing;
}

static void write_batch(struct audit *a)
{
	struct errmsg err = { 0 };
	int r;

	take_batch(a);
	r = audit_log_append(&a->log, &a->batch, &err);
	if (a->batch.written)
		send_batch(a);
	if (settle_batch(a, r, &err))
		log_error("%s: %s; events wait", a->volume, err.text);
}

static bool is_failing(struct audit *a)
{
	LOCK_SCOPE(&a->lock);
	return a->failing;
}

static bool write_now(struct audit *a)
{
	LOCK_SCOPE(&a->lock);
	return a->closing ? a->queue.n > 0 : write_is_due(a, audit_monotonic_ms());
}

static void work(struct audit *a)
{
	bool was_failing = is_failing(a);

	record_own(a);
	if (write_now(a))
		write_batch(a);
	if (is_failing(a))
		send_unwritten(a);
	else if (was_failing) {
		log_info("%s: the event log is written again", a->volume);
		audit_record(a, AUDIT_MAJOR, "log_recovered",
			     json_pack("{s:I, s:s}", "failing_since", (json_int_t)a->failing_since,
				       "error", a->error));
	}
}

static bool has_more(struct audit *a)
{
	LOCK_SCOPE(&a->lock);
	return a->queue.n > 0 && !a->failing;
}

/* What waits, the drops and the last anchor; one more try when it does not work. */
static void finish(struct audit *a)
{
	if (is_failing(a))
		work(a);
	record_own(a);
	while (has_more(a))
		write_batch(a);
	if (is_failing(a))
		work(a);
	while (has_more(a))
		write_batch(a);
}

void *audit_recorder(void *arg)
{
	struct audit *a = arg;
	bool abandoned;

	while (wait_for_work(a))
		work(a);
	finish(a);
	{
		LOCK_SCOPE(&a->lock);
		abandoned = a->abandoned;
		a->done = true;
		pthread_cond_signal(&a->ended);
	}
	if (abandoned)
		audit_free(a);
	return NULL;
}
