/* SPDX-License-Identifier: Apache-2.0 */
/* Each operation of the store with its n-th backing call failing, and under many threads. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/kit.h"
#include "../support/store_kit.h"

/* Fault loops: each operation with its n-th backing call failing. */

static struct entry target;

static int op_lookup(void)
{
	return try_lookup(STORE_ROOT_NODE, "file");
}

static int op_getattr(void)
{
	struct stat st;

	return store_getattr(store, target.node, &st);
}

static int op_setattr(void)
{
	const struct attr_change c = { .mode_set = true,
				       .mode = 0600,
				       .uid_set = true,
				       .uid = 1,
				       .size_set = true,
				       .size = 5,
				       .times_set = true };
	struct stat st;

	return store_setattr(store, target.node, &c, &st);
}

static int op_mkdir(void)
{
	struct entry e;
	int r = store_mkdir(store, &self, STORE_ROOT_NODE, "newdir", 0700, &e);

	if (r == 0)
		store_forget(store, e.node, 1);
	unlinkat(root_fd, "newdir", AT_REMOVEDIR);
	return r;
}

static int op_create(void)
{
	struct entry e;
	uint64_t h;
	int r = store_create(store, &self, STORE_ROOT_NODE, "newfile", 0600, O_RDWR, &e, &h);

	if (r == 0) {
		store_release_file(store, h);
		store_forget(store, e.node, 1);
	}
	unlinkat(root_fd, "newfile", 0);
	return r;
}

static int op_open(void)
{
	uint64_t h;
	int r = store_open_file(store, target.node, O_RDONLY, &h);

	if (r == 0)
		store_release_file(store, h);
	return r;
}

static int op_link(void)
{
	struct entry e;
	int r = store_link(store, target.node, STORE_ROOT_NODE, "newlink", &e);

	if (r == 0)
		store_forget(store, e.node, 1);
	unlinkat(root_fd, "newlink", 0);
	return r;
}

static int op_unlink(void)
{
	int fd = openat(root_fd, "victim", O_CREAT | O_WRONLY, 0600);

	close(fd);
	return store_unlink(store, STORE_ROOT_NODE, "victim");
}

static int op_rename(void)
{
	int r = store_rename(store, STORE_ROOT_NODE, "file", STORE_ROOT_NODE, "moved", 0);

	if (r == 0)
		renameat(root_fd, "moved", root_fd, "file");
	return r;
}

static int op_list(void)
{
	struct names n = { .budget = 1000 };
	uint64_t h;
	int r = store_opendir(store, STORE_ROOT_NODE, &h);

	if (r < 0)
		return r;
	r = store_readdir(store, h, 0, take_name, &n);
	if (r == 0)
		r = store_syncdir(store, h, true);
	store_releasedir(store, h);
	return r;
}

static int op_symlink(void)
{
	struct entry e;
	int r = store_symlink(store, &self, "x", STORE_ROOT_NODE, "newsym", &e);
	char buf[10];

	if (r == 0) {
		ssize_t n = store_readlink(store, e.node, buf, sizeof(buf));

		store_forget(store, e.node, 1);
		r = n < 0 ? (int)n : 0;
	}
	unlinkat(root_fd, "newsym", 0);
	return r;
}

static int op_mknod(void)
{
	struct entry e;
	int r = store_mknod(store, &self, STORE_ROOT_NODE, "newfifo", S_IFIFO | 0600, &e);

	if (r == 0)
		store_forget(store, e.node, 1);
	unlinkat(root_fd, "newfifo", 0);
	return r;
}

static int op_check(void)
{
	enum file_verdict v;

	return store_check_path(store, "file", &v);
}

static int op_statfs(void)
{
	struct statfs st;

	return store_statfs(store, &st);
}

static void every_backing_call_may_fail(void **state)
{
	int (*const operations[])(void) = { op_lookup, op_getattr, op_setattr, op_mkdir,
					    op_create, op_open,	   op_link,    op_unlink,
					    op_rename, op_list,	   op_symlink, op_mknod,
					    op_check,  op_statfs };
	unsigned descriptors;
	uint64_t h;

	(void)state;
	target = create(STORE_ROOT_NODE, "file", &h);
	write_text(target.node, "12345", 0);
	assert_int_equal(store_sync(store, target.node, true), 0);
	store_release_file(store, h);
	hurry();
	AWAIT(open_files() == 0);
	descriptors = open_descriptors();
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		unsigned met = 0;

		for (unsigned n = 1;; n++) {
			int r;

			faults_arm(n, -EIO, false);
			r = operations[i]();
			if (!faults_disarm()) {
				assert_int_equal(r, 0);
				break;
			}
			met++;
			assert_true(r == -EIO ||
				    r == 0); /* 0: a close, or a look that can be missed */
		}
		assert_true(met > 0);
		hurry();
		AWAIT(open_files() == 0 && nodes() == 2);
		assert_int_equal(open_descriptors(), descriptors);
	}
	assert_int_equal(store_open_file(store, target.node, O_RDONLY, &h), 0);
	assert_text(target.node, "12345"); /* nothing of it was harmed */
	store_release_file(store, h);
}

static void opening_the_store_may_fail(void **state)
{
	unsigned descriptors;
	bool hit = true;

	(void)state;
	assert_int_equal(store_close(store), 0);
	store = NULL;
	descriptors = open_descriptors();
	for (unsigned n = 1; hit; n++) {
		struct store_options o = { .files = *kit_context(&faults_sysio),
					   .root_fd = root_fd };
		struct store *s = NULL;
		int r;

		faults_arm(n, -EIO, false);
		r = store_open(&o, &s);
		hit = faults_disarm();
		assert_int_equal(r, hit ? -EIO : 0);
		if (s)
			assert_int_equal(store_close(s), 0);
		assert_int_equal(open_descriptors(), descriptors);
	}
}

/* Threads. */

static void *make_and_remove(void *arg)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "t%d", (int)(uintptr_t)arg % 3); /* names collide */
	for (int i = 0; i < 800; i++) {
		struct entry e;
		struct stat st;
		uint64_t h;

		if (store_create(store, &self, STORE_ROOT_NODE, name, 0600, O_RDWR, &e, &h) == 0) {
			if (store_write(store, e.node, kit_room(), (const uint8_t *)name, 2, 0) !=
			    2)
				return arg;
			store_release_file(store, h);
			store_forget(store, e.node, 1);
		}
		if (store_lookup(store, STORE_ROOT_NODE, name, &e) == 0) {
			IGNORE_RESULT(store_getattr(store, e.node, &st), "it may be gone");
			if (store_open_file(store, e.node, O_RDONLY, &h) == 0)
				store_release_file(store, h);
			store_forget(store, e.node, 1);
		}
		IGNORE_RESULT(store_unlink(store, STORE_ROOT_NODE, name), "it may be gone");
	}
	return NULL;
}

static void nodes_survive_many_threads(void **state)
{
	pthread_t threads[8];

	(void)state;
	for (uintptr_t i = 0; i < 8; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, make_and_remove, (void *)(i + 1)), 0);
	for (int i = 0; i < 8; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
	hurry();
	AWAIT(nodes() == 1 && open_files() == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_backing_call_may_fail),
		TEST(opening_the_store_may_fail),
		TEST(nodes_survive_many_threads),
	};

	return cmocka_run_group_tests_name("store faults", tests, NULL, store_kit_end);
}
