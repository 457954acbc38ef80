/* SPDX-License-Identifier: Apache-2.0 */
/* A runner's life, and how it is told and asked. Its threads are runner_loop.c. */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "runner_internal.h"
#include "tdefs/threads.h"

#define STOP_PATIENCE_MS 1000u

static void release(void *arg)
{
	struct guard_runner *r = arg;

	if (r->wake_fd >= 0)
		close(r->wake_fd);
	if (r->timer_fd >= 0)
		close(r->timer_fd);
	worker_release(&r->asker);
	worker_release(&r->drainer);
	worker_release(&r->purger);
	worker_release(&r->recorder);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int guard_runner_new(const struct guard_policy *policy, const struct clock *clock,
		     const struct guard_ops *ops, void *arg, const struct guard_record *record,
		     struct guard_runner **ret_runner)
{
	struct guard_runner *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->policy = *policy;
	r->clock = clock;
	r->ops = ops;
	r->arg = arg;
	r->drain_until_ms = r->job_until_ms = GUARD_NEVER;
	worker_init(&r->asker, runner_ask_vault, r);
	worker_init(&r->drainer, runner_drain, r);
	worker_init(&r->purger, runner_purge, r);
	worker_init(&r->recorder, runner_keep_record, r);
	pthread_mutex_init(&r->lock, NULL);
	cond_init_monotonic(&r->changed);
	r->guard = guard_start(record, runner_time(r));
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->wake_fd < 0 || r->timer_fd < 0) {
		int error = -errno;

		release(r);
		return error;
	}
	*ret_runner = r;
	return 0;
}

int guard_runner_start(struct guard_runner *r)
{
	int error = worker_start(&r->asker);

	if (error == 0)
		error = worker_start(&r->drainer);
	if (error == 0)
		error = worker_start(&r->purger);
	if (error == 0)
		error = worker_start(&r->recorder);
	if (error == 0)
		error = -pthread_create(&r->thread, NULL, runner_loop, r);
	r->started = error == 0;
	return error;
}

enum guard_state guard_runner_wait(struct guard_runner *r, uint64_t timeout_ms)
{
	const struct timespec until = monotonic_in(timeout_ms);
	int error = 0;
	LOCK_SCOPE(&r->lock);

	while (r->guard.state < GUARD_FAILED && !r->cancelled && error == 0)
		error = timeout_ms ? pthread_cond_timedwait(&r->changed, &r->lock, &until)
				   : pthread_cond_wait(&r->changed, &r->lock);
	return r->guard.state;
}

bool guard_runner_is_cancelled(struct guard_runner *r)
{
	LOCK_SCOPE(&r->lock);
	return r->cancelled;
}

void guard_runner_cancel(struct guard_runner *r)
{
	LOCK_SCOPE(&r->lock);
	r->cancelled = true;
	pthread_cond_broadcast(&r->changed);
}

/* Under the lock: its answer, if it is still to come, is a probe's. */
static void drop_resume(struct guard_runner *r)
{
	r->view.resuming = false;
	r->job_wanted[JOB_RESUME] = false;
	if (r->job == JOB_RESUME)
		r->job = JOB_PROBE;
}

int guard_runner_command(struct guard_runner *r, const struct guard_event *event)
{
	LOCK_SCOPE(&r->lock);
	if (event->kind == GUARD_LOCK) { /* never refused: it waits for its turn, and no resume */
		while (r->commanding && !r->ended)
			pthread_cond_wait(&r->changed, &r->lock);
		drop_resume(r);
	}
	if (r->commanding || r->view.resuming)
		return -EAGAIN;
	if (event->kind == GUARD_RESUME) {
		r->view.resuming = r->job_wanted[JOB_RESUME] = true;
		runner_poke(r);
		return 0;
	}
	r->commanding = r->command_waits = true;
	r->command = *event;
	runner_poke(r);
	while (r->commanding && !r->ended)
		pthread_cond_wait(&r->changed, &r->lock);
	return r->commanding ? -ESHUTDOWN : 0;
}

void guard_runner_set_policy(struct guard_runner *r, const struct guard_policy *policy)
{
	const uint64_t latest_ms = r->clock->boot_ms() + policy->probe_interval_ms;
	LOCK_SCOPE(&r->lock);

	r->policy = *policy;
	if (r->job == JOB_NONE && r->guard.next_probe_ms > latest_ms)
		r->guard.next_probe_ms = latest_ms; /* a shorter interval begins now */
	runner_poke(r);				    /* a deadline may be nearer now, or over */
}

struct guard_policy guard_runner_policy(struct guard_runner *r)
{
	LOCK_SCOPE(&r->lock);
	return r->policy;
}

void guard_runner_set_pulse(struct guard_runner *r, const struct guard_pulse *pulse)
{
	LOCK_SCOPE(&r->lock);

	r->pulse = *pulse;
	runner_poke(r);
}

void guard_runner_view(struct guard_runner *r, struct guard_view *ret_view)
{
	LOCK_SCOPE(&r->lock);
	*ret_view = r->view;
	ret_view->persisting = r->record_done != r->record_wanted;
	ret_view->guard = r->guard;
	ret_view->policy = r->policy;
	ret_view->now_ms = r->clock->boot_ms();
}

static void stop(struct guard_runner *r)
{
	{
		LOCK_SCOPE(&r->lock);
		r->ended = true;
		pthread_cond_broadcast(&r->changed);
	}
	runner_poke(r);
	pthread_join(r->thread, NULL);
}

/* As long as the vault's answer may still come; a question that hangs has had its time. */
static uint64_t patience(struct guard_runner *r)
{
	uint64_t now = r->clock->boot_ms();
	LOCK_SCOPE(&r->lock);

	return STOP_PATIENCE_MS +
	       (r->job_until_ms == GUARD_NEVER || r->stuck || r->job_until_ms < now
			? 0
			: r->job_until_ms - now);
}

bool guard_runner_free(struct guard_runner *r)
{
	if (!r)
		return true;
	if (r->started) {
		stop(r);
		r->ops->wipe(r->arg); /* before anything is waited for */
	}
	worker_stop(&r->drainer);
	worker_stop(&r->purger);
	worker_stop(&r->recorder);
	if (r->record_done != r->record_wanted) /* its thread had no turn any more */
		runner_keep_record(r);
	if (!worker_stop_within(&r->asker, patience(r), release))
		return false;
	release(r);
	return true;
}
