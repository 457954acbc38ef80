/* SPDX-License-Identifier: Apache-2.0 */
/* A crew whose items hang when they are told to. */
#include "../support/test.h"

#include <stdatomic.h>

#include "tdefs/crew.h"

#define ITEMS 200u
#define MOST  8u
#define LONG  600000u /* milliseconds; no test waits for it */

static struct crew *crew;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned visits[ITEMS], holds[ITEMS]; /* under the lock */
static unsigned hang_below;		     /* items that hang; under the lock */

static void visit(void *arg, uint64_t item)
{
	(void)arg;
	LOCK_SCOPE(&lock);
	visits[item]++;
	pthread_cond_broadcast(&changed);
	while (item < hang_below)
		pthread_cond_wait(&changed, &lock);
}

static void let_go(void *arg, uint64_t item)
{
	(void)arg;
	LOCK_SCOPE(&lock);
	holds[item]--;
}

static bool run(uint64_t patience_ms)
{
	static const struct crew_work work = { visit, let_go, NULL };
	uint64_t items[ITEMS];

	for (unsigned i = 0; i < ITEMS; i++) {
		LOCK_SCOPE(&lock);
		items[i] = i;
		holds[i]++;
	}
	return crew_run(crew, &work, items, ITEMS, patience_ms);
}

static void hang(unsigned below)
{
	LOCK_SCOPE(&lock);
	hang_below = below;
	pthread_cond_broadcast(&changed);
}

static void assert_visits(unsigned from, unsigned times)
{
	LOCK_SCOPE(&lock);
	for (unsigned i = from; i < ITEMS; i++)
		assert_int_equal(visits[i], times);
}

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ITEMS; i++)
		visits[i] = holds[i] = 0;
	crew = crew_new(MOST);
	return crew ? 0 : -1;
}

/* Whatever happened: each item was let go of as often as it was held. */
static int teardown(void **state)
{
	(void)state;
	hang(0);
	crew_free(crew);
	for (unsigned i = 0; i < ITEMS; i++)
		assert_int_equal(holds[i], 0);
	return 0;
}

static void each_is_visited_once(void **state)
{
	(void)state;
	assert_true(run(LONG));
	assert_visits(0, 1);
	assert_true(run(LONG));
	assert_visits(0, 2);
}

static void what_hangs_holds_up_nothing_else(void **state)
{
	(void)state;
	hang(MOST - 1);
	assert_false(run(2000));
	assert_visits(0, 1);
	/* Not begun again, so that the crew is not used up in time. */
	assert_false(run(2000));
	assert_visits(MOST - 1, 2);
	for (unsigned i = 0; i < MOST - 1; i++)
		assert_int_equal(visits[i], 1);
	hang(0);
	while (!run(LONG)) /* those that hung may still be on their way out */
		;
	assert_true(visits[0] > 1);
}

static void a_crew_that_hangs_whole_gives_up(void **state)
{
	(void)state;
	hang(ITEMS);
	assert_false(run(2000));
	LOCK_SCOPE(&lock);
	assert_int_equal(visits[ITEMS - 1], 0);
	hang_below = 0;
	pthread_cond_broadcast(&changed);
}

static void nothing_to_do_is_done(void **state)
{
	static const struct crew_work work = { visit, let_go, NULL };

	(void)state;
	assert_true(crew_run(crew, &work, NULL, 0, LONG));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_is_visited_once),
		TEST(what_hangs_holds_up_nothing_else),
		TEST(a_crew_that_hangs_whole_gives_up),
		TEST(nothing_to_do_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
