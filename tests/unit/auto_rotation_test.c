/* SPDX-License-Identifier: Apache-2.0 */
/* What rotation by itself decides, and when; and when an expiry is soon. */
#include "../support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../src/volume/volume_expiry.h"
#include "../../src/volume/volume_newest.h"

#define MINUTE ((uint64_t)60 * 1000)
#define HOUR   (60 * MINUTE)

/* All that lets it rotate; each case takes some of it away. */
static const struct auto_facts ready = {
	.enabled = true, .to_do = true, .up = true, .due = true, .named = true
};

static enum auto_action decide(struct auto_facts f)
{
	return auto_decide(&f);
}

#define WITH(change)                                                                               \
	({                                                                                         \
		struct auto_facts f = ready;                                                       \
		f.change;                                                                          \
		decide(f);                                                                         \
	})

static void each_condition_is_needed(void **state)
{
	(void)state;
	assert_int_equal(decide(ready), AUTO_ROTATE);
	assert_int_equal(WITH(enabled = false), AUTO_NOTHING);
	assert_int_equal(WITH(to_do = false), AUTO_NOTHING);
	assert_int_equal(WITH(at_work = true), AUTO_NOTHING);
	assert_int_equal(WITH(pinned = true), AUTO_LEAVE);
	assert_int_equal(WITH(named = false), AUTO_LEAVE);
	assert_int_equal(WITH(up = false), AUTO_WAIT);
	assert_int_equal(WITH(due = false), AUTO_WAIT);
	assert_int_equal(WITH(second = SECOND_NOT_ASKED), AUTO_ASK_SECOND);
	assert_int_equal(WITH(second = SECOND_LACKS_IT), AUTO_HOLD);
	assert_int_equal(WITH(second = SECOND_HAS_IT), AUTO_ROTATE);
}

/* Nobody asks the second vault for what is not to be done now. */
static void every_combination_rotates_only_when_all_agree(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 128; bits++)
		for (int second = SECOND_NONE; second <= SECOND_LACKS_IT; second++) {
			const struct auto_facts f = { bits & 1,	     bits >> 1 & 1,
						      bits >> 2 & 1, bits >> 3 & 1,
						      bits >> 4 & 1, bits >> 5 & 1,
						      bits >> 6 & 1, (enum auto_second)second };
			const bool now = f.enabled && f.to_do && !f.at_work && f.up && f.due &&
					 !f.pinned && f.named;
			const enum auto_action action = auto_decide(&f);

			assert_int_equal(action == AUTO_ROTATE,
					 now && (second == SECOND_NONE || second == SECOND_HAS_IT));
			assert_int_equal(action == AUTO_HOLD, now && second == SECOND_LACKS_IT);
			assert_int_equal(action == AUTO_ASK_SECOND,
					 now && second == SECOND_NOT_ASKED);
		}
}

static void pauses_grow_to_an_hour(void **state)
{
	(void)state;
	assert_int_equal(auto_retry_ms(1), MINUTE);
	assert_int_equal(auto_retry_ms(2), 2 * MINUTE);
	assert_int_equal(auto_retry_ms(6), 32 * MINUTE);
	assert_int_equal(auto_retry_ms(7), HOUR);
	assert_int_equal(auto_retry_ms(UINT32_MAX), HOUR);
}

static void a_fleet_is_spread_over_a_quarter_of_a_poll(void **state)
{
	(void)state;
	assert_int_equal(auto_spread_ms(10 * MINUTE, 0), 0);
	assert_int_equal(auto_spread_ms(10 * MINUTE, UINT16_MAX), 10 * MINUTE / 4);
	assert_in_range(auto_spread_ms(24 * HOUR, UINT16_MAX / 2), 2 * HOUR, 4 * HOUR);
	assert_int_equal(auto_spread_ms(0, UINT16_MAX), 0);
}

static struct newest looked_at(const char *newer)
{
	struct newest n = { .up = true, .pause_ms = 10 * MINUTE, .by_itself.enabled = true };

	n.view.newer = newer[0];
	(void)snprintf(n.view.kid, sizeof(n.view.kid), "%s", newer);
	pthread_mutex_init(&n.lock, NULL);
	pthread_cond_init(&n.changed, NULL);
	return n;
}

static const struct rotation_outcome done = { .rotated = true };
static const struct rotation_outcome failed = { .error = -EIO, .message = { .text = "no" } };

/* The look after the new header may be faster than the end of its rotation. */
static void what_was_found_meanwhile_is_the_next(void **state)
{
	struct newest n = looked_at("https://v/keys/k/3");
	uint64_t due_ms;

	(void)state;
	auto_found(&n, 0);
	n.by_itself.at_work = true; /* with version 2 */
	auto_rotated(&n, &done);
	assert_true(auto_is_awaited(&n, &due_ms));
	assert_string_equal(n.by_itself.kid, n.view.kid);
	n.view.newer = false;
	auto_rotated(&n, &done);
	assert_false(auto_is_awaited(&n, &due_ms));
}

/* Who turned it off does not hear of it for ever. */
static void a_failure_of_what_was_turned_off_is_no_alarm(void **state)
{
	struct newest n = looked_at("https://v/keys/k/2");

	(void)state;
	auto_found(&n, 0);
	auto_rotated(&n, &failed);
	assert_int_equal(n.by_itself.failures, 1);
	n.by_itself.enabled = false;
	auto_forget(&n.by_itself);
	auto_rotated(&n, &failed);
	assert_int_equal(n.by_itself.failures, 0);
}

static void an_expiry_is_soon_from_its_warning_on(void **state)
{
	const uint64_t at = 1000000;

	(void)state;
	assert_false(expiry_is_soon(0, MINUTE, at));
	assert_false(expiry_is_soon(at, 0, at)); /* nobody wants to know */
	assert_false(expiry_is_soon(at, MINUTE, at - 61));
	assert_true(expiry_is_soon(at, MINUTE, at - 60));
	assert_true(expiry_is_soon(at, MINUTE, at));
	assert_true(expiry_is_soon(at, MINUTE, at + 100000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_condition_is_needed),
		cmocka_unit_test(every_combination_rotates_only_when_all_agree),
		cmocka_unit_test(pauses_grow_to_an_hour),
		cmocka_unit_test(a_fleet_is_spread_over_a_quarter_of_a_poll),
		cmocka_unit_test(what_was_found_meanwhile_is_the_next),
		cmocka_unit_test(a_failure_of_what_was_turned_off_is_no_alarm),
		cmocka_unit_test(an_expiry_is_soon_from_its_warning_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
