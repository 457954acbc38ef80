/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's threads, with a vault, a disk and files that do as they are told. */
#include "../support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tdefs/guard_runner.h"

static struct guard_policy policy;
static struct guard_runner *runner;

/* What the fake volume answers, and what was done to it. */
static _Atomic enum vault_verdict verdict;
static struct guard_record written;
static _Atomic bool disk_hangs, drain_hangs, vault_hangs, unlock_hangs;
static _Atomic unsigned drains, purges, wipes, unlocks, gates, steps, hanging, back;
static _Atomic enum guard_state gate_state;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* Something happened that await() may wait for. */
static void happened(_Atomic unsigned *counter)
{
	LOCK_SCOPE(&lock);
	atomic_fetch_add(counter, 1);
	pthread_cond_broadcast(&changed);
}

static void let_go(_Atomic bool *hangs)
{
	LOCK_SCOPE(&lock);
	atomic_store(hangs, false);
	pthread_cond_broadcast(&changed);
}

/* A call that does not come back for as long as it is told to hang. */
static void hang_while(const _Atomic bool *hangs)
{
	if (!atomic_load(hangs))
		return;
	happened(&hanging);
	LOCK_SCOPE(&lock);
	while (atomic_load(hangs))
		pthread_cond_wait(&changed, &lock);
	atomic_fetch_add(&back, 1);
	pthread_cond_broadcast(&changed);
}

static struct guard_probe answer(struct vault_report *report)
{
	hang_while(&vault_hangs);
	report->verdict = atomic_load(&verdict);
	return (struct guard_probe){ .verdict = report->verdict };
}

static struct guard_probe probe(void *arg, struct vault_report *report)
{
	(void)arg;
	return answer(report);
}

static struct guard_probe unlock(void *arg, struct vault_report *report)
{
	(void)arg;
	happened(&unlocks);
	hang_while(&unlock_hangs);
	return answer(report);
}

static void drain(void *arg, enum guard_state target)
{
	(void)arg, (void)target;
	happened(&drains);
	hang_while(&drain_hangs);
}

static bool purge(void *arg, enum guard_state state)
{
	(void)arg, (void)state;
	happened(&purges);
	return true;
}

static int persist(void *arg, const struct guard_record *record)
{
	(void)arg;
	hang_while(&disk_hangs);
	LOCK_SCOPE(&lock);
	written = *record;
	return 0;
}

static void gate(void *arg, const struct guard *guard)
{
	(void)arg;
	atomic_store(&gate_state, guard->state);
	happened(&gates);
}

static void wipe(void *arg)
{
	(void)arg;
	happened(&wipes);
}

static void told(void *arg, const struct guard *before, const struct guard *after,
		 const struct vault_report *report)
{
	(void)arg, (void)before, (void)after, (void)report;
	happened(&steps);
}

static const struct guard_ops ops = { probe, unlock, drain, purge, persist, gate, wipe, told };

/* Wait until the counter is at least that. The test's own timeout is the limit. */
static void await(_Atomic unsigned *counter, unsigned least)
{
	LOCK_SCOPE(&lock);
	while (atomic_load(counter) < least)
		pthread_cond_wait(&changed, &lock);
}

/* One more, which comes with the next probe at the latest. */
static void await_step(void)
{
	await(&steps, atomic_load(&steps) + 1);
}

static void await_gate(enum guard_state state)
{
	LOCK_SCOPE(&lock);
	while (atomic_load(&gate_state) != state)
		pthread_cond_wait(&changed, &lock);
}

static struct guard_view view(void)
{
	struct guard_view v;

	guard_runner_view(runner, &v);
	return v;
}

