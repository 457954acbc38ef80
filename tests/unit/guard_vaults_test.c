/* SPDX-License-Identifier: Apache-2.0 */
/* The guard with two vaults: STATES.md, "Two vaults", line by line. */
#include "../support/guard_walk.h"

static void secondary_denied(void)
{
	step((struct guard_event){ .kind = GUARD_PROBED, .probe = { VAULT_DENIED, true } });
}

static void unlocked_by_secondary(void)
{
	assert_true(guard.unlocking);
	step((struct guard_event){ .kind = GUARD_UNLOCKED, .probe = { VAULT_GRANTED, true } });
}

static void secondary_granted_twice(void)
{
	secondary_granted();
	pass(policy.denied_confirm_interval_ms);
	secondary_granted();
}

static void waiting_granted_by_secondary(void)
{
	waiting(), unlocked_by_secondary();
	assert_true(guard.secondary_serves);
}

static void remembered_primary_denial(void)
{
	start_with((struct guard_record){ .denied = true, .denied_at = now.now });
	secondary_granted();
	pass(policy.denied_confirm_interval_ms);
	secondary_granted();
	assert_false(actions & GUARD_DO_UNLOCK);
}

/* It said no, and is silent since: that is no start for the secondary. */
static void remembered_pending_denial(void)
{
	const struct guard_record record = { .pending = true, .denied_at = now.now };

	guard = guard_start(&record, now);
	event(GUARD_TICK);
	unlocked_by_secondary();
	assert_true(actions & GUARD_DO_WIPE);
	assert_true(actions & GUARD_DO_PERSIST);
	assert_int_equal(guard.reasons, GUARD_DENIED);
}

static void remembered_secondary_denial(void)
{
	start_with((struct guard_record){
		.denied = true, .denied_secondary = true, .denied_at = now.now });
	granted_twice();
	by_way_of_the_dek();
}

static void secondary_for_long(void)
{
	online();
	for (uint64_t ms = 0; ms < policy.outage_deny_after_ms + HOUR; ms += HOUR) {
		secondary_granted();
		pass(HOUR);
	}
}

static void denied_then_secondary(void)
{
	online();
	probed(VAULT_DENIED);
	secondary_granted();
	assert_int_equal(guard.denials, 1);
	assert_int_equal(guard.next_probe_ms, now.ms + policy.denied_confirm_interval_ms);
	pass(GUARD_SILENCE_CONFIRMS_MS - 1);
}

static void denied_then_secondary_only(void)
{
	denied_then_secondary();
	secondary_granted();
	pass(1);
	assert_false(guard_record_of(&guard).denied_secondary);
}

static void served_by_secondary(void)
{
	online();
	secondary_granted();
	assert_true(guard.secondary_serves);
}

static void secondary_denied_confirmed(void)
{
	served_by_secondary();
	for (int i = 0; i < 3; i++)
		secondary_denied();
	assert_true(actions & GUARD_DO_PERSIST);
	assert_true(guard_record_of(&guard).denied_secondary);
}

static void secondary_denied_primary_granted(void)
{
	served_by_secondary();
	secondary_denied();
	probed(VAULT_GRANTED);
	assert_int_equal(guard.denials, 0);
	assert_false(guard.secondary_serves);
}

/* The primary's word is the stronger one, whoever said it first. */
static void both_denied_secondary_granted(void)
{
	served_by_secondary();
	secondary_denied();
	probed(VAULT_DENIED);
	secondary_granted();
	assert_int_equal(guard.denials, 2);
}

static void read_only_granted_by_secondary(void)
{
	read_only();
	secondary_granted();
}

static void read_only_denied_granted_by_secondary(void)
{
	read_only();
	probed(VAULT_DENIED);
	secondary_granted();
	assert_int_equal(guard.denials, 1);
	assert_int_equal(guard.reasons, 0);
}

static void denied_granted_by_secondary(void)
{
	denied();
	secondary_granted();
	pass(policy.denied_confirm_interval_ms);
	secondary_granted();
}

static void denied_resumed_by_secondary(void)
{
	denied();
	step((struct guard_event){ .kind = GUARD_RESUME, .probe = { VAULT_GRANTED, true } });
	assert_int_equal(guard.reasons, GUARD_DENIED);
}

static void secondary_heals_its_own(void)
{
	secondary_denied_confirmed();
	event(GUARD_DRAINED);
	secondary_granted_twice();
	by_way_of_the_dek();
}

static void down_by_outage(void)
{
	read_only();
	pass(policy.outage_deny_after_ms - policy.outage_read_only_after_ms);
	event(GUARD_DRAINED);
}

static void outage_granted_by_secondary(void)
{
	down_by_outage();
	secondary_granted();
	assert_true(actions & GUARD_DO_UNLOCK);
	unlocked_by_secondary();
}

static void outage_denied_granted_by_secondary(void)
{
	down_by_outage();
	probed(VAULT_DENIED);
	secondary_granted();
	assert_false(actions & GUARD_DO_UNLOCK);
}

static void key_comes_after_a_denial(void)
{
	down_by_outage();
	secondary_granted();
	probed(VAULT_DENIED);
	unlocked_by_secondary();
	assert_true(actions & GUARD_DO_WIPE);
}

