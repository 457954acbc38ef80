/* SPDX-License-Identifier: Apache-2.0 */
/* A log that hangs (a FIFO that nobody reads), one that is rotated, and one that is the journal. */
#include "../support/test.h"

#include <fcntl.h>
#include <inttypes.h>
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

/* A file's text, for a moment. */
static const char *text_of(const char *file)
{
	static char text[1024];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	assert_true(n >= 0);
	if (fd >= 0)
		close(fd);
	text[n] = '\0';
	return text;
}

/* As logrotate(8) does, with and without "create"; the old file keeps what was written. */
static void a_file_is_followed_by_its_name(void **state)
{
	char file[300], moved[300], aside[300];
	struct stat st;

	(void)state;
	(void)snprintf(file, sizeof(file), "%s/file", dir);
	(void)snprintf(moved, sizeof(moved), "%s/file.1", dir);
	(void)snprintf(aside, sizeof(aside), "%s/aside", dir);
	assert_int_equal(log_open(file), 0);
	assert_int_equal(log_start(), 0);
	log_info("the first");
	log_close();
	assert_int_equal(rename(file, moved), 0);
	assert_int_equal(log_start(), 0);
	log_info("the second");
	log_close(); /* written by then */
	assert_non_null(strstr(text_of(moved), "the first\n"));
	assert_null(strstr(text_of(moved), "the second"));
	assert_non_null(strstr(text_of(file), "the second\n"));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	/* A name that cannot be had: the file of before goes on. */
	assert_int_equal(rename(file, aside), 0);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(log_start(), 0);
	log_info("the third");
	log_close();
	assert_non_null(strstr(text_of(aside), "the third\n"));
}

/* Standard error of a process of its own, with this in its environment, is a pipe; what comes. */
static const char *said_to_stderr(bool name_it)
{
	static char text[1024];
	int pipe_fds[2], status = -1;
	struct stat st;
	pid_t child;
	ssize_t n;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(fstat(pipe_fds[1], &st), 0);
	(void)snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev,
		       (uintmax_t)st.st_ino + (name_it ? 0 : 1));
	child = fork();
	if (child == 0) {
		if (setenv("JOURNAL_STREAM", text, 1) < 0 || dup2(pipe_fds[1], STDERR_FILENO) < 0 ||
		    log_open("stderr") < 0)
			_exit(1);
		log_error("an error");
		log_warning("a warning");
		log_info("a word");
		_exit(0);
	}
	close(pipe_fds[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	n = read(pipe_fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	close(pipe_fds[0]);
	text[n] = '\0';
	return text;
}

static void the_journal_is_told_priorities(void **state)
{
	(void)state;
	assert_string_equal(said_to_stderr(true), "<3>an error\n<4>a warning\n<6>a word\n");
	assert_non_null(strstr(said_to_stderr(false), "Z warning: a warning\n")); /* redirected */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_logged_while_it_hangs_is_counted),
		TEST(an_end_does_not_wait_for_ever),
		TEST(a_child_writes_itself),
		TEST(a_file_is_followed_by_its_name),
		TEST(the_journal_is_told_priorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
