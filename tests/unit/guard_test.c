/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's step function, line by line of STATES.md; and what is remembered of it. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/guard_walk.h"
#include "../support/temporary.h"
#include "tdefs/guard.h"
#include "tdefs/sysio.h"

/* The lines of the table. */

static void starting_granted(void)
{
	starting(), unlocked(VAULT_GRANTED);
}
static void starting_unreachable(void)
{
	starting(), unlocked(VAULT_UNREACHABLE);
}
static void starting_broken(void)
{
	starting(), unlocked(VAULT_BROKEN);
}
static void starting_denied(void)
{
	starting();
	unlocked(VAULT_DENIED);
	assert_true(actions & GUARD_DO_PERSIST);
	assert_true(actions & GUARD_DO_SWITCH);
}

static void remembered_locked(void)
{
	start_with((struct guard_record){ .locked = true });
}
static void remembered_denied(void)
{
	start_with((struct guard_record){ .denied = true, .denied_at = now.now });
	probed(VAULT_GRANTED); /* a restart undoes nothing: two are needed as ever */
	assert_false(actions & GUARD_DO_UNLOCK);
}

/* Also where a denial leads to read-only first: that time is over. */
static void remembered_denied_for_reading(void)
{
	policy.on_denied = ON_DENIED_READ_ONLY;
	start_with((struct guard_record){ .denied = true, .denied_at = now.now - 7200 });
	granted_twice();
	assert_false(actions & GUARD_DO_UNLOCK);
}

static void remembered_pending(void)
{
	const struct guard_record record = { .pending = true, .denied_at = now.now };

	guard = guard_start(&record, now);
	event(GUARD_TICK);
	assert_true(actions & GUARD_DO_UNLOCK);
}

static void remembered_pending_then_silent(void)
{
	remembered_pending();
	unlocked(VAULT_UNREACHABLE);
	pass(GUARD_SILENCE_CONFIRMS_MS - 1);
	assert_int_equal(guard.state, GUARD_WAITING);
	pass(1);
	assert_int_equal(guard.reasons, GUARD_DENIED);
}

static void remembered_pending_then_granted(void)
{
	remembered_pending();
	unlocked(VAULT_GRANTED);
	assert_int_equal(guard.denials, 0);
	assert_true(actions & GUARD_DO_PERSIST);
}

static void waiting_granted(void)
{
	waiting(), unlocked(VAULT_GRANTED);
}
/* The operator does not wait for the next turn. */
static void waiting_resumed(void)
{
	starting();
	unlocked(VAULT_UNREACHABLE);
	resumed(VAULT_GRANTED);
	unlocked(VAULT_GRANTED);
}

static void waiting_denied(void)
{
	waiting(), unlocked(VAULT_DENIED);
}

static void denied_once(void)
{
	online();
	probed(VAULT_DENIED);
	assert_int_equal(guard.next_probe_ms, now.ms + policy.denied_confirm_interval_ms);
	assert_int_equal(actions, GUARD_DO_PERSIST);
	assert_true(guard_record_of(&guard).pending);
	probed(VAULT_DENIED);
	assert_int_equal(actions, 0);
}

static void denied_confirmed(void)
{
	online();
	probed(VAULT_DENIED);
	probed(VAULT_DENIED);
	assert_int_equal(guard.state, GUARD_ONLINE);
	probed(VAULT_DENIED);
	assert_int_equal(actions, GUARD_DO_PERSIST | GUARD_DO_REFUSE);
	assert_int_equal(guard.target, GUARD_INACCESSIBLE);
}

static void denied_then_silent(void)
{
	online();
	probed(VAULT_DENIED);
	probed(VAULT_UNREACHABLE);
	pass(GUARD_SILENCE_CONFIRMS_MS - 1);
	assert_int_equal(guard.state, GUARD_ONLINE);
	pass(1);
}

static void denied_then_granted(void)
{
	online();
	probed(VAULT_DENIED);
	probed(VAULT_DENIED);
	probed(VAULT_GRANTED);
	probed(VAULT_DENIED);
	probed(VAULT_DENIED);
	assert_int_equal(guard.denials, 2); /* counted anew */
}

