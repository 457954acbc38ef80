/* SPDX-License-Identifier: Apache-2.0 */
/* The stepping thread, and its workers of the disk. The vault's is runner_vault.c. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>

#include "runner_internal.h"

#define WAIT_MOST_MS 3600000u /* between two looks at the clock, at most */

void runner_poke(const struct guard_runner *r)
{
	IGNORE_RESULT(eventfd_write(r->wake_fd, 1), "it is readable already");
}

/* What a restart must not undo. */
void runner_keep_record(void *arg)
{
	struct guard_runner *r = arg;
	struct guard_record record;
	unsigned wanted;
	int error;

	{
		LOCK_SCOPE(&r->lock);
		wanted = r->record_wanted;
		record = guard_record_of(&r->guard);
	}
	error = r->ops->persist(r->arg, &record);
	{
		LOCK_SCOPE(&r->lock);
		r->record_done = wanted;
		r->record_later = error == -EAGAIN;
		r->view.persist_failed = error < 0 && !r->record_later;
	}
	runner_poke(r);
}

void runner_drain(void *arg)
{
	struct guard_runner *r = arg;
	enum guard_state target;
	unsigned began;

	{
		LOCK_SCOPE(&r->lock);
		target = r->guard.target;
		began = r->draining;
	}
	r->ops->drain(r->arg, target);
	{
		LOCK_SCOPE(&r->lock);
		r->drained = r->drained || began == r->draining;
	}
	runner_poke(r);
}

void runner_purge(void *arg)
{
	struct guard_runner *r = arg;
	enum guard_state state;
	unsigned began;
	bool clean;

	{
		LOCK_SCOPE(&r->lock);
		began = r->purging;
		state = r->guard.state;
	}
	clean = r->ops->purge(r->arg, state);
	LOCK_SCOPE(&r->lock);
	if (clean && state == GUARD_INACCESSIBLE && began == r->purging)
		r->view.cache_purged = true;
}

struct guard_time runner_time(const struct guard_runner *r)
{
	struct guard_time t = { .ms = r->clock->boot_ms(), .now = r->clock->now(), .jitter = 100 };
	uint16_t random;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) == sizeof(random))
		t.jitter = random % 201;
	return t;
}

/* Under the lock: what a step leaves to the workers. */
static void ask_workers(struct guard_runner *r, unsigned actions)
{
	if (actions & GUARD_DO_PERSIST) {
		r->record_wanted++;
		worker_ask(&r->recorder);
	}
	if (actions & GUARD_DO_REFUSE) {
		r->drained = false;
		r->draining++;
		r->drain_until_ms = r->clock->boot_ms() + r->policy.drain_timeout_ms;
		worker_ask(&r->drainer);
	}
	if (actions & GUARD_DO_SWITCH) {
		r->view.cache_purged = false;
		r->purging++;
	}
	if (actions & GUARD_DO_PURGE)
		worker_ask(&r->purger);
	if (actions & GUARD_DO_UNLOCK)
		r->job_wanted[JOB_UNLOCK] = true;
}

/*
 * Everything that a step asks for, with no lock held. On the way down the gate
 * comes first and the record has a thread of its own, so that a disk that hangs
 * delays nothing; on the way up guard_step() waits for the record.
 */
static void act(struct guard_runner *r, const struct guard *before, const struct guard *after,
		unsigned actions, const struct vault_report *report)
{
	if (actions & (GUARD_DO_REFUSE | GUARD_DO_SWITCH) || before->reasons != after->reasons)
		r->ops->gate(r->arg, after);
	if (actions & GUARD_DO_WIPE)
		r->ops->wipe(r->arg);
	{
		LOCK_SCOPE(&r->lock);
		ask_workers(r, actions);
	}
	r->ops->told(r->arg, before, after, report);
}

static void step(struct guard_runner *r, const struct guard_event *e)
{
	struct guard before, after;
	struct vault_report report;
	unsigned actions;

	{
		LOCK_SCOPE(&r->lock);
		before = r->guard;
		actions = guard_step(&r->policy, &r->guard, e, runner_time(r));
		if ((r->view.persist_failed || r->record_later) && e->kind == GUARD_PROBED)
			actions |= GUARD_DO_PERSIST;
		after = r->guard;
		report = r->view.report;
	}
	act(r, &before, &after, actions, &report);
}

