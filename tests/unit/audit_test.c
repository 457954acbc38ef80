/* SPDX-License-Identifier: Apache-2.0 */
/* The event log: its chain, what it does without a disk, and who gives way to whom. */
#include "../support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/temporary.h"
#include "tdefs/audit.h"

static char dir[TEMPORARY_PATH_MAX], event_dir[TEMPORARY_PATH_MAX + 16],
	state_dir[TEMPORARY_PATH_MAX + 16];
static struct audit *recorder;

static struct audit_options options(void)
{
	return (struct audit_options){ .event_dir = event_dir,
				       .state_dir = state_dir,
				       .volume = "v",
				       .log_size = 1 << 20,
				       .log_keep = 3,
				       .retry_ms = 1,
				       .close_wait_ms = 240000,
				       .sys = &sysio_kernel };
}

static void open_recorder(const struct audit_options *o)
{
	struct errmsg err = { 0 };

	assert_int_equal(audit_open(o, &recorder, &err), 0);
}

static int setup(void **state)
{
	(void)state;
	recorder = NULL;
	if (temporary_directory(dir) < 0)
		return -1;
	(void)snprintf(event_dir, sizeof(event_dir), "%s/log", dir);
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	audit_close(recorder);
	return temporary_remove(dir);
}

static void close_recorder(void)
{
	audit_close(TAKE_PTR(recorder));
}

/* The n-th line (from 0) of the log, parsed; NULL: there is none. */
static json_t *line(const char *name, unsigned n)
{
	char path[2 * TEMPORARY_PATH_MAX], text[AUDIT_LINE_MAX + 2];
	CLEANUP_FCLOSE FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "%s/%s", event_dir, name);
	f = fopen(path, "r");
	if (!f)
		return NULL;
	do
		if (!fgets(text, sizeof(text), f))
			return NULL;
	while (n-- > 0);
	return json_loads(text, JSON_REJECT_DUPLICATES, NULL);
}

static const char *text_of(json_t *line, const char *name)
{
	return json_string_value(json_object_get(line, name));
}

static void events_are_chained_lines(void **state)
{
	const struct audit_options o = options();
	char previous[HEX_LEN(SHA256_LEN)] = "";

	(void)state;
	memset(previous, '0', sizeof(previous) - 1);
	open_recorder(&o);
	audit_record(recorder, AUDIT_MAJOR, "state", json_pack("{s:s}", "to", "online"));
	audit_record(recorder, AUDIT_MINOR, "file", NULL);
	close_recorder();
	open_recorder(&o); /* and goes on after a restart */
	audit_record(recorder, AUDIT_MAJOR, "lock", json_pack("{s:s, s:i}", "by", "x\n", "seq", 9));
	close_recorder();
	for (unsigned i = 0; i < 3; i++) {
		json_t *l = line("v.jsonl", i);

		assert_non_null(l);
		assert_int_equal(json_integer_value(json_object_get(l, "seq")), i + 1);
		assert_string_equal(text_of(l, "volume"), "v");
		assert_string_equal(text_of(l, "prev"), previous);
		(void)snprintf(previous, sizeof(previous), "%s", text_of(l, "hash"));
		if (i == 0)
			assert_string_equal(text_of(l, "to"), "online");
		json_decref(l);
	}
	assert_null(line("v.jsonl", 3));
}

static void log_that_fails_is_written_later(void **state)
{
	struct audit_options o = options();
	struct audit_view view;
	json_t *l;

	(void)state;
	(void)snprintf(event_dir, sizeof(event_dir), "%s/later/log", dir);
	open_recorder(&o);
	audit_record(recorder, AUDIT_MAJOR, "state", NULL);
	do
		audit_view(recorder, &view);
	while (!view.failing);
	assert_non_null(strstr(view.error, "later/log"));
	assert_true(view.failing_since > 0);
	assert_int_equal(view.waiting, 1);
	(void)snprintf(event_dir, sizeof(event_dir), "%s/later", dir);
	assert_int_equal(mkdir(event_dir, 0700), 0);
	do
		audit_view(recorder, &view);
	while (view.failing || view.waiting > 0);
	close_recorder();
	(void)snprintf(event_dir, sizeof(event_dir), "%s/later/log", dir);
	l = line("v.jsonl", 0);
	assert_string_equal(text_of(l, "event"), "state");
	json_decref(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(events_are_chained_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(log_that_fails_is_written_later, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
