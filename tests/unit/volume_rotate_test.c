/* SPDX-License-Identifier: Apache-2.0 */
/* A mounted volume takes another key while everybody looks at it. */
#include "../support/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "tdefs/control.h"
#include "tdefs/log.h"

#define ROUNDS 6

static char dir[TEMPORARY_PATH_MAX];
static struct config *config;
static const struct volume_config *vc;
static struct errmsg err;
static struct control_context context = { .libfuse = "x" };
static _Atomic bool ended;

static void write_config(unsigned key)
{
	char path[TEMPORARY_PATH_MAX + 16], fresh[TEMPORARY_PATH_MAX + 32];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/t.conf", dir);
	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	f = fopen(fresh, "w");
	assert_non_null(f);
	fprintf(f,
		"[server]\nprotector = file:%s/key%u.pem\nlinked = file:%s/key%u.pem\n"
		"probe_interval = 1s\nstate_dir = %s/state\nruntime_dir = %s/run\n"
		"[volume v]\nbacking = %s/back\nmount = %s/mnt\n",
		dir, key, dir, !key, dir, dir, dir, dir);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(fresh, path), 0);
}

static int setup(void **state)
{
	const struct vault_watch watch = { .volume = "v" };
	struct volume_header h;
	char command[2048], path[TEMPORARY_PATH_MAX + 16];

	(void)state;
	if (temporary_directory(dir) < 0)
		return -1;
	(void)snprintf(command, sizeof(command),
		       "cd %s && mkdir -m 700 back && mkdir mnt && cp %s/oaep_key.pem key0.pem && "
		       "openssl genrsa -out key1.pem 2048 2>/dev/null && chmod 600 *.pem",
		       dir, TDEFS_VECTORS);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own words */
	write_config(0);
	(void)snprintf(path, sizeof(path), "%s/t.conf", dir);
	assert_int_equal(config_load(path, &config, &err), 0);
	assert_int_equal(config_volume(config, "v", &vc, &err), 0);
	return volume_format(&sysio_kernel, config, vc, &watch, 1, &h, &err) ||
	       log_open("/dev/null");
}

static int teardown(void **state)
{
	(void)state;
	config_free(config);
	return temporary_remove(dir);
}

static struct volume *open_volume(void)
{
	const struct volume_options o = { .sys = &sysio_kernel };
	struct volume *v = NULL;

	assert_int_equal(volume_open(config, vc, &o, &v, &err), 0);
	assert_int_equal(volume_start(v, &err), 0);
	assert_int_equal(guard_runner_wait(volume_guard(v), 60000), GUARD_ONLINE);
	return v;
}

static void *look(void *arg)
{
	static const char *const requests[] = { "{\"command\":\"status\"}",
						"{\"command\":\"metrics\"}",
						"{\"command\":\"reload\"}" };

	(void)arg;
	for (unsigned i = 0; !atomic_load(&ended); i++) {
		const char *request = requests[i % 3];

		free(control_answer(&context, request, strlen(request), 0));
	}
	return NULL;
}

static struct rotation_view wait_for_end(struct volume *v)
{
	struct rotation_view view;

	do {
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		volume_rotation_view(v, &view);
	} while (view.busy);
	return view;
}

static void rotations_are_seen_whole_by_all(void **state)
{
	static struct rotation_view view;
	struct volume *v = open_volume();
	struct rotation_request request = { 0 };
	struct volume_header h;
	pthread_t threads[2];
	uint64_t number = 0;

	(void)state;
	context.volume = v;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look, NULL), 0);
	for (unsigned round = 1; round <= ROUNDS; round++) {
		write_config(round % 2);
		request.retire = round % 3 == 0;
		assert_int_equal(volume_rotate(v, &request, &number, &err), 0);
		assert_int_equal(number, round);
		view = wait_for_end(v);
		if (view.outcome.error)
			print_error("%s\n", view.outcome.message.text);
		assert_int_equal(view.outcome.error, 0);
		assert_true(view.outcome.rotated);
		assert_int_equal(view.outcome.retired, request.retire);
		volume_header(v, &h);
		assert_string_equal(volume_header_active_slot(&h)->kid, view.outcome.after.kid);
		assert_false(volume_protector_drift(v));
	}
	atomic_store(&ended, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(volume_close(v), 0);
	/* As it was configured at first: what opens it now is the linked key, or the protector. */
	v = open_volume();
	context.volume = v;
	assert_int_equal(volume_close(v), 0);
}

static void a_rotation_that_the_unmount_meets_is_waited_for(void **state)
{
	struct volume *v = open_volume();
	struct rotation_request request = { 0 };
	uint64_t number;

	(void)state;
	write_config(1);
	assert_int_equal(volume_rotate(v, &request, &number, &err), 0);
	assert_int_equal(volume_close(v), 0);
	v = open_volume();
	assert_int_equal(volume_close(v), 0);
}

static void what_nobody_asked_for_is_not_done_to_another_header(void **state)
{
	struct volume *v = open_volume();
	struct rotation_request request = { .by_itself = true };
	static struct rotation_view view;
	struct volume_header h;
	uint64_t number;

	(void)state;
	write_config(1);
	volume_header(v, &h);
	request.if_sequence = h.sequence + 1;
	assert_int_equal(volume_rotate(v, &request, &number, &err), -EAGAIN);
	assert_int_equal(err.exit_code, EXIT_CODE_TRY_AGAIN);
	request.if_sequence = h.sequence;
	assert_int_equal(volume_rotate(v, &request, &number, &err), 0);
	view = wait_for_end(v);
	assert_true(view.outcome.rotated && view.by_itself);
	assert_int_equal(volume_close(v), 0);
}

static void a_locked_volume_is_refused(void **state)
{
	struct volume *v = open_volume();
	struct rotation_request request = { 0 };
	uint64_t number;

	(void)state;
	assert_int_equal(guard_runner_command(volume_guard(v),
					      &(struct guard_event){ .kind = GUARD_LOCK }),
			 0);
	while (guard_runner_wait(volume_guard(v), 100) == GUARD_ONLINE)
		;
	assert_int_equal(volume_rotate(v, &request, &number, &err), -EAGAIN);
	assert_int_equal(err.exit_code, EXIT_CODE_TRY_AGAIN);
	assert_int_equal(volume_close(v), 0);
}

/* Online as yet: what was unwrapped before the denial may not end in another key. */
static void a_denial_that_is_being_confirmed_counts(void **state)
{
	struct volume *v = open_volume();
	struct rotation_request request = { 0 };
	struct guard_view view;
	char path[TEMPORARY_PATH_MAX + 16];
	uint64_t number;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/key0.pem", dir);
	assert_int_equal(unlink(path), 0);
	do {
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		guard_runner_view(volume_guard(v), &view);
	} while (view.guard.denials == 0);
	assert_int_equal(volume_rotate(v, &request, &number, &err), -EAGAIN);
	assert_int_equal(err.exit_code, EXIT_CODE_TRY_AGAIN);
	assert_int_equal(volume_close(v), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rotations_are_seen_whole_by_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rotation_that_the_unmount_meets_is_waited_for,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_nobody_asked_for_is_not_done_to_another_header,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_locked_volume_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_denial_that_is_being_confirmed_counts, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
