/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives a close: what waits to be safe, what failed, what is damaged. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/kit.h"
#include "../support/store_kit.h"

/* Files that are closed before their writes are safe. */

static void closed_dirty_files_are_settled_then_closed(void **state)
{
	struct entry e;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "dirty", 0);
	store_release_file(store, h);
	assert_int_equal(open_files(), 1); /* kept */
	store_forget(store, e.node, 1);
	assert_int_equal(nodes(), 2); /* kept, too */
	hurry();
	AWAIT(open_files() == 0 && nodes() == 1);
}

static void synced_files_are_closed_at_once(void **state)
{
	struct entry e;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "clean", 0);
	assert_int_equal(store_sync(store, e.node, true), 0);
	store_release_file(store, h);
	assert_int_equal(open_files(), 0);
	store_forget(store, e.node, 1);
	assert_int_equal(nodes(), 1);
}

/* An error that only the settling thread met waits for the next fsync, however long. */
static void settling_errors_wait_for_an_fsync(void **state)
{
	struct entry e, again;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "lost", 0);
	store_release_file(store, h);
	store_forget(store, e.node, 1);
	faults_only("sync_file_range");
	faults_arm(1, -EIO, false);
	hurry();
	AWAIT(kit_events(FILE_EVENT_ERROR_LATCHED) == 1);
	assert_true(faults_disarm());
	faults_only(NULL);
	assert_int_equal(open_files(), 1);
	again = lookup(STORE_ROOT_NODE, "a");
	assert_int_equal(again.node, e.node);
	assert_int_equal(store_open_file(store, e.node, O_RDWR, &h), 0);
	store_release_file(store, h); /* a close that did not ask */
	assert_int_equal(store_open_file(store, e.node, O_RDWR, &h), 0);
	assert_int_equal(store_sync(store, e.node, true), -EIO);
	assert_int_equal(store_sync(store, e.node, true), -EIO);
	store_release_file(store, h); /* reported, and closed by all */
	assert_int_equal(store_open_file(store, e.node, O_RDWR, &h), 0);
	assert_int_equal(store_sync(store, e.node, true), 0);
	store_release_file(store, h);
	assert_int_equal(open_files(), 0);
	store_forget(store, again.node, 1);
}

/* write(2), or the kernel, hears of it at once: telling an fsync, too, would tell it twice. */
static void refused_writes_are_not_held(void **state)
{
	struct entry e;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "0123456789012345", 0);
	assert_int_equal(store_sync(store, e.node, true), 0);
	faults_only("pwrite");
	faults_arm(1, -ENOSPC, true);
	assert_int_equal(store_write(store, e.node, kit_room(), (const uint8_t *)"x", 1, 0),
			 -ENOSPC);
	assert_true(faults_disarm());
	faults_only(NULL);
	assert_int_equal(store_sync(store, e.node, true), 0);
	store_release_file(store, h);
}

static void closing_the_store_reports_what_was_lost(void **state)
{
	struct entry e;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "lost", 0);
	faults_only("fsync");
	faults_arm(1, -EIO, false);
	assert_int_equal(store_close(store), -EIO);
	store = NULL;
	assert_true(faults_disarm());
	faults_only(NULL);
}

/* Holes are exact only when nobody can have written what we do not know. */
static void holes_are_exact_only_without_writers(void **state)
{
	struct entry e;
	uint64_t h, reader;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "x", 100000);
	assert_int_equal(store_sync(store, e.node, true), 0);
	assert_int_equal(store_seek(store, e.node, 0, SEEK_DATA), 0);
	assert_int_equal(store_seek(store, e.node, 0, SEEK_HOLE), 100001);
	store_release_file(store, h);
	assert_int_equal(store_open_file(store, e.node, O_RDONLY, &reader), 0);
	assert_int_equal(store_seek(store, e.node, 0, SEEK_DATA), 98304);
	store_release_file(store, reader);
}

