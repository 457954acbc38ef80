/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that keep a volume's guard: one that steps and acts, one that
 * talks to the vault, one that drains, one that purges, one that keeps the record. What they do it to is
 * handed in, so that this knows neither files nor FUSE.
 *
 * The stepping thread never waits for a network, a disk or the kernel's cache.
 * What is remembered is written by a thread of its own: on the way down after the
 * gate is shut, on the way up before anybody is told.
 */
#ifndef TDEFS_GUARD_RUNNER_H
#define TDEFS_GUARD_RUNNER_H

#include "tdefs/clock.h"
#include "tdefs/guard.h"

/* All with the same `arg`. */
struct guard_ops {
	/*
	 * On the vault's thread; may block for as long as the vault's timeouts say. What
	 * takes longer counts as unreachable, and its answer for nothing: the DEK that
	 * came too late is wiped again.
	 */
	struct guard_probe (*probe)(void *arg, struct vault_report *ret_report);
	/* Put the DEK into place; granted: it is. */
	struct guard_probe (*unlock)(void *arg, struct vault_report *ret_report);

	/* On the drain's thread; may hang with the disk. */
	void (*drain)(void *arg, enum guard_state target);
	/*
	 * On the purge's thread; may hang with the disk. Inaccessible: every page; true when
	 * none is cached any more. Else: pages whose writing was refused.
	 */
	bool (*purge)(void *arg, enum guard_state state);

	/* On the record's thread; may hang with the disk. -EAGAIN: not now, at the next answer. */
	int (*persist)(void *arg, const struct guard_record *record);

	/* On the stepping thread; must not block. `wipe`: on any. */
	void (*gate)(void *arg, const struct guard *guard); /* serve as this state says */
	void (*wipe)(void *arg);
	/* Told after each step that changed something; `report`: the last answer. */
	void (*told)(void *arg, const struct guard *before, const struct guard *after,
		     const struct vault_report *report);
};

/* What can be told of a guard at one moment. */
struct guard_view {
	struct guard guard;
	struct guard_policy policy;
	struct vault_report report; /* of the last answer; `verdict` and what goes with it */
	bool answered;		    /* there was one */
	uint64_t report_at;	    /* when, seconds since 1970 */
	uint64_t now_ms;
	bool cache_purged;   /* no page is cached, since the volume became inaccessible */
	bool resuming;	     /* tdefsctl resume waits for the vault */
	bool persisting;     /* .tdefs/state is being written */
	bool persist_failed; /* .tdefs/state could not be written: a restart may forget */
	uint64_t probes[VAULT_BROKEN + 1]; /* by verdict */
};

struct guard_runner;

/* `clock`, `ops` and `arg` outlive the runner. Nothing is asked before guard_runner_start(). */
int guard_runner_new(const struct guard_policy *policy, const struct clock *clock,
		     const struct guard_ops *ops, void *arg, const struct guard_record *record,
		     struct guard_runner **ret_runner) WARN_UNUSED;
int guard_runner_start(struct guard_runner *r) WARN_UNUSED;

/*
 * Wait until the volume can be mounted (its state is online or worse) or never
 * will (GUARD_FAILED); at most `timeout_ms` (0: for ever), or until
 * guard_runner_cancel(). The state then.
 */
enum guard_state guard_runner_wait(struct guard_runner *r, uint64_t timeout_ms);
void guard_runner_cancel(struct guard_runner *r);
bool guard_runner_is_cancelled(struct guard_runner *r);

/*
 * The operator's commands: hand over an event and wait until it was acted on
 * but for drain and purge. GUARD_RESUME asks the vault first and is not waited
 * for: the view says `resuming`. -EAGAIN: another command is at work.
 */
int guard_runner_command(struct guard_runner *r, const struct guard_event *event) WARN_UNUSED;

/*
 * Other timers from now on, the next probe's included; what is at work, a probe or
 * a drain, keeps its own. Thread-safe.
 */
void guard_runner_set_policy(struct guard_runner *r, const struct guard_policy *policy);
struct guard_policy guard_runner_policy(struct guard_runner *r);

/*
 * From now on the stepping thread calls `beat`, with no lock held, after whatever it
 * did and at least so often (0: only then): who watches for that sees that it is alive.
 * Not while it ends.
 */
struct guard_pulse {
	void (*beat)(void *arg);
	void *arg;
	uint64_t every_ms;
};
void guard_runner_set_pulse(struct guard_runner *r, const struct guard_pulse *pulse);

void guard_runner_view(struct guard_runner *r, struct guard_view *ret_view);

/*
 * Wipe the keys, then end the threads; those that hang with a disk are waited
 * for. False: one hangs with the vault and was left behind: `arg` and all that
 * `ops` needs must stay until the process ends. Accepts NULL, and one that was
 * not started.
 */
bool guard_runner_free(struct guard_runner *r) WARN_UNUSED;

#endif