static void unreachable_for_a_while(void)
{
	online();
	silent_for(policy.outage_read_only_after_ms - 1);
	assert_int_equal(guard_until_read_only(&policy, &guard, now.ms), 1);
}

static void outage_of(enum vault_verdict verdict)
{
	online();
	probed(verdict);
	pass(policy.outage_read_only_after_ms);
	assert_int_equal(guard.target, GUARD_READ_ONLY);
	assert_int_equal(guard.reasons, GUARD_OUTAGE);
}

static void unreachable_for_long(void)
{
	outage_of(VAULT_UNREACHABLE);
}
static void broken_for_long(void)
{
	outage_of(VAULT_BROKEN);
}

static void lock_online(void)
{
	online();
	event(GUARD_LOCK);
	assert_int_equal(actions, GUARD_DO_PERSIST | GUARD_DO_REFUSE);
	assert_int_equal(guard.target, GUARD_INACCESSIBLE);
}

static void drill_outage(void)
{
	online();
	drill(GUARD_DRILL_OUTAGE);
	assert_int_equal(guard.target, GUARD_READ_ONLY);
	assert_false(actions & GUARD_DO_PERSIST); /* it ends with the daemon */
}

static void drill_denial(void)
{
	online();
	drill(GUARD_DRILL_DENIAL);
	assert_int_equal(guard.target, GUARD_INACCESSIBLE);
}

static void drained_inaccessible(void)
{
	draining();
	event(GUARD_DRAINED);
	assert_int_equal(actions, GUARD_DO_SWITCH | GUARD_DO_WIPE | GUARD_DO_PURGE);
}

static void drained_read_only(void)
{
	online();
	silent_for(policy.outage_read_only_after_ms);
	event(GUARD_DRAINED);
	assert_int_equal(actions, GUARD_DO_SWITCH | GUARD_DO_PURGE);
}

static void drained_without_reason(void)
{
	online();
	silent_for(policy.outage_read_only_after_ms);
	probed(VAULT_GRANTED);
	assert_int_equal(guard.state, GUARD_DRAINING);
	event(GUARD_DRAINED);
}

static void drained_worse(void)
{
	online();
	silent_for(policy.outage_read_only_after_ms);
	event(GUARD_LOCK);
	assert_int_equal(guard.target, GUARD_INACCESSIBLE);
	assert_true(actions & GUARD_DO_REFUSE);
}

static void read_only_granted(void)
{
	read_only();
	probed(VAULT_GRANTED);
	assert_int_equal(guard.extended_ms, 0);
}

static void read_only_for_long(void)
{
	read_only();
	pass(policy.outage_deny_after_ms - policy.outage_read_only_after_ms - 1);
	assert_int_equal(guard.state, GUARD_READ_ONLY);
	pass(1);
	assert_int_equal(guard.target, GUARD_INACCESSIBLE);
}

static void read_only_denied(void)
{
	read_only();
	denied_thrice();
	assert_int_equal(guard.target, GUARD_INACCESSIBLE);
}

static void read_only_denial_over(void)
{
	policy.on_denied = ON_DENIED_READ_ONLY;
	online();
	denied_thrice();
	assert_int_equal(guard.target, GUARD_READ_ONLY);
	event(GUARD_DRAINED);
	pass(policy.denied_read_only_for_ms);
	assert_int_equal(guard.target, GUARD_INACCESSIBLE);
}

static void denied_granted_twice(void)
{
	denied();
	granted_twice();
	assert_true(actions & GUARD_DO_PERSIST);
	by_way_of_the_dek();
}

static void denied_granted_twice_not_kept(void)
{
	denied();
	granted_twice();
	assert_false(actions & GUARD_DO_UNLOCK);
	probed(VAULT_GRANTED);
	assert_false(actions & GUARD_DO_UNLOCK);
}

static void denied_granted_once(void)
{
	denied();
	probed(VAULT_GRANTED);
	assert_int_equal(guard.next_probe_ms, now.ms + policy.denied_confirm_interval_ms);
	pass(1);
	probed(VAULT_GRANTED); /* too soon after the first */
	assert_int_equal(guard.next_probe_ms, now.ms + policy.denied_confirm_interval_ms - 1);
}