static void damaged_files_say_so_when_opened(void **state)
{
	struct entry e;
	struct stat st;
	uint64_t h;
	int fd;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "content", 0);
	assert_int_equal(store_sync(store, e.node, true), 0);
	store_release_file(store, h);
	fd = openat(root_fd, "a", O_RDWR);
	assert_int_equal(pwrite(fd, root, 30, 0), 30);
	assert_int_equal(pwrite(fd, root, 30, 2048), 30);
	assert_int_equal(store_open_file(store, e.node, O_RDONLY, &h), -EBADMSG);
	assert_int_equal(kit_events(FILE_EVENT_HEADER_DAMAGED), 1);
	assert_int_equal(open_files(), 0);
	assert_int_equal(ftruncate(fd, 4096 + 7), 0); /* no size has this length */
	assert_int_equal(store_getattr(store, e.node, &st), 0);
	assert_int_equal(st.st_size, 7); /* not empty */
	assert_int_equal(store_open_file(store, e.node, O_RDONLY, &h), -EBADMSG);
	assert_int_equal(store_open_file(store, e.node, O_RDWR | O_TRUNC, &h), 0);
	write_text(e.node, "anew", 0);
	assert_text(e.node, "anew");
	store_release_file(store, h);
	close(fd);
}

static void checks_find_files_by_path(void **state)
{
	enum file_verdict v = FILE_EMPTY;
	struct entry dir, e;
	uint64_t h;

	(void)state;
	assert_int_equal(store_mkdir(store, &self, STORE_ROOT_NODE, "d", 0700, &dir), 0);
	e = create(dir.node, "f", &h);
	write_text(e.node, "text", 0);
	assert_int_equal(store_check_path(store, "d/f", &v),
			 0); /* open: with its writers held off */
	assert_int_equal(v, FILE_GOOD);
	assert_int_equal(store_sync(store, e.node, true), 0);
	store_release_file(store, h);
	v = FILE_EMPTY;
	assert_int_equal(store_check_path(store, "d/f", &v), 0);
	assert_int_equal(v, FILE_GOOD);
	store_forget(store, e.node, 1);
	v = FILE_EMPTY;
	assert_int_equal(store_check_path(store, "d/f", &v), 0);
	assert_int_equal(v, FILE_GOOD);
	assert_int_equal(store_check_path(store, "d", &v), -EINVAL);
	assert_int_equal(store_check_path(store, "none", &v), -ENOENT);
	assert_int_equal(store_check_path(store, "../etc/passwd", &v), -EXDEV);
	assert_int_equal(symlinkat("/etc", root_fd, "out"), 0);
	assert_int_equal(store_check_path(store, "out/passwd", &v), -ELOOP);
}

static void opened_for_reading_when_that_is_all_there_is(void **state)
{
	struct entry e;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "text", 0);
	assert_int_equal(store_sync(store, e.node, true), 0);
	store_release_file(store, h);
	faults_only("open_by_handle_at");
	faults_arm(1, -EROFS, false);
	assert_int_equal(store_open_file(store, e.node, O_RDONLY, &h), 0);
	assert_true(faults_disarm());
	faults_only(NULL);
	assert_text(e.node, "text");
	assert_int_equal(store_open_file(store, e.node, O_RDWR, &h), -EROFS);
	assert_int_equal(store_write(store, e.node, kit_room(), (const uint8_t *)"x", 1, 0),
			 -EROFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(closed_dirty_files_are_settled_then_closed),
		TEST(synced_files_are_closed_at_once),
		TEST(settling_errors_wait_for_an_fsync),
		TEST(refused_writes_are_not_held),
		TEST(closing_the_store_reports_what_was_lost),
		TEST(holes_are_exact_only_without_writers),
		TEST(damaged_files_say_so_when_opened),
		TEST(checks_find_files_by_path),
		TEST(opened_for_reading_when_that_is_all_there_is),
	};

	return cmocka_run_group_tests_name("store settle", tests, NULL, store_kit_end);
}
