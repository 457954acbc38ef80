/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors, hexadecimal, secrets, number tables, whole-file replacement. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/temporary.h"
#include "tdefs/atomic_file.h"
#include "tdefs/bytes.h"
#include "tdefs/errmsg.h"
#include "tdefs/idtable.h"
#include "tdefs/secret.h"

static void cursor_reads_what_cursor_wrote(void **state)
{
	uint8_t bytes[32], copy[3];
	struct wr w = wr_over(bytes, sizeof(bytes));
	struct rd r;

	(void)state;
	wr_le16(&w, 0x1234);
	wr_le32(&w, 0xdeadbeef);
	wr_le64(&w, 0x0102030405060708);
	wr_copy(&w, "abc", 3);
	wr_zeros_until(&w, 32);
	assert_false(w.bad);
	assert_int_equal(bytes[0], 0x34); /* little-endian */
	assert_int_equal(bytes[2], 0xef);
	r = rd_over(bytes, sizeof(bytes));
	assert_int_equal(rd_le16(&r), 0x1234);
	assert_int_equal(rd_le32(&r), 0xdeadbeef);
	assert_true(rd_le64(&r) == 0x0102030405060708);
	rd_copy(&r, copy, 3);
	assert_memory_equal(copy, "abc", 3);
	rd_zeros_until(&r, 32);
	assert_false(r.bad);
}

static void cursor_never_leaves_its_bytes(void **state)
{
	uint8_t bytes[4] = { 1, 2, 3, 4 }, out[8];
	struct rd r = rd_over(bytes, 4);
	struct wr w = wr_over(bytes, 3);

	(void)state;
	assert_int_equal(rd_le64(&r), 0);
	assert_true(r.bad);
	assert_int_equal(rd_le16(&r), 0); /* sticky */
	memset(out, 9, sizeof(out));
	rd_copy(&r, out, sizeof(out));
	assert_true(bytes_all_zero(out, sizeof(out)));
	wr_le32(&w, 7);
	assert_true(w.bad);
	assert_int_equal(bytes[0], 1);
	wr_le16(&w, 7);
	assert_int_equal(bytes[0], 1);
	r = rd_over(bytes, 4);
	rd_zeros_until(&r, 4);
	assert_true(r.bad); /* they are not zero */
	r = rd_over(bytes, 4);
	rd_skip(&r, 3);
	rd_zeros_until(&r, 2);
	assert_true(r.bad); /* backwards */
	w = wr_over(bytes, 4);
	w.pos = 3;
	wr_zeros_until(&w, 2);
	assert_true(w.bad);
}

static void all_zero_sees_every_byte(void **state)
{
	uint8_t bytes[50] = { 0 };

	(void)state;
	assert_true(bytes_all_zero(bytes, 0));
	assert_true(bytes_all_zero(bytes, sizeof(bytes)));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = 1;
		assert_false(bytes_all_zero(bytes, sizeof(bytes)));
		bytes[i] = 0;
	}
}

static void hexadecimal_is_exact(void **state)
{
	uint8_t bytes[3];
	char text[HEX_LEN(3)], uuid[UUID_TEXT_LEN];

	(void)state;
	assert_true(hex_decode("00aFf9", bytes, 3));
	assert_string_equal(hex_encode(bytes, 3, text), "00aff9");
	assert_false(hex_decode("00aff", bytes, 3));
	assert_false(hex_decode("00aff99", bytes, 3));
	assert_false(hex_decode("00agf9", bytes, 3));
	assert_string_equal(uuid_format((const uint8_t *)"\x12\x34\x56\x78\x9a\xbc\xde\xf0"
							 "\x12\x34\x56\x78\x9a\xbc\xde\xf0",
					uuid),
			    "12345678-9abc-def0-1234-56789abcdef0");
}