static void denied_granted_late(void)
{
	denied();
	pass(policy.heal_window_ms);
	granted_twice();
	assert_int_equal(guard.reasons, GUARD_DENIED);
}

static void locked_granted(void)
{
	locked();
	granted_twice();
}

static void locked_resumed(void)
{
	locked();
	resumed(VAULT_GRANTED);
	by_way_of_the_dek();
}

static void denied_resume_denied(void)
{
	locked();
	resumed(VAULT_DENIED);
	assert_int_equal(guard.reasons, GUARD_LOCKED);
}

static void outage_granted(void)
{
	read_only_for_long();
	event(GUARD_DRAINED);
	probed(VAULT_GRANTED);
	by_way_of_the_dek();
}

static void key_comes_too_late(void)
{
	locked();
	resumed(VAULT_GRANTED);
	kept();
	event(GUARD_LOCK);
	unlocked(VAULT_GRANTED);
	assert_true(actions & GUARD_DO_WIPE);
}

static void drill_is_over(void)
{
	drill_denial();
	event(GUARD_DRAINED);
	pass(MINUTE);
	assert_int_equal(guard.next_probe_ms, now.ms);
	probed(VAULT_GRANTED);
	by_way_of_the_dek();
}

static const struct guard_line lines[] = {
	{ "| starting | granted | online |", starting_granted, GUARD_ONLINE },
	{ "| starting | unreachable | waiting |", starting_unreachable, GUARD_WAITING },
	{ "| starting | broken | failed |", starting_broken, GUARD_FAILED },
	{ "| starting | denied | inaccessible |", starting_denied, GUARD_INACCESSIBLE },
	{ "| starting | remembered as locked | inaccessible |", remembered_locked,
	  GUARD_INACCESSIBLE },
	{ "| starting | remembered as denied | inaccessible |", remembered_denied,
	  GUARD_INACCESSIBLE },
	{ "| starting | remembered as denied, on_denied = read-only | inaccessible |",
	  remembered_denied_for_reading, GUARD_INACCESSIBLE },
	{ "| starting | remembered as denied once, then silent for 2 minutes | inaccessible |",
	  remembered_pending_then_silent, GUARD_INACCESSIBLE },
	{ "| starting | remembered as denied once, granted | online |",
	  remembered_pending_then_granted, GUARD_ONLINE },
	{ "| waiting | granted | online |", waiting_granted, GUARD_ONLINE },
	{ "| waiting | resumed, granted | online |", waiting_resumed, GUARD_ONLINE },
	{ "| waiting | denied | inaccessible |", waiting_denied, GUARD_INACCESSIBLE },
	{ "| online | denied once | online |", denied_once, GUARD_ONLINE },
	{ "| online | denied, confirmed | draining |", denied_confirmed, GUARD_DRAINING },
	{ "| online | denied, then silent for 2 minutes | draining |", denied_then_silent,
	  GUARD_DRAINING },
	{ "| online | denied, then granted | online |", denied_then_granted, GUARD_ONLINE },
	{ "| online | unreachable, not yet for outage_read_only_after | online |",
	  unreachable_for_a_while, GUARD_ONLINE },
	{ "| online | unreachable for outage_read_only_after | draining |", unreachable_for_long,
	  GUARD_DRAINING },
	{ "| online | broken for outage_read_only_after | draining |", broken_for_long,
	  GUARD_DRAINING },
	{ "| online | locked | draining |", lock_online, GUARD_DRAINING },
	{ "| online | drill of an outage | draining |", drill_outage, GUARD_DRAINING },
	{ "| online | drill of a denial | draining |", drill_denial, GUARD_DRAINING },
	{ "| draining | drained, to inaccessible | inaccessible |", drained_inaccessible,
	  GUARD_INACCESSIBLE },
	{ "| draining | drained, to read-only | read-only |", drained_read_only, GUARD_READ_ONLY },
	{ "| draining | drained, to read-only, the reason gone | online |", drained_without_reason,
	  GUARD_ONLINE },
	{ "| draining | a worse reason | draining |", drained_worse, GUARD_DRAINING },
	{ "| read-only | granted after an outage | online |", read_only_granted, GUARD_ONLINE },
	{ "| read-only | unreachable for outage_deny_after | draining |", read_only_for_long,
	  GUARD_DRAINING },
	{ "| read-only | denied, confirmed | draining |", read_only_denied, GUARD_DRAINING },
	{ "| read-only | denied for denied_read_only_for | draining |", read_only_denial_over,
	  GUARD_DRAINING },
	{ "| inaccessible | granted twice after a denial | online, by way of the DEK |",
	  denied_granted_twice, GUARD_ONLINE },
	{ "| inaccessible | granted twice after a denial, not remembered yet | inaccessible |",
	  denied_granted_twice_not_kept, GUARD_INACCESSIBLE },
	{ "| inaccessible | granted once after a denial | inaccessible |", denied_granted_once,
	  GUARD_INACCESSIBLE },
	{ "| inaccessible | granted after heal_window | inaccessible |", denied_granted_late,
	  GUARD_INACCESSIBLE },
	{ "| inaccessible | granted while locked | inaccessible |", locked_granted,
	  GUARD_INACCESSIBLE },
	{ "| inaccessible | resumed, granted | online, by way of the DEK |", locked_resumed,
	  GUARD_ONLINE },
	{ "| inaccessible | resumed, denied | inaccessible |", denied_resume_denied,
	  GUARD_INACCESSIBLE },
	{ "| inaccessible | granted after an outage | online, by way of the DEK |", outage_granted,
	  GUARD_ONLINE },
	{ "| inaccessible | the DEK comes too late | inaccessible |", key_comes_too_late,
	  GUARD_INACCESSIBLE },
	{ "| inaccessible | drill over, granted | online, by way of the DEK |", drill_is_over,
	  GUARD_ONLINE },
};