static const struct guard_line lines[] = {
	{ "| waiting | granted by the secondary | online |", waiting_granted_by_secondary,
	  GUARD_ONLINE },
	{ "| starting | remembered as denied by the primary, granted twice by the secondary | "
	  "inaccessible |",
	  remembered_primary_denial, GUARD_INACCESSIBLE },
	{ "| starting | remembered as denied once by the primary, granted by the secondary | "
	  "inaccessible |",
	  remembered_pending_denial, GUARD_INACCESSIBLE },
	{ "| starting | remembered as denied by the secondary, granted twice by the primary | "
	  "online, by way of the DEK |",
	  remembered_secondary_denial, GUARD_ONLINE },
	{ "| online | granted by the secondary for longer than outage_deny_after | online |",
	  secondary_for_long, GUARD_ONLINE },
	{ "| online | denied by the primary, then granted by the secondary | online, the denial "
	  "pending |",
	  denied_then_secondary, GUARD_ONLINE },
	{ "| online | the same, silent for 2 minutes but for the secondary | draining |",
	  denied_then_secondary_only, GUARD_DRAINING },
	{ "| online | denied by the secondary that serves, confirmed | draining |",
	  secondary_denied_confirmed, GUARD_DRAINING },
	{ "| online | denied by the secondary that serves, then granted by the primary | online |",
	  secondary_denied_primary_granted, GUARD_ONLINE },
	{ "| online | denied by the secondary that serves, then by the primary; granted by the "
	  "secondary | online, the denial pending |",
	  both_denied_secondary_granted, GUARD_ONLINE },
	{ "| read-only | granted by the secondary after an outage | online |",
	  read_only_granted_by_secondary, GUARD_ONLINE },
	{ "| read-only | denied by the primary, then granted by the secondary | read-only, the "
	  "denial pending |",
	  read_only_denied_granted_by_secondary, GUARD_READ_ONLY },
	{ "| inaccessible | granted by the secondary, denied by the primary | inaccessible |",
	  denied_granted_by_secondary, GUARD_INACCESSIBLE },
	{ "| inaccessible | resumed by the secondary, denied by the primary | inaccessible |",
	  denied_resumed_by_secondary, GUARD_INACCESSIBLE },
	{ "| inaccessible | granted twice by the secondary after its own denial | online, by way "
	  "of the DEK |",
	  secondary_heals_its_own, GUARD_ONLINE },
	{ "| inaccessible | granted by the secondary after an outage | online, by way of the DEK |",
	  outage_granted_by_secondary, GUARD_ONLINE },
	{ "| inaccessible | denied once by the primary after an outage, then granted by the "
	  "secondary | inaccessible |",
	  outage_denied_granted_by_secondary, GUARD_INACCESSIBLE },
	{ "| inaccessible | the same, the DEK asked for before | inaccessible |",
	  key_comes_after_a_denial, GUARD_INACCESSIBLE },
};

static void every_line_of_the_table_is_what_the_code_does(void **state)
{
	(void)state;
	walk_lines(lines, ARRAY_SIZE(lines));
}

static void the_page_and_the_test_have_the_same_lines(void **state)
{
	(void)state;
	assert_page_has(lines, ARRAY_SIZE(lines), "## Two vaults");
}

/* Two vaults: DESIGN.md, "Contract: key access". */
static void the_evidence_of_two_vaults(void **state)
{
	static const struct {
		enum vault_verdict primary, secondary;
		bool serving;
		struct guard_probe expect;
	} cases[] = {
		{ VAULT_GRANTED, VAULT_DENIED, true, { VAULT_GRANTED, false } },
		{ VAULT_DENIED, VAULT_GRANTED, true, { VAULT_DENIED, false } },
		{ VAULT_BROKEN, VAULT_GRANTED, true, { VAULT_BROKEN, false } },
		{ VAULT_UNREACHABLE, VAULT_GRANTED, false, { VAULT_GRANTED, true } },
		{ VAULT_UNREACHABLE, VAULT_DENIED, false, { VAULT_UNREACHABLE, false } },
		{ VAULT_UNREACHABLE, VAULT_DENIED, true, { VAULT_DENIED, true } },
		{ VAULT_UNREACHABLE, VAULT_UNREACHABLE, true, { VAULT_UNREACHABLE, false } },
		{ VAULT_UNREACHABLE, VAULT_BROKEN, true, { VAULT_UNREACHABLE, false } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guard_probe p =
			guard_evidence(cases[i].primary, &cases[i].secondary, cases[i].serving);

		assert_int_equal(p.verdict, cases[i].expect.verdict);
		assert_int_equal(p.secondary, cases[i].expect.secondary);
	}
	assert_int_equal(guard_evidence(VAULT_UNREACHABLE, NULL, true).verdict, VAULT_UNREACHABLE);
}

/* The secondary's DEK comes at the very moment at which the silence confirms the denial. */
static void a_key_does_not_outlast_a_denial_at_the_start(void **state)
{
	const struct guard_record record = { .pending = true, .denied_at = now.now };

	(void)state;
	reset();
	guard = guard_start(&record, now);
	event(GUARD_TICK);
	now.ms += GUARD_SILENCE_CONFIRMS_MS;
	unlocked_by_secondary();
	assert_int_equal(guard.state, GUARD_INACCESSIBLE);
	assert_true(actions & GUARD_DO_WIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_of_the_table_is_what_the_code_does),
		cmocka_unit_test(the_page_and_the_test_have_the_same_lines),
		cmocka_unit_test(the_evidence_of_two_vaults),
		cmocka_unit_test(a_key_does_not_outlast_a_denial_at_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
