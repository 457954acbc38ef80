/* SPDX-License-Identifier: Apache-2.0 */
/* What the runner's threads share. Private to src/guard. */
#ifndef TDEFS_GUARD_RUNNER_INTERNAL_H
#define TDEFS_GUARD_RUNNER_INTERNAL_H

#include "tdefs/guard_runner.h"
#include "worker.h"

/* By urgency. */
enum vault_job { JOB_NONE, JOB_PROBE, JOB_UNLOCK, JOB_RESUME, JOB_COUNT };

struct guard_runner {
	const struct clock *clock;
	const struct guard_ops *ops;
	void *arg;
	struct worker asker, drainer, purger, recorder;
	pthread_t thread;
	int wake_fd, timer_fd;
	bool started;

	/*
	 * Guards what follows; above the workers' locks, held for no call of `ops`.
	 */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a step was made, a command was done, or it was cancelled */
	struct guard_policy policy;
	struct guard guard;
	struct guard_view view;	    /* but for `guard` and `now_ms` */
	struct guard_event command; /* the operator's, while `commanding` */
	uint64_t drain_until_ms;    /* GUARD_NEVER: no drain is waited for */
	unsigned draining;	    /* counts: an earlier drain says nothing of a later one */
	unsigned purging;	    /* counts: a purge that began before a switch says nothing */
	unsigned record_wanted;	    /* counts what was to be written */
	unsigned record_done;	    /* up to which it is */
	bool record_later;	    /* the last was put off */
	enum vault_job job;	    /* waits for its answer */
	enum vault_job asked;  /* what the vault's thread is to ask; a resume may become a probe */
	unsigned question;     /* counts: the answer to an earlier one is too late */
	uint64_t job_until_ms; /* when `job` has taken too long */
	struct guard_probe answer;  /* of `job`, while `answered` */
	struct vault_report report; /* what came with it */
	struct guard_pulse pulse;
	bool job_wanted[JOB_COUNT];
	bool answered;	    /* it waits to be stepped */
	bool stuck;	    /* the vault's thread has not come back from an earlier question */
	bool drained;	    /* the drain has ended since it was asked for */
	bool commanding;    /* somebody waits for `command` to be done */
	bool command_waits; /* it was not taken yet */
	bool cancelled, ended;
};

/* Wake the stepping thread. */
void runner_poke(const struct guard_runner *r);

/* Now, by the runner's clock. */
struct guard_time runner_time(const struct guard_runner *r);

/* Under the lock: what is asked of the vault, and its answer as an event if there is one. */
void runner_start_job(struct guard_runner *r, struct guard_time t);
bool runner_take_answer(struct guard_runner *r, struct guard_event *e);

/* What the threads do: step until `ended`; the workers' jobs. `arg` is the runner. */
void *runner_loop(void *arg);
void runner_ask_vault(void *arg);
void runner_drain(void *arg);
void runner_purge(void *arg);
void runner_keep_record(void *arg);

#endif