static void every_line_of_the_table_is_what_the_code_does(void **state)
{
	(void)state;
	walk_lines(lines, ARRAY_SIZE(lines));
}

static void the_page_and_the_test_have_the_same_lines(void **state)
{
	(void)state;
	assert_page_has(lines, ARRAY_SIZE(lines), "## Transitions");
}

static void an_extension_moves_both_deadlines(void **state)
{
	(void)state;
	reset();
	online();
	probed(VAULT_UNREACHABLE);
	step((struct guard_event){ .kind = GUARD_EXTEND, .for_ms = 24 * HOUR });
	assert_int_equal(guard.extended_ms, policy.outage_extend_max_ms);
	pass(policy.outage_read_only_after_ms + policy.outage_extend_max_ms - 1);
	assert_int_equal(guard.state, GUARD_ONLINE);
	assert_int_equal(guard_until_denied(&policy, &guard, now.ms), 4 * HOUR + 1);
	pass(1);
	assert_int_equal(guard.target, GUARD_READ_ONLY);
}

static void a_grant_is_remembered_each_hour(void **state)
{
	(void)state;
	reset();
	online();
	assert_true(actions & GUARD_DO_PERSIST); /* the first ever */
	pass(3599 * SECOND);
	probed(VAULT_GRANTED);
	assert_false(actions & GUARD_DO_PERSIST);
	pass(SECOND);
	probed(VAULT_GRANTED);
	assert_true(actions & GUARD_DO_PERSIST);
	assert_false(guard.unkept);
}

static void probes_come_by_their_interval_and_jitter(void **state)
{
	(void)state;
	for (uint64_t jitter = 0; jitter <= 200; jitter += 100) {
		reset();
		now.jitter = jitter;
		online();
		assert_int_equal(guard.next_probe_ms, now.ms + 54 * SECOND + jitter * 60);
	}
}