static void messages_name_thing_reason_and_next_step(void **state)
{
	struct errmsg e = { 0 };

	(void)state;
	errmsg_next(&e, "do %s", "this");
	assert_int_equal(errmsg_fail(&e, -EPERM, EXIT_CODE_CONFIG, "%s: %s", "thing", "reason"),
			 -EPERM);
	assert_string_equal(e.text, "thing: reason");
	assert_string_equal(e.next, "do this");
	assert_int_equal(e.exit_code, EXIT_CODE_CONFIG);
	assert_int_equal(errmsg_fail(NULL, -EIO, EXIT_CODE_FAILED, "x"), -EIO);
	errmsg_next(NULL, "x");
	assert_string_equal(errno_text(-ENOENT), "No such file or directory");
	assert_string_equal(errno_text(123456), "unknown error");
}

static void secrets_are_wiped_and_counted(void **state)
{
	struct secret *s = secret_new(64), *big = secret_new(100000), *again;

	(void)state;
	assert_non_null(s);
	assert_non_null(big);
	assert_int_equal(secret_count(), 2);
	assert_int_equal(secret_len(s), 64);
	assert_true(bytes_all_zero(secret_view(s), 64));
	assert_true(bytes_all_zero(secret_view(big), 100000));
	memset(secret_bytes(s), 0xaa, 64);
	memset(secret_bytes(big), 0xaa, 100000);
	secret_free(s);
	secret_free(big);
	secret_free(NULL);
	assert_int_equal(secret_count(), 0);
	again = secret_new(64); /* the same cell */
	assert_ptr_equal(again, s);
	assert_true(bytes_all_zero(secret_view(again), 64));
	secret_free(again);
	assert_null(secret_new(SIZE_MAX));
}

/* Locked, left out of core dumps, gone in a child: what the kernel says of the mapping. */
static void secrets_have_the_flags_they_promise(void **state)
{
	struct secret *s = secret_new(32);
	FILE *maps = fopen("/proc/self/smaps", "r");
	unsigned long start, end, here = (unsigned long)(uintptr_t)secret_view(s);
	bool inside = false, locked = false, no_dump = false, wiped = false;
	char line[512];
	pid_t child;
	int status;

	(void)state;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = here >= start && here < end;
		if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			locked = strstr(line, " lo");
			no_dump = strstr(line, " dd");
			wiped = strstr(line, " wf");
		}
	}
	fclose(maps);
	/* Sanitizers make mlock(2) do nothing. */
	assert_true(locked || TDEFS_SANITIZED);
	assert_true(no_dump && wiped);
	memset(secret_bytes(s), 0x77, 32);
	child = fork();
	if (child == 0)
		_exit(bytes_all_zero(secret_view(s), 32) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	secret_free(s);
}

static void numbers_are_reused_with_a_new_generation(void **state)
{
	struct idtable *t = idtable_new();
	uint64_t id, generation, first, first_generation;
	int things[3000];

	(void)state;
	assert_non_null(t);
	assert_int_equal(idtable_add(t, &things[0], &first, &first_generation), 0);
	assert_int_equal(first, 1);
	for (int i = 1; i < 3000; i++) {
		assert_int_equal(idtable_add(t, &things[i], &id, &generation), 0);
		assert_int_equal(id, i + 1);
	}
	assert_int_equal(idtable_limit(t), 3001);
	for (int i = 0; i < 3000; i++)
		assert_ptr_equal(idtable_get(t, (uint64_t)i + 1), &things[i]);
	assert_null(idtable_get(t, 0));
	assert_null(idtable_get(t, 3001));
	assert_null(idtable_get(t, UINT64_MAX));
	idtable_remove(t, first);
	assert_null(idtable_get(t, first));
	assert_int_equal(idtable_add(t, &things[7], &id, &generation), 0);
	assert_int_equal(id, first);
	assert_true(generation > first_generation);
	idtable_free(t);
	idtable_free(NULL);
}

/* Whole-file replacement. */

static int dir_fd;

static int make_dir(void **state)
{
	static char path[TEMPORARY_PATH_MAX];

	if (temporary_directory(path) < 0)
		return -1;
	*state = path;
	dir_fd = open(path, O_RDONLY | O_DIRECTORY);
	return dir_fd < 0;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "f", "f.new" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlinkat(dir_fd, names[i], 0);
	close(dir_fd);
	return rmdir(*state);
}

