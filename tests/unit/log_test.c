/* SPDX-License-Identifier: Apache-2.0 */
/* A log that hangs: a FIFO that nobody reads. */
#include "../support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../support/temporary.h"
#include "tdefs/log.h"

#define LINES 4000 /* more than a FIFO and the queue hold */

static char dir[256], path[300];
static int fifo; /* its reading end */

static int setup(void **state)
{
	(void)state;
	if (temporary_directory(dir) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	if (mkfifo(path, 0600) < 0)
		return -1;
	fifo = open(path, O_RDWR | O_CLOEXEC);
	return fifo < 0 || log_open(path) < 0;
}

static int teardown(void **state)
{
	(void)state;
	close(fifo);
	return temporary_remove(dir);
}

static void log_lines(void)
{
	for (int i = 0; i < LINES; i++)
		log_info("line %04d, and something to make it long enough to fill a pipe", i);
}

/* Until a line has this text; how many lines came before it. */
static unsigned lines_until(FILE *reader, const char *text)
{
	char line[256];
	unsigned count = 0;

	while (fgets(line, sizeof(line), reader) && !strstr(line, text))
		count++;
	return count;
}

static void what_is_logged_while_it_hangs_is_counted(void **state)
{
	FILE *reader = fdopen(dup(fifo), "r");
	unsigned came;
	char line[256];

	(void)state;
	assert_int_equal(log_start(), 0);
	log_lines(); /* comes back */
	came = lines_until(reader, "dropped");
	assert_in_range(came, 1, LINES - 1);
	log_info("it goes on");
	assert_int_equal(lines_until(reader, "it goes on"), 0);
	log_info("the last");
	log_close();
	assert_non_null(fgets(line, sizeof(line), reader)); /* written by then */
	assert_non_null(strstr(line, "the last"));
	assert_int_equal(fclose(reader), 0);
}

/* Nobody reads: the end comes all the same. In a process of its own, for its thread stays. */
static void an_end_does_not_wait_for_ever(void **state)
{
	int status = -1;
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0) {
		int r = log_start();

		log_lines();
		log_close();
		log_info("nobody writes it");
		_exit(r == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* The thread is the parent's: a child's lines must not wait for it. */
static void a_child_writes_itself(void **state)
{
	FILE *reader = fdopen(dup(fifo), "r");
	int status = -1;
	pid_t child;

	(void)state;
	assert_int_equal(log_start(), 0);
	child = fork();
	if (child == 0) {
		log_info("of the child");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	log_close();
	assert_int_equal(lines_until(reader, "of the child"), 0);
	assert_int_equal(fclose(reader), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_logged_while_it_hangs_is_counted),
		TEST(an_end_does_not_wait_for_ever),
		TEST(a_child_writes_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