/* Whatever happens in whatever order, what STATES.md says of each state holds. */
static void random_events_keep_the_invariants(void **state)
{
	uint64_t x = 88172645463325252u;

	(void)state;
	for (int run = 0; run < 300; run++) {
		const struct guard_record nothing = { 0 };

		reset();
		policy.on_denied = run & 1;
		guard = guard_start(&nothing, now);
		for (int i = 0; i < 400; i++) {
			struct guard_event e = { 0 };

			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			e.kind = (enum guard_event_kind)(x % (GUARD_DRILL_END + 1));
			e.probe.verdict = (enum vault_verdict)(x >> 8 & 3);
			e.probe.secondary = x >> 16 & 1;
			e.drill = x >> 17 & 1 ? GUARD_DRILL_OUTAGE : GUARD_DRILL_DENIAL;
			e.for_ms = x >> 20 & 0xfffff;
			if (e.kind == GUARD_UNLOCKED)
				e.probe.verdict = VAULT_GRANTED;
			if ((e.kind == GUARD_UNLOCKED || e.kind == GUARD_UNLOCK_FAILED) &&
			    !guard.unlocking)
				continue;
			if (e.kind == GUARD_DRAINED && guard.state != GUARD_DRAINING)
				continue;
			now.ms += x >> 40 & 0xffff;
			now.now += (x >> 40 & 0xffff) / 1000;
			step(e);
			assert_true(guard_next_tick(&policy, &guard) > 0);
		}
	}
}

static char dir[256];

static void what_is_remembered_comes_back(void **state)
{
	const struct guard_record record = { .locked = true,
					     .denied = true,
					     .denied_secondary = true,
					     .denied_at = 1700000001,
					     .granted_at = 1700000000 };
	struct guard_record back = { 0 }, pending = { 0 };
	CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY);
	char bytes[600];
	ssize_t n;
	int file;

	(void)state;
	assert_int_equal(guard_record_read(&sysio_kernel, fd, &back), -ENOENT);
	assert_int_equal(guard_record_write(&sysio_kernel, fd, &record), 0);
	assert_int_equal(guard_record_read(&sysio_kernel, fd, &back), 0);
	assert_true(back.locked && back.denied && back.denied_secondary);
	assert_false(back.pending);
	assert_int_equal(back.denied_at, record.denied_at);
	assert_int_equal(back.granted_at, record.granted_at);
	pending.pending = true;
	assert_int_equal(guard_record_write(&sysio_kernel, fd, &pending), 0);
	assert_int_equal(guard_record_read(&sysio_kernel, fd, &back), 0);
	assert_true(back.pending && !back.denied);
	file = openat(fd, "state", O_RDWR);
	n = read(file, bytes, sizeof(bytes));
	assert_true(n > 0);
	for (ssize_t i = 0; i < n; i++) { /* any byte that is another */
		char other = (char)(bytes[i] ^ 1);

		assert_int_equal(pwrite(file, &other, 1, i), 1);
		assert_int_equal(guard_record_read(&sysio_kernel, fd, &back), -EBADMSG);
		assert_int_equal(pwrite(file, bytes + i, 1, i), 1);
	}
	for (ssize_t len = 0; len < n; len++) {
		assert_int_equal(ftruncate(file, len), 0);
		assert_int_equal(guard_record_read(&sysio_kernel, fd, &back), -EBADMSG);
	}
	close(file);
}

/* A write that fails leaves the record that was there. */
static void a_record_is_replaced_whole_or_not(void **state)
{
	const struct guard_record old = { .granted_at = 1 }, new = { .locked = true };
	CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY);
	struct guard_record back;

	(void)state;
	for (unsigned n = 1;; n++) {
		int r;

		assert_int_equal(guard_record_write(&sysio_kernel, fd, &old), 0);
		faults_arm(n, -EIO, false);
		r = guard_record_write(&faults_sysio, fd, &new);
		if (!faults_disarm())
			break;
		assert_int_equal(guard_record_read(&sysio_kernel, fd, &back), 0);
		assert_true(back.locked || r < 0);
	}
}

static int setup(void **state)
{
	(void)state;
	return temporary_directory(dir);
}

static int teardown(void **state)
{
	(void)state;
	return temporary_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_of_the_table_is_what_the_code_does),
		cmocka_unit_test(the_page_and_the_test_have_the_same_lines),
		cmocka_unit_test(an_extension_moves_both_deadlines),
		cmocka_unit_test(a_grant_is_remembered_each_hour),
		cmocka_unit_test(probes_come_by_their_interval_and_jitter),
		cmocka_unit_test(random_events_keep_the_invariants),
		cmocka_unit_test(what_is_remembered_comes_back),
		cmocka_unit_test(a_record_is_replaced_whole_or_not),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