static void assert_file_is(const char *text)
{
	char buf[64];

	assert_int_equal(atomic_file_read(&sysio_kernel, dir_fd, "f", buf, sizeof(buf)),
			 strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void replacement_is_whole(void **state)
{
	char buf[4];
	struct stat st;

	(void)state;
	assert_int_equal(atomic_file_read(&sysio_kernel, dir_fd, "f", buf, 4), -ENOENT);
	assert_int_equal(atomic_file_write(&sysio_kernel, dir_fd, "f", 0600, "first", 5), 0);
	assert_file_is("first");
	assert_int_equal(fstatat(dir_fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(atomic_file_write(&sysio_kernel, dir_fd, "f", 0600, "2nd", 3), 0);
	assert_file_is("2nd");
	assert_int_equal(faccessat(dir_fd, "f.new", F_OK, 0), -1);
	assert_int_equal(atomic_file_read(&sysio_kernel, dir_fd, "f", buf, 2), -EFBIG);
	assert_int_equal(atomic_file_read(&sysio_kernel, dir_fd, "f", buf, 3), 3);
}

/* Each call fails in turn, once and for ever: the old file or the new one, never less. */
static void replacement_survives_every_fault(void **state)
{
	unsigned descriptors = open_descriptors();

	(void)state;
	for (int for_ever = 0; for_ever < 2; for_ever++) {
		for (unsigned n = 1;; n++) {
			char buf[64];
			ssize_t len;
			int r;

			assert_int_equal(
				atomic_file_write(&sysio_kernel, dir_fd, "f", 0600, "old", 3), 0);
			faults_arm(n, -EIO, for_ever);
			r = atomic_file_write(&faults_sysio, dir_fd, "f", 0600, "newer", 5);
			if (!faults_disarm()) {
				assert_int_equal(r, 0);
				assert_file_is("newer");
				break;
			}
			assert_true(r == -EIO || r == 0); /* 0: the call's failure did not matter */
			len = atomic_file_read(&sysio_kernel, dir_fd, "f", buf, sizeof(buf));
			assert_true((len == 3 && memcmp(buf, "old", 3) == 0) ||
				    (len == 5 && memcmp(buf, "newer", 5) == 0));
			if (r == 0)
				assert_int_equal(len, 5);
		}
	}
	assert_int_equal(open_descriptors(), descriptors);
}

static void leftovers_of_a_crash_are_replaced(void **state)
{
	int fd = openat(dir_fd, "f.new", O_CREAT | O_WRONLY, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "half a f", 8), 8);
	close(fd);
	assert_int_equal(atomic_file_write(&sysio_kernel, dir_fd, "f", 0600, "whole", 5), 0);
	assert_file_is("whole");
}

static void reading_may_fail(void **state)
{
	char buf[64];
	unsigned descriptors = open_descriptors();
	bool hit = true;

	(void)state;
	assert_int_equal(atomic_file_write(&sysio_kernel, dir_fd, "f", 0600, "x", 1), 0);
	for (unsigned n = 1; hit; n++) {
		ssize_t r;

		faults_arm(n, -EIO, false);
		r = atomic_file_read(&faults_sysio, dir_fd, "f", buf, 1);
		hit = faults_disarm();
		assert_true(r == 1 || (hit && r == -EIO));
	}
	assert_int_equal(open_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cursor_reads_what_cursor_wrote),
		cmocka_unit_test(cursor_never_leaves_its_bytes),
		cmocka_unit_test(all_zero_sees_every_byte),
		cmocka_unit_test(hexadecimal_is_exact),
		cmocka_unit_test(messages_name_thing_reason_and_next_step),
		cmocka_unit_test(secrets_are_wiped_and_counted),
		cmocka_unit_test(secrets_have_the_flags_they_promise),
		cmocka_unit_test(numbers_are_reused_with_a_new_generation),
		cmocka_unit_test_setup_teardown(replacement_is_whole, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(replacement_survives_every_fault, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(leftovers_of_a_crash_are_replaced, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(reading_may_fail, make_dir, remove_dir),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
