/* SPDX-License-Identifier: Apache-2.0 */
/* A guard that is led from state to state, and a table of STATES.md that is walked. For one test program each. */
#ifndef TDEFS_TESTS_GUARD_WALK_H
#define TDEFS_TESTS_GUARD_WALK_H

#include "test.h"

#include <stdio.h>
#include <string.h>

#include "tdefs/guard.h"

#define SECOND ((uint64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

static struct guard_policy policy;
static struct guard guard;
static struct guard_time now;
static unsigned actions; /* of the last step */

static inline void reset(void)
{
	policy = (struct guard_policy){ .probe_interval_ms = MINUTE,
					.probe_timeout_ms = 10 * SECOND,
					.denied_confirmations = 2,
					.denied_confirm_interval_ms = 5 * SECOND,
					.drain_timeout_ms = 10 * SECOND,
					.denied_read_only_for_ms = 30 * MINUTE,
					.outage_read_only_after_ms = 4 * HOUR,
					.outage_deny_after_ms = 8 * HOUR,
					.outage_extend_max_ms = 2 * HOUR,
					.heal_window_ms = 30 * MINUTE };
	now = (struct guard_time){ .ms = 1000000, .now = 1700000000, .jitter = 100 };
}

static inline void step(struct guard_event e)
{
	actions = guard_step(&policy, &guard, &e, now);
	assert_true(guard_is_sound(&guard));
}

static inline void pass(uint64_t ms)
{
	now.ms += ms;
	now.now += ms / 1000;
	step((struct guard_event){ .kind = GUARD_TICK });
}

static inline void probed(enum vault_verdict verdict)
{
	step((struct guard_event){ .kind = GUARD_PROBED, .probe = { .verdict = verdict } });
}

static inline void secondary_granted(void)
{
	step((struct guard_event){ .kind = GUARD_PROBED, .probe = { VAULT_GRANTED, true } });
}

static inline void unlocked(enum vault_verdict verdict)
{
	assert_true(guard.unlocking);
	step((struct guard_event){ .kind = verdict == VAULT_GRANTED ? GUARD_UNLOCKED
								    : GUARD_UNLOCK_FAILED,
				   .probe = { .verdict = verdict } });
}

static inline void event(enum guard_event_kind kind)
{
	step((struct guard_event){ .kind = kind });
}

static inline void resumed(enum vault_verdict verdict)
{
	step((struct guard_event){ .kind = GUARD_RESUME, .probe = { .verdict = verdict } });
}

static inline void drill(enum guard_drill what)
{
	step((struct guard_event){ .kind = GUARD_DRILL_BEGIN, .drill = what, .for_ms = MINUTE });
}

/* To each state, by the shortest way. */

static inline void starting(void)
{
	const struct guard_record nothing = { 0 };

	guard = guard_start(&nothing, now);
	event(GUARD_TICK);
	assert_true(actions & GUARD_DO_UNLOCK);
}

static inline void waiting(void)
{
	starting();
	unlocked(VAULT_UNREACHABLE);
	pass(policy.denied_confirm_interval_ms);
	assert_true(actions & GUARD_DO_UNLOCK);
}

static inline void online(void)
{
	starting();
	unlocked(VAULT_GRANTED);
}

static inline void denied_thrice(void)
{
	for (int i = 0; i < 3; i++) {
		probed(VAULT_DENIED);
		pass(policy.denied_confirm_interval_ms);
	}
}

static inline void draining(void)
{
	online();
	denied_thrice();
}

static inline void silent_for(uint64_t ms)
{
	probed(VAULT_UNREACHABLE);
	pass(ms);
}

static inline void read_only(void)
{
	online();
	silent_for(policy.outage_read_only_after_ms);
	event(GUARD_DRAINED);
}

/* The record is written, which the way up waits for. */
static inline void kept(void)
{
	assert_true(guard.unkept);
	event(GUARD_KEPT);
}

static inline void denied(void)
{
	draining();
	event(GUARD_DRAINED);
	kept();
}

static inline void locked(void)
{
	online();
	event(GUARD_LOCK);
	event(GUARD_DRAINED);
	kept();
}

static inline void by_way_of_the_dek(void)
{
	if (guard.unkept)
		kept();
	assert_int_equal(guard.state, GUARD_INACCESSIBLE);
	assert_true(actions & GUARD_DO_UNLOCK);
	unlocked(VAULT_GRANTED);
	assert_true(actions & GUARD_DO_SWITCH);
}

static inline void granted_twice(void)
{
	probed(VAULT_GRANTED);
	assert_false(actions & GUARD_DO_UNLOCK);
	pass(policy.denied_confirm_interval_ms);
	probed(VAULT_GRANTED);
}

static inline void start_with(struct guard_record record)
{
	guard = guard_start(&record, now);
	event(GUARD_TICK);
	assert_false(actions & GUARD_DO_UNLOCK);
}

/* A line of a table, how it is walked, and where it leads. */
struct guard_line {
	const char *text;
	void (*walk)(void);
	enum guard_state to;
};

static inline void walk_lines(const struct guard_line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		reset();
		lines[i].walk();
		if (guard.state == lines[i].to)
			continue;
		print_error("%s leads to %s\n", lines[i].text, guard_state_name(guard.state));
		fail();
	}
}

/* The page's table in this section has these lines, in this order. */
static inline void assert_page_has(const struct guard_line *lines, size_t n, const char *section)
{
	CLEANUP_FCLOSE FILE *page = fopen(TDEFS_STATES, "re");
	char line[512];
	bool in_table = false;
	size_t seen = 0;

	assert_non_null(page);
	while (fgets(line, sizeof(line), page)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "## ", 3) == 0)
			in_table = strcmp(line, section) == 0;
		if (!in_table || line[0] != '|' || strncmp(line, "| from", 6) == 0 ||
		    strncmp(line, "|---", 4) == 0)
			continue;
		assert_true(seen < n);
		assert_string_equal(line, lines[seen].text);
		seen++;
	}
	assert_int_equal(seen, n);
}

#endif
