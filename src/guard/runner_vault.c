/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vault's thread, and the watch over it. A question that does not come back
 * (a disk with a protector's file that hangs, a resolver that is stuck) counts as
 * unreachable, and so does each that could not be asked since.
 */
#include <errno.h>

#include "runner_internal.h"

/*
 * Times probe_timeout: each call of a vault takes that at most, and an unlock is
 * two calls, at two vaults perhaps.
 */
#define PROBE_PATIENCE	3
#define UNLOCK_PATIENCE 6

/* Under the lock: the answer to a question that hangs, or to one that it keeps from being asked. */
static void answer_for_vault(struct guard_runner *r)
{
	struct vault_report *report = &r->report;

	*report = (struct vault_report){ .verdict = VAULT_UNREACHABLE };
	errmsg_next(&report->error, "look at the disk of the protector's file, at the resolver and "
				    "at the way to the vault: the daemon waits in the kernel");
	IGNORE_RESULT(errmsg_fail(&report->error, -ETIMEDOUT, EXIT_CODE_FAILED,
				  "a question to the vault does not come back"),
		      "the message is what is wanted");
	r->answer = (struct guard_probe){ .verdict = VAULT_UNREACHABLE };
	r->answered = true;
}

/* Under the lock: whoever asked is still wanted; else nobody knows what it would undo. */
static bool is_awaited(const struct guard_runner *r, unsigned question)
{
	return question == r->question && !r->ended;
}

/* What comes too late lifts nothing, and no DEK stays that nobody waits for. */
static void discard(struct guard_runner *r, enum vault_job job)
{
	if (job == JOB_UNLOCK)
		r->ops->wipe(r->arg);
	LOCK_SCOPE(&r->lock);
	r->stuck = false;
	r->guard.next_probe_ms = r->clock->boot_ms();
}

/* The vault's thread: one question at a time. */
void runner_ask_vault(void *arg)
{
	struct guard_runner *r = arg;
	struct vault_report report = { 0 };
	struct guard_probe answer;
	enum vault_job job;
	unsigned question;
	bool awaited;

	{
		LOCK_SCOPE(&r->lock);
		job = r->asked;
		question = r->question;
	}
	answer = job == JOB_UNLOCK ? r->ops->unlock(r->arg, &report)
				   : r->ops->probe(r->arg, &report);
	{
		LOCK_SCOPE(&r->lock);
		awaited = is_awaited(r, question);
		if (awaited) {
			r->answer = answer;
			r->report = report;
			r->answered = true;
		}
	}
	if (!awaited)
		discard(r, job);
	runner_poke(r);
}

/* Under the lock: begin what is asked of the vault, if it is not answering already. */
void runner_start_job(struct guard_runner *r, struct guard_time t)
{
	enum vault_job job = JOB_COUNT - 1;

	if (r->job != JOB_NONE)
		return;
	if (r->guard.state >= GUARD_ONLINE && t.ms >= r->guard.next_probe_ms)
		r->job_wanted[JOB_PROBE] = true;
	while (job != JOB_NONE && !r->job_wanted[job])
		job--;
	if (job == JOB_NONE)
		return;
	r->job = job;
	r->job_wanted[job] = false;
	r->guard.next_probe_ms = GUARD_NEVER; /* the answer sets it */
	if (r->stuck) {
		answer_for_vault(r);
		runner_poke(r);
		return;
	}
	r->asked = job;
	r->job_until_ms = t.ms + (job == JOB_UNLOCK ? UNLOCK_PATIENCE : PROBE_PATIENCE) *
					 r->policy.probe_timeout_ms;
	worker_ask(&r->asker);
}

/* Under the lock: has a question taken longer than any can? */
static void watch_question(struct guard_runner *r)
{
	if (r->job == JOB_NONE || r->answered || r->clock->boot_ms() < r->job_until_ms)
		return;
	r->question++; /* what comes of it is too late */
	r->stuck = true;
	answer_for_vault(r);
}

/* Under the lock: the vault's answer as an event, if there is one. */
bool runner_take_answer(struct guard_runner *r, struct guard_event *e)
{
	static const enum guard_event_kind granted[] = { [JOB_PROBE] = GUARD_PROBED,
							 [JOB_RESUME] = GUARD_RESUME,
							 [JOB_UNLOCK] = GUARD_UNLOCKED };
	bool failed;

	watch_question(r);
	if (!r->answered)
		return false;
	failed = r->job == JOB_UNLOCK && r->answer.verdict != VAULT_GRANTED;
	*e = (struct guard_event){ .kind = failed ? GUARD_UNLOCK_FAILED : granted[r->job],
				   .probe = r->answer };
	r->view.report = r->report;
	r->view.report_at = r->clock->now();
	r->view.answered = true;
	r->view.probes[r->answer.verdict]++;
	r->answered = false;
	r->job = JOB_NONE;
	r->job_until_ms = GUARD_NEVER;
	return true;
}
