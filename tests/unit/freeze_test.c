/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are held back: in order, all of them, and never for ever. */
#include "../support/test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/freeze.h"

static char served[256];

static void serve(void *arg, void *request, size_t len)
{
	(void)arg;
	strncat(served, request, len < sizeof(served) - 1 - strlen(served) ? len : 0);
}

static int setup(void **state)
{
	served[0] = '\0';
	*state = freeze_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	freeze_free(*state);
	return 0;
}

static void what_is_not_held_goes_on(void **state)
{
	struct freeze *f = *state;

	assert_true(freeze_enter(f, "a", 1));
	freeze_hold(f);
	assert_false(freeze_wait_for_others(f, 5)); /* it had entered before */
	freeze_leave(f);
	assert_true(freeze_wait_for_others(f, 5));
	assert_true(freeze_is_held(f));
	assert_int_equal(freeze_end(f, FREEZE_THAWED), 0);
	assert_int_equal(freeze_end(f, FREEZE_TIME), -EALREADY);
	assert_int_equal(freeze_wait(f, 0), FREEZE_THAWED); /* the first reason counts */
	assert_true(freeze_enter(f, "b", 1));
	freeze_leave(f);
}

static void what_is_held_comes_in_its_order(void **state)
{
	struct freeze *f = *state;

	freeze_hold(f);
	assert_false(freeze_enter(f, "ab", 2));
	assert_false(freeze_enter(f, "c", 1));
	assert_false(freeze_enter(f, "", 0));
	assert_false(freeze_try_enter(f)); /* nothing of it is kept, nor counted */
	assert_int_equal(freeze_count(f), 3);
	assert_true(freeze_wait_for_others(f, 0)); /* they keep nobody waiting */
	assert_int_equal(freeze_wait(f, 1), FREEZE_TIME);
	assert_false(freeze_is_held(f));
	freeze_serve(f, serve, NULL);
	assert_string_equal(served, "abc");
	assert_int_equal(freeze_ended_by(f), FREEZE_TIME);
	assert_true(freeze_try_enter(f));
	freeze_leave(f);
	assert_int_equal(freeze_count(f), 0);
}

static void too_much_ends_it(void **state)
{
	const size_t len = FREEZE_HELD_MAX / 4;
	struct freeze *f = *state;
	char *request = calloc(1, len);

	assert_non_null(request);
	freeze_hold(f);
	for (int i = 0; i < 4; i++)
		assert_false(freeze_enter(f, request, len));
	assert_true(freeze_is_held(f));
	assert_true(
		freeze_enter(f, request, 1)); /* carried out now: no longer frozen, and said so */
	freeze_leave(f);
	assert_int_equal(freeze_wait(f, 1000), FREEZE_MEMORY);
	free(request);
}

static void *wait_behind(void *arg)
{
	freeze_wait_behind(arg);
	return NULL;
}

static void who_waits_behind_it_counts(void **state)
{
	struct freeze *f = *state;
	pthread_t thread;

	freeze_wait_behind(f); /* nothing is held: at once */
	freeze_hold(f);
	assert_false(freeze_enter(f, "a", 1));
	assert_int_equal(pthread_create(&thread, NULL, wait_behind, f), 0);
	while (freeze_count(f) < 2)
		sched_yield();
	assert_true(freeze_wait_for_others(f, 0));
	assert_int_equal(freeze_end(f, FREEZE_THAWED), 0);
	pthread_join(thread, NULL);
	assert_int_equal(freeze_held(f), 2);
	freeze_serve(f, serve, NULL);
	assert_int_equal(freeze_count(f), 0);
	assert_int_equal(freeze_held(f), 2); /* of the last, until the next ends */
}

static void *enter_often(void *arg)
{
	struct freeze *f = arg;

	for (int i = 0; i < 10000; i++)
		if (freeze_enter(f, "x", 1))
			freeze_leave(f);
	return NULL;
}

static void nobody_is_missed(void **state)
{
	struct freeze *f = *state;
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, enter_often, f), 0);
	for (int i = 0; i < 100; i++) {
		freeze_hold(f);
		assert_true(freeze_wait_for_others(f, 60000));
		IGNORE_RESULT(freeze_end(f, FREEZE_THAWED), "nobody else ends it");
		freeze_serve(f, serve, NULL);
		served[0] = '\0';
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(freeze_wait_for_others(f, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_not_held_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_held_comes_in_its_order, setup, teardown),
		cmocka_unit_test_setup_teardown(too_much_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(who_waits_behind_it_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_missed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