static int setup(void **state)
{
	static const struct guard_record nothing;
	_Atomic unsigned *const counters[] = { &drains, &purges,  &wipes, &unlocks,
					       &gates,	&hanging, &back };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		atomic_store(counters[i], 0);
	atomic_store(&verdict, VAULT_GRANTED);
	atomic_store(&disk_hangs, false);
	atomic_store(&drain_hangs, false);
	atomic_store(&vault_hangs, false);
	atomic_store(&unlock_hangs, false);
	atomic_store(&gate_state, GUARD_STARTING);
	policy = (struct guard_policy){ .probe_interval_ms = 20,
					.probe_timeout_ms = 5000,
					.denied_confirmations = 2,
					.denied_confirm_interval_ms = 10,
					.drain_timeout_ms = 60000,
					.outage_read_only_after_ms = 3600000,
					.outage_deny_after_ms = 7200000,
					.heal_window_ms = 60000 };
	assert_int_equal(guard_runner_new(&policy, &clock_kernel, &ops, NULL, &nothing, &runner),
			 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	let_go(&disk_hangs);
	let_go(&drain_hangs);
	let_go(&vault_hangs);
	let_go(&unlock_hangs);
	assert_true(guard_runner_free(runner));
	return 0;
}

static void online(void)
{
	guard_runner_set_policy(runner, &policy);
	assert_int_equal(guard_runner_start(runner), 0);
	assert_int_equal(guard_runner_wait(runner, 0), GUARD_ONLINE);
}

static void command(enum guard_event_kind kind)
{
	assert_int_equal(guard_runner_command(runner, &(struct guard_event){ .kind = kind }), 0);
}

static void a_denial_wipes_and_a_grant_heals(void **state)
{
	(void)state;
	online();
	atomic_store(&verdict, VAULT_DENIED);
	await_gate(GUARD_INACCESSIBLE);
	await(&wipes, 1);
	await(&purges, 1);
	assert_int_equal(atomic_load(&drains), 1);
	atomic_store(&verdict, VAULT_GRANTED);
	await_gate(GUARD_ONLINE);
	assert_int_equal(atomic_load(&unlocks), 2);
}

static void a_disk_that_hangs_does_not_delay_the_wipe(void **state)
{
	(void)state;
	policy.drain_timeout_ms = 50;
	online();
	atomic_store(&drain_hangs, true);
	command(GUARD_LOCK);
	await(&drains, 1);
	await(&wipes, 1);
	await(&purges, 1);
	assert_true(atomic_load(&drain_hangs));
	assert_int_equal(view().guard.state, GUARD_INACCESSIBLE);
}

static void until_asked_again(enum vault_verdict what, uint64_t least)
{
	while (view().probes[what] < least)
		await_step();
}

static struct guard_record record(void)
{
	LOCK_SCOPE(&lock);
	return written;
}

/* Neither is the way down delayed, nor is anything lifted before that is remembered. */
static void a_record_that_hangs_delays_the_way_up_only(void **state)
{
	(void)state;
	online();
	while (view().persisting) /* the first grant's */
		await_step();
	atomic_store(&disk_hangs, true);
	command(GUARD_LOCK);
	await_gate(GUARD_INACCESSIBLE);
	await(&wipes, 1);
	assert_true(view().persisting);
	assert_false(record().locked);
	command(GUARD_RESUME);
	until_asked_again(VAULT_GRANTED, view().probes[VAULT_GRANTED] + 3);
	assert_int_equal(view().guard.reasons, 0);
	assert_int_equal(view().guard.state, GUARD_INACCESSIBLE);
	assert_int_equal(atomic_load(&unlocks), 1);
	let_go(&disk_hangs);
	await_gate(GUARD_ONLINE);
	while (view().resuming)
		await_step();
}

/* The daemon ends right after it was locked: the record is written all the same. */
static void a_record_is_written_before_the_end(void **state)
{
	(void)state;
	online();
	command(GUARD_LOCK);
	assert_true(guard_runner_free(runner));
	runner = NULL;
	assert_true(record().locked);
}

static void a_wait_for_a_vault_can_be_ended(void **state)
{
	(void)state;
	atomic_store(&verdict, VAULT_UNREACHABLE);
	assert_int_equal(guard_runner_start(runner), 0);
	assert_int_equal(guard_runner_wait(runner, 50), GUARD_WAITING);
	await(&unlocks, 3); /* it goes on asking */
	guard_runner_cancel(runner);
	assert_int_equal(guard_runner_wait(runner, 0), GUARD_WAITING);
}

/* Taken over while it runs: what is an outage by the new timers is one now. */
static void another_policy_counts_at_once(void **state)
{
	(void)state;
	online();
	atomic_store(&verdict, VAULT_UNREACHABLE);
	until_asked_again(VAULT_UNREACHABLE, 2);
	assert_int_equal(view().guard.state, GUARD_ONLINE);
	policy.outage_read_only_after_ms = policy.outage_deny_after_ms = 1;
	policy.probe_interval_ms = 3600000;
	guard_runner_set_policy(runner, &policy);
	await_gate(GUARD_INACCESSIBLE);
	assert_int_equal(view().policy.outage_deny_after_ms, 1);
}

/* The probe that was to come by the longer one is not waited for. */
static void a_shorter_interval_counts_at_once(void **state)
{
	(void)state;
	policy.probe_interval_ms = 3600000;
	online();
	policy.probe_interval_ms = 20;
	guard_runner_set_policy(runner, &policy);
	atomic_store(&verdict, VAULT_DENIED);
	await_gate(GUARD_INACCESSIBLE);
}

static void a_broken_answer_ends_the_start(void **state)
{
	(void)state;
	atomic_store(&verdict, VAULT_BROKEN);
	assert_int_equal(guard_runner_start(runner), 0);
	assert_int_equal(guard_runner_wait(runner, 0), GUARD_FAILED);
	assert_int_equal(view().report.verdict, VAULT_BROKEN);
}

/* The outage's clock runs, and the volume goes down in time. */
static void a_question_that_hangs_is_an_outage(void **state)
{
	(void)state;
	policy.outage_read_only_after_ms = 200;
	policy.outage_deny_after_ms = 400;
	policy.probe_timeout_ms = 10;
	online();
	atomic_store(&vault_hangs, true);
	until_asked_again(VAULT_UNREACHABLE, 3); /* each interval counts */
	await_gate(GUARD_INACCESSIBLE);
	await(&wipes, 1);
	assert_int_equal(view().report.verdict, VAULT_UNREACHABLE);
	assert_int_equal(atomic_load(&hanging), 1); /* one thread, however long */
	let_go(&vault_hangs);
	await_gate(GUARD_ONLINE);
}

/* It was granted before the key was taken away, and told of after: it lifts nothing. */
static void a_grant_that_comes_too_late_lifts_nothing(void **state)
{
	unsigned before;

	(void)state;
	policy.probe_timeout_ms = 10;
	online();
	atomic_store(&vault_hangs, true);
	await(&hanging, 1);
	command(GUARD_LOCK);
	await_gate(GUARD_INACCESSIBLE);
	IGNORE_RESULT(guard_runner_command(runner, &(struct guard_event){ .kind = GUARD_RESUME }),
		      "it asks the vault, which hangs");
	while (view().resuming)
		await_step();
	before = atomic_load(&unlocks);
	let_go(&vault_hangs);
	await(&back, 1);
	until_asked_again(VAULT_GRANTED, 3);
	assert_int_equal(view().guard.reasons, GUARD_LOCKED);
	assert_int_equal(atomic_load(&unlocks), before);
}

static void a_key_that_comes_too_late_is_wiped(void **state)
{
	unsigned before;

	(void)state;
	policy.probe_timeout_ms = 10;
	online();
	command(GUARD_LOCK);
	await_gate(GUARD_INACCESSIBLE);
	await(&wipes, 1);
	atomic_store(&unlock_hangs, true);
	command(GUARD_RESUME);
	await(&unlocks, 2);
	await(&hanging, 1);
	while (view().guard.unlocking)
		await_step();
	before = atomic_load(&wipes);
	let_go(&unlock_hangs);
	await(&wipes, before + 1);
	await_gate(GUARD_ONLINE); /* by a question of its own */
	await(&unlocks, 3);
}

/* A runner that is freed meanwhile does not wait, and its thread ends on its own. */
static void a_vault_that_hangs_does_not_keep_the_end_waiting(void **state)
{
	(void)state;
	policy.probe_timeout_ms = 10;
	online();
	atomic_store(&vault_hangs, true);
	await(&hanging, 1);
	assert_false(guard_runner_free(runner));
	assert_true(atomic_load(&wipes) > 0);
	runner = NULL;
	let_go(&vault_hangs);
	await(&back, 1);
}

static void *lock_and_resume(void *arg)
{
	const struct guard_event lock_event = { .kind = GUARD_LOCK },
				 resume_event = { .kind = GUARD_RESUME };

	(void)arg;
	for (int i = 0; i < 50; i++) {
		IGNORE_RESULT(guard_runner_command(runner, &lock_event), "busy is an answer");
		IGNORE_RESULT(guard_runner_command(runner, &resume_event), "busy is an answer");
	}
	return NULL;
}

/* Commands from several threads at once: each is done or refused, and none is lost. */
static void commands_at_the_same_time(void **state)
{
	pthread_t threads[4];

	(void)state;
	online();
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, lock_and_resume, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	while (view().resuming)
		await_step();
	command(GUARD_RESUME);
	await_gate(GUARD_ONLINE);
	assert_true(view().guard.has_key);
}

static void a_runner_that_was_not_started_can_be_freed(void **state)
{
	(void)state;
	assert_int_equal(view().guard.state, GUARD_STARTING);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_denial_wipes_and_a_grant_heals),
		TEST(a_disk_that_hangs_does_not_delay_the_wipe),
		TEST(a_record_that_hangs_delays_the_way_up_only),
		TEST(a_record_is_written_before_the_end),
		TEST(a_wait_for_a_vault_can_be_ended),
		TEST(another_policy_counts_at_once),
		TEST(a_shorter_interval_counts_at_once),
		TEST(a_broken_answer_ends_the_start),
		TEST(a_question_that_hangs_is_an_outage),
		TEST(a_grant_that_comes_too_late_lifts_nothing),
		TEST(a_key_that_comes_too_late_is_wiped),
		TEST(a_vault_that_hangs_does_not_keep_the_end_waiting),
		TEST(commands_at_the_same_time),
		TEST(a_runner_that_was_not_started_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