/* Under the lock: the operator's command as an event. */
static bool take_command(struct guard_runner *r, struct guard_event *e)
{
	if (!r->command_waits)
		return false;
	r->command_waits = false;
	*e = r->command;
	return true;
}

/* Under the lock. */
static bool take_drained(struct guard_runner *r, struct guard_event *e)
{
	if (r->drain_until_ms == GUARD_NEVER ||
	    (!r->drained && r->clock->boot_ms() < r->drain_until_ms))
		return false;
	r->drain_until_ms = GUARD_NEVER;
	*e = (struct guard_event){ .kind = GUARD_DRAINED };
	return true;
}

/* Under the lock: the record is as the guard is, if that is waited for. */
static bool take_kept(const struct guard_runner *r, struct guard_event *e)
{
	if (!r->guard.unkept || r->record_done != r->record_wanted)
		return false;
	*e = (struct guard_event){ .kind = GUARD_KEPT };
	return true;
}

static bool take_event(struct guard_runner *r, struct guard_event *e)
{
	LOCK_SCOPE(&r->lock);
	return take_drained(r, e) || take_kept(r, e) || runner_take_answer(r, e) ||
	       take_command(r, e);
}

/* It was stepped and acted on. */
static void finish_command(struct guard_runner *r, enum guard_event_kind kind)
{
	LOCK_SCOPE(&r->lock);
	if (kind >= GUARD_LOCK && kind != GUARD_RESUME)
		r->commanding = false;
	if (r->job != JOB_RESUME && !r->job_wanted[JOB_RESUME] && !r->guard.unlocking &&
	    !r->guard.unkept)
		r->view.resuming = false;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Under the lock. While the vault is being asked its answer comes first, or its time is over. */
static uint64_t next_moment(const struct guard_runner *r, uint64_t now)
{
	struct guard g = r->guard;
	uint64_t beat = r->pulse.every_ms ? now + r->pulse.every_ms : GUARD_NEVER;

	if (r->job != JOB_NONE)
		g.next_probe_ms = r->job_until_ms;
	return earlier(earlier(guard_next_tick(&r->policy, &g), r->drain_until_ms), beat);
}

/* Until something happens or the guard's next moment. */
static void wait_for_more(struct guard_runner *r)
{
	struct pollfd fds[] = { { .fd = r->wake_fd, .events = POLLIN },
				{ .fd = r->timer_fd, .events = POLLIN } };
	struct itimerspec at = { 0 };
	uint64_t now = r->clock->boot_ms(), next, wait;
	eventfd_t ignored;

	{
		LOCK_SCOPE(&r->lock);
		next = next_moment(r, now);
	}
	wait = next > now ? next - now : 0;
	if (wait > WAIT_MOST_MS)
		wait = WAIT_MOST_MS;
	at.it_value.tv_sec = (time_t)(wait / 1000);
	at.it_value.tv_nsec = (long)(wait % 1000) * 1000000 + 1; /* 0 would disarm it */
	IGNORE_RESULT(timerfd_settime(r->timer_fd, 0, &at, NULL), "its arguments are valid");
	IGNORE_RESULT(poll(fds, 2, -1), "an interruption is a reason to look, too");
	IGNORE_RESULT(eventfd_read(r->wake_fd, &ignored), "it need not be the one");
}

void *runner_loop(void *arg)
{
	static const struct guard_event tick = { .kind = GUARD_TICK };
	struct guard_runner *r = arg;
	struct guard_pulse pulse;
	struct guard_event e;

	for (;;) {
		while (take_event(r, &e)) {
			step(r, &e);
			finish_command(r, e.kind);
		}
		step(r, &tick);
		{
			LOCK_SCOPE(&r->lock);
			if (r->ended)
				return NULL;
			runner_start_job(r, runner_time(r));
			pthread_cond_broadcast(&r->changed);
			pulse = r->pulse;
		}
		if (pulse.beat)
			pulse.beat(pulse.arg);
		wait_for_more(r);
	}
}
