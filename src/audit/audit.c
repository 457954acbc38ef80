/* SPDX-License-Identifier: Apache-2.0 */
/* A recorder's life: opening, viewing, closing. */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>

#include "recorder.h"
#include "tdefs/threads.h"

#define DISK_SILENT_MS 30000 /* a write that takes longer is told of as failing */

void audit_free(struct audit *a)
{
	if (!a)
		return;
	while (a->queue.n > 0)
		audit_entry_free(audit_queue_shift(&a->queue));
	audit_batch_release(&a->batch);
	pthread_cond_destroy(&a->wake);
	pthread_cond_destroy(&a->ended);
	pthread_mutex_destroy(&a->lock);
	free(a->event_dir);
	free(a->state_dir);
	free(a->volume);
	free(a->sinks);
	free(a);
}

static void init_sync(struct audit *a)
{
	pthread_mutex_init(&a->lock, NULL);
	cond_init_monotonic(&a->wake);
	cond_init_monotonic(&a->ended);
}

/* Asked once: it may ask a directory on the network. */
static gid_t readers(void)
{
	char text[4096];
	struct group group, *found = NULL;

	if (getgrnam_r(AUDIT_GROUP, &group, text, sizeof(text), &found) != 0 || !found)
		return (gid_t)-1;
	return found->gr_gid;
}

static struct audit *audit_new(const struct audit_options *o)
{
	struct audit *a = calloc(1, sizeof(*a));
	uint64_t now = audit_monotonic_ms();

	if (!a)
		return NULL;
	init_sync(a);
	a->queue.end = &a->queue.first;
	a->event_dir = strdup(o->event_dir);
	a->state_dir = strdup(o->state_dir);
	a->volume = strdup(o->volume);
	a->sinks = calloc(o->nsinks + 1, sizeof(*a->sinks));
	if (!a->event_dir || !a->state_dir || !a->volume || !a->sinks) {
		audit_free(a);
		return NULL;
	}
	if (o->nsinks)
		memcpy(a->sinks, o->sinks, o->nsinks * sizeof(*a->sinks));
	a->nsinks = o->nsinks;
	a->anchor_interval_ms = o->anchor_interval_ms;
	a->anchor_due_ms = now + o->anchor_interval_ms;
	a->retry_ms = o->retry_ms;
	a->close_wait_ms = o->close_wait_ms;
	a->allowance = MINOR_BURST;
	a->refilled_ms = now;
	a->log = (struct audit_log){ .sys = o->sys,
				     .event_dir = a->event_dir,
				     .state_dir = a->state_dir,
				     .volume = a->volume,
				     .max_size = o->log_size,
				     .keep = o->log_keep,
				     .readers = readers() };
	return a;
}

/* Signals are for the threads of whoever opens it. */
static int start(struct audit *a)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&a->thread, NULL, audit_recorder, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int audit_open(const struct audit_options *options, struct audit **ret_audit, struct errmsg *reterr)
{
	struct audit *a = audit_new(options);
	int r = a ? audit_log_check_dir(&a->log, reterr) : -ENOMEM;

	if (r == 0) {
		r = start(a);
		if (r < 0)
			errmsg_fail(reterr, r, EXIT_CODE_FAILED, "event log: no thread: %s",
				    errno_text(r));
	} else if (!a)
		errmsg_fail(reterr, r, EXIT_CODE_FAILED, "event log: out of memory");
	if (r < 0) {
		audit_free(a);
		return r;
	}
	*ret_audit = a;
	return 0;
}

struct audit_options audit_options_of(const struct config *config, const char *volume)
{
	return (struct audit_options){ .event_dir = config->event_dir,
				       .state_dir = config->state_dir,
				       .volume = volume,
				       .log_size = config->event_log_size,
				       .log_keep = config->event_log_keep,
				       .anchor_interval_ms = 3600000,
				       .retry_ms = 5000,
				       .close_wait_ms = 2000,
				       .sys = &sysio_kernel };
}

void audit_view(struct audit *a, struct audit_view *ret_view)
{
	uint64_t now;

	*ret_view = (struct audit_view){ 0 };
	if (!a)
		return;
	LOCK_SCOPE(&a->lock);
	now = audit_monotonic_ms(); /* not before the lock: a write may begin meanwhile */
	ret_view->failing = a->failing;
	ret_view->failing_since = a->failing ? a->failing_since : 0;
	if (a->failing)
		memcpy(ret_view->error, a->error, sizeof(a->error));
	else if (a->writing_since_ms && now - a->writing_since_ms > DISK_SILENT_MS) {
		ret_view->failing = true;
		ret_view->failing_since = (audit_now_ms() - (now - a->writing_since_ms)) / 1000;
		(void)snprintf(ret_view->error, sizeof(ret_view->error),
			       "event log: the disk of %s does not answer", a->event_dir);
	}
	ret_view->waiting = a->queue.n + a->ntaken;
	ret_view->dropped = a->dropped[0] + a->dropped[1];
	ret_view->head_seq = a->head.seq;
	hex_encode(a->head.hash, SHA256_LEN, ret_view->head_hash);
}

/* False: it did not end in time, and now owns itself. */
static bool wait_for_end(struct audit *a)
{
	uint64_t due = audit_monotonic_ms() + a->close_wait_ms;
	LOCK_SCOPE(&a->lock);

	a->closing = true;
	pthread_cond_signal(&a->wake);
	while (!a->done && audit_monotonic_ms() < due)
		audit_wait_until(&a->ended, &a->lock, due);
	while (!a->done && a->in_sinks) /* which do not block */
		pthread_cond_wait(&a->ended, &a->lock);
	a->abandoned = !a->done;
	return a->done;
}

void audit_close(struct audit *a)
{
	pthread_t thread;

	if (!a)
		return;
	thread = a->thread;
	if (wait_for_end(a)) {
		pthread_join(thread, NULL);
		audit_free(a);
	} else
		pthread_detach(thread);
}
