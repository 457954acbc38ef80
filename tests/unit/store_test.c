/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of files by numbers: nodes, handles, names, attributes, listings. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../../src/store/node.h" /* to see a node as the store does */
#include "../support/faults.h"
#include "../support/kit.h"
#include "../support/store_kit.h"

static void root_is_node_one(void **state)
{
	struct stat st, real;

	(void)state;
	assert_int_equal(store_getattr(store, STORE_ROOT_NODE, &st), 0);
	assert_int_equal(fstat(root_fd, &real), 0);
	assert_int_equal(st.st_ino, real.st_ino);
	store_forget(store, STORE_ROOT_NODE, 1000); /* never goes away */
	assert_int_equal(store_getattr(store, STORE_ROOT_NODE, &st), 0);
}

static void what_is_ours_is_hidden(void **state)
{
	static const char *const names[] = { ".tdefs", "lost+found" };
	struct entry e, dir;
	uint64_t h;

	(void)state;
	assert_int_equal(store_mkdir(store, &self, STORE_ROOT_NODE, "d", 0755, &dir), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *name = names[i];
		struct entry f;

		assert_int_equal(try_lookup(STORE_ROOT_NODE, name), -ENOENT);
		assert_int_equal(store_create(store, &self, STORE_ROOT_NODE, name, 0600, O_RDWR, &e,
					      &h),
				 -EPERM);
		assert_int_equal(store_mkdir(store, &self, STORE_ROOT_NODE, name, 0700, &e),
				 -EPERM);
		assert_int_equal(store_mknod(store, &self, STORE_ROOT_NODE, name, S_IFIFO, &e),
				 -EPERM);
		assert_int_equal(store_symlink(store, &self, "x", STORE_ROOT_NODE, name, &e),
				 -EPERM);
		assert_int_equal(store_unlink(store, STORE_ROOT_NODE, name), -ENOENT);
		assert_int_equal(store_rmdir(store, STORE_ROOT_NODE, name), -ENOENT);
		assert_int_equal(store_rename(store, STORE_ROOT_NODE, name, STORE_ROOT_NODE, "x",
					      0),
				 -ENOENT);
		assert_int_equal(store_rename(store, STORE_ROOT_NODE, "d", STORE_ROOT_NODE, name,
					      0),
				 -EPERM);
		f = create(dir.node, name, &h); /* elsewhere it is a name like any other */
		assert_int_equal(store_link(store, f.node, STORE_ROOT_NODE, name, &e), -EPERM);
		assert_int_equal(try_lookup(dir.node, name), 0);
		store_release_file(store, h);
		assert_int_equal(store_unlink(store, dir.node, name), 0);
		store_forget(store, f.node, 1);
	}
}

static void one_inode_is_one_node(void **state)
{
	struct entry a, b, linked;
	uint64_t h, before = nodes();

	(void)state;
	a = create(STORE_ROOT_NODE, "a", &h);
	b = lookup(STORE_ROOT_NODE, "a");
	assert_int_equal(a.node, b.node);
	assert_int_equal(store_link(store, a.node, STORE_ROOT_NODE, "b", &linked), 0);
	assert_int_equal(linked.node, a.node);
	assert_int_equal(linked.st.st_nlink, 2);
	assert_int_equal(nodes(), before + 1);
	store_forget(store, a.node, 2);
	assert_int_equal(nodes(), before + 1); /* one look-up is left, and a handle */
	store_forget(store, a.node, 1);
	assert_int_equal(nodes(), before + 1);
	store_release_file(store, h);
	hurry();
	AWAIT(nodes() == before);
}

/* A number that is used again has another generation. */
static void reused_numbers_change_generation(void **state)
{
	struct entry a, b;
	uint64_t h;

	(void)state;
	a = create(STORE_ROOT_NODE, "a", &h);
	store_release_file(store, h);
	store_forget(store, a.node, 1);
	hurry();
	AWAIT(nodes() == 1);
	b = create(STORE_ROOT_NODE, "b", &h);
	assert_int_equal(a.node, b.node);
	assert_int_not_equal(a.generation, b.generation);
	store_release_file(store, h);
}

static void unlinked_files_live_until_closed(void **state)
{
	const struct attr_change mode = { .mode_set = true, .mode = 0751 };
	struct entry e;
	struct stat st;
	uint64_t h, again;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "still here", 0);
	assert_int_equal(store_unlink(store, STORE_ROOT_NODE, "a"), 0);
	assert_int_equal(try_lookup(STORE_ROOT_NODE, "a"), -ENOENT);
	assert_text(e.node, "still here");
	write_text(e.node, "!", 10);
	assert_int_equal(store_getattr(store, e.node, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_size, 11);
	assert_int_equal(store_sync(store, e.node, false), 0);
	/* As /proc/PID/fd allows: opened once more after its last name went, and changed. */
	assert_int_equal(store_setattr(store, e.node, &mode, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
	assert_int_equal(store_open_file(store, e.node, O_RDWR, &again), 0);
	store_release_file(store, h);
	assert_text(e.node, "still here!");
	store_release_file(store, again);
	assert_int_equal(open_files(), 0);
	/* Nobody has it open; who looked it up before the name went opens it still, as on ext4. */
	assert_int_equal(store_getattr(store, e.node, &st), 0);
	assert_int_equal(store_open_file(store, e.node, O_RDONLY, &h), 0);
	assert_text(e.node, "still here!");
	store_release_file(store, h);
	store_forget(store, e.node, 1); /* and so its space is free */
	assert_int_equal(nodes(), 1);
}

static void unlinked_nodes_that_are_not_open_answer_too(void **state)
{
	struct entry dir, e;
	struct stat st;
	uint64_t h;

	(void)state;
	assert_int_equal(store_mkdir(store, &self, STORE_ROOT_NODE, "d", 0755, &dir), 0);
	assert_int_equal(store_rmdir(store, STORE_ROOT_NODE, "d"), 0);
	assert_int_equal(store_getattr(store, dir.node, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(store_create(store, &self, dir.node, "x", 0600, O_RDWR, &e, &h), -ENOENT);
	store_forget(store, dir.node, 1);
	assert_int_equal(nodes(), 1);
}

/* With another name left, no descriptor is kept. */
static void a_name_that_is_not_the_last_keeps_nothing(void **state)
{
	struct entry e, second;
	struct node *n;

	(void)state;
	assert_int_equal(store_mknod(store, &self, STORE_ROOT_NODE, "a", S_IFIFO | 0600, &e), 0);
	assert_int_equal(store_link(store, e.node, STORE_ROOT_NODE, "b", &second), 0);
	n = idtable_get(store->nodes, e.node);
	assert_int_equal(store_unlink(store, STORE_ROOT_NODE, "a"), 0);
	assert_int_equal(n->path_fd, -1);
	assert_false(n->unlinked);
	assert_int_equal(store_unlink(store, STORE_ROOT_NODE, "missing"), -ENOENT);
	assert_int_equal(store_rmdir(store, STORE_ROOT_NODE, "b"), -ENOTDIR);
	assert_int_equal(n->path_fd, -1);
	assert_int_equal(store_unlink(store, STORE_ROOT_NODE, "b"), 0);
	assert_true(n->path_fd >= 0);
	store_forget(store, e.node, 2);
}

/* Written, closed, removed: the disk has its space back, though the kernel has not forgotten. */
static void removed_files_give_their_space_back_at_once(void **state)
{
	struct entry e;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "dirty", 0);
	store_release_file(store, h);
	assert_int_equal(open_files(), 1); /* kept, to settle */
	assert_int_equal(store_unlink(store, STORE_ROOT_NODE, "a"), 0);
	assert_int_equal(open_files(), 0);
	store_forget(store, e.node, 1);
	hurry();
	AWAIT(nodes() == 1);
}

/* The disk gives a number to the next file while the kernel still knows the old one. */
static void an_inode_number_used_again_is_another_node(void **state)
{
	struct entry old, e = { 0 };
	uint64_t h;

	(void)state;
	old = create(STORE_ROOT_NODE, "a", &h);
	store_release_file(store, h);
	assert_int_equal(store_unlink(store, STORE_ROOT_NODE, "a"), 0);
	for (int i = 0; i < 50 && e.st.st_ino != old.st.st_ino; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "d%d", i);
		assert_int_equal(store_mkdir(store, &self, STORE_ROOT_NODE, name, 0700, &e), 0);
		assert_int_not_equal(e.node, old.node);
		assert_int_equal(store_mkdir(store, &self, e.node, "sub", 0700, &e), 0);
	}
	store_forget(store, old.node, 1);
}

static void renames_follow_their_flags(void **state)
{
	struct entry a, b;
	uint64_t ha, hb;

	(void)state;
	a = create(STORE_ROOT_NODE, "a", &ha);
	write_text(a.node, "a", 0);
	b = create(STORE_ROOT_NODE, "b", &hb);
	write_text(b.node, "b", 0);
	assert_int_equal(store_rename(store, STORE_ROOT_NODE, "a", STORE_ROOT_NODE, "b",
				      RENAME_NOREPLACE),
			 -EEXIST);
	assert_int_equal(store_rename(store, STORE_ROOT_NODE, "a", STORE_ROOT_NODE, "b",
				      RENAME_EXCHANGE),
			 0);
	assert_int_equal(lookup(STORE_ROOT_NODE, "a").node, b.node);
	assert_int_equal(store_rename(store, STORE_ROOT_NODE, "a", STORE_ROOT_NODE, "b", 0), 0);
	assert_int_equal(try_lookup(STORE_ROOT_NODE, "a"), -ENOENT);
	assert_int_equal(lookup(STORE_ROOT_NODE, "b").node, b.node);
	assert_text(a.node, "a"); /* replaced, but open */
	assert_int_equal(store_rename(store, STORE_ROOT_NODE, "b", STORE_ROOT_NODE, "c", 8),
			 -EINVAL);
	assert_int_equal(store_rename(store, STORE_ROOT_NODE, "x", STORE_ROOT_NODE, "c", 0),
			 -ENOENT);
	store_release_file(store, ha);
	store_release_file(store, hb);
}

static void new_files_belong_to_the_caller(void **state)
{
	const gid_t groups[] = { 4242 };
	const struct caller user = { .uid = 1234, .gid = 1235, .groups = groups, .ngroups = 1 };
	const struct caller stranger = { .uid = 1234, .gid = 1235 };
	struct entry dir, e;
	uint64_t h;

	(void)state;
	assert_int_equal(store_mkdir(store, &user, STORE_ROOT_NODE, "d", 0750, &dir), 0);
	assert_int_equal(dir.st.st_uid, 1234);
	assert_int_equal(dir.st.st_gid, 1235);
	assert_int_equal(dir.st.st_mode & 07777, 0750);
	assert_int_equal(store_create(store, &user, dir.node, "f", 0640, O_RDWR, &e, &h), 0);
	assert_int_equal(e.st.st_uid, 1234);
	store_release_file(store, h);
	assert_int_equal(store_symlink(store, &user, "f", dir.node, "l", &e), 0);
	assert_int_equal(e.st.st_uid, 1234);
	assert_int_equal(store_mknod(store, &user, dir.node, "p", S_IFIFO | 0600, &e), 0);
	assert_int_equal(e.st.st_uid, 1234);
	/* A directory with S_ISGID hands its group on; who is in it may keep S_ISGID. */
	assert_int_equal(fchownat(root_fd, "d", 0, 4242, 0), 0);
	assert_int_equal(fchmodat(root_fd, "d", 02777, 0), 0);
	assert_int_equal(store_mknod(store, &user, dir.node, "g", S_IFREG | 02755, &e), 0);
	assert_int_equal(e.st.st_gid, 4242);
	assert_int_equal(e.st.st_mode & 07777, 02755);
	assert_int_equal(store_mknod(store, &stranger, dir.node, "s", S_IFREG | 02755, &e), 0);
	assert_int_equal(e.st.st_gid, 4242);
	assert_int_equal(e.st.st_mode & 07777, 0755);
	/* And the thread is itself again. */
	assert_int_equal(store_mkdir(store, &self, STORE_ROOT_NODE, "r", 0700, &e), 0);
	assert_int_equal(e.st.st_uid, 0);
	assert_int_equal(e.st.st_gid, 0);
}

static void device_nodes_are_refused(void **state)
{
	struct entry e;

	(void)state;
	assert_int_equal(store_mknod(store, &self, STORE_ROOT_NODE, "c", S_IFCHR | 0600, &e),
			 -EPERM);
	assert_int_equal(store_mknod(store, &self, STORE_ROOT_NODE, "s", S_IFSOCK | 0600, &e), 0);
	assert_true(S_ISSOCK(e.st.st_mode));
}

static void create_does_not_reuse_what_exists(void **state)
{
	struct entry e;
	uint64_t h;

	(void)state;
	create(STORE_ROOT_NODE, "a", &h);
	store_release_file(store, h);
	assert_int_equal(store_create(store, &self, STORE_ROOT_NODE, "a", 0600, O_RDWR | O_EXCL, &e,
				      &h),
			 -EEXIST);
	assert_int_equal(store_create(store, &self, STORE_ROOT_NODE, "a", 0600, O_RDWR, &e, &h),
			 -ESTALE); /* the kernel looks again */
}

/* On ext4 and XFS: one for the handle, one for the attributes. */
static void looking_up_takes_two_calls(void **state)
{
	struct statfs st;
	uint64_t h;

	(void)state;
	store_release_file(store, (create(STORE_ROOT_NODE, "a", &h), h));
	store_forget(store, lookup(STORE_ROOT_NODE, "a").node, 2);
	assert_int_equal(nodes(), 1);
	assert_int_equal(fstatfs(root_fd, &st), 0);
	faults_only("fstatat");
	lookup(STORE_ROOT_NODE, "a");
	if (st.f_type == EXT4_SUPER_MAGIC || st.f_type == XFS_SUPER_MAGIC)
		assert_int_equal(faults_calls(), 1);
	faults_only("name_to_handle_at");
	lookup(STORE_ROOT_NODE, "a");
	assert_int_equal(faults_calls(), 1);
	faults_only(NULL);
}

static void attributes_change_as_asked(void **state)
{
	struct attr_change c = { .mode_set = true, .mode = S_IFREG | 0751 };
	struct entry e, link;
	struct stat st;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	assert_int_equal(store_setattr(store, e.node, &c, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0751);
	c = (struct attr_change){ .uid_set = true, .gid_set = true, .uid = 11, .gid = 12 };
	assert_int_equal(store_setattr(store, e.node, &c, &st), 0);
	assert_int_equal(st.st_uid, 11);
	assert_int_equal(st.st_gid, 12);
	c = (struct attr_change){ .times_set = true,
				  .times = { { .tv_sec = 5, .tv_nsec = 6 },
					     { .tv_nsec = UTIME_OMIT } } };
	assert_int_equal(store_setattr(store, e.node, &c, &st), 0);
	assert_int_equal(st.st_atim.tv_sec, 5);
	assert_int_equal(st.st_atim.tv_nsec, 6);
	assert_int_not_equal(st.st_mtim.tv_sec, 5);
	store_release_file(store, h);
	c = (struct attr_change){ .size_set = true, .size = 100 };
	assert_int_equal(store_setattr(store, e.node, &c, &st), 0); /* not open */
	assert_int_equal(st.st_size, 100);
	assert_int_equal(st.st_blksize, 4096);
	c.size = 0;
	assert_int_equal(store_setattr(store, e.node, &c, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(store_setattr(store, STORE_ROOT_NODE, &c, &st), -EINVAL);
	assert_int_equal(store_symlink(store, &self, "to", STORE_ROOT_NODE, "l", &link), 0);
	c = (struct attr_change){ .uid_set = true, .uid = 21 };
	assert_int_equal(store_setattr(store, link.node, &c, &st), 0);
	assert_int_equal(st.st_uid, 21); /* the link's own */
	assert_int_equal(store_getattr(store, e.node, &st), 0);
	assert_int_equal(st.st_uid, 11);
}

static void links_are_read_and_reported(void **state)
{
	struct entry e;
	char buf[16];

	(void)state;
	assert_int_equal(store_symlink(store, &self, "rel/ative", STORE_ROOT_NODE, "r", &e), 0);
	assert_int_equal(kit_events(FILE_EVENT_ABSOLUTE_SYMLINK), 0);
	assert_int_equal(store_readlink(store, e.node, buf, sizeof(buf)), 9);
	assert_memory_equal(buf, "rel/ative", 9);
	assert_int_equal(store_readlink(store, e.node, buf, 9), -ENAMETOOLONG);
	assert_int_equal(store_symlink(store, &self, "/abs", STORE_ROOT_NODE, "a", &e), 0);
	assert_int_equal(kit_events(FILE_EVENT_ABSOLUTE_SYMLINK), 1);
}

/* Directories. */

static void listings_leave_out_what_is_hidden_and_resume(void **state)
{
	struct names all = { .budget = 1000 }, some = { .budget = 0 };
	struct entry e;
	uint64_t h;

	(void)state;
	for (char name[2] = "a"; name[0] <= 'h'; name[0]++)
		assert_int_equal(store_mkdir(store, &self, STORE_ROOT_NODE, name, 0700, &e), 0);
	assert_int_equal(store_opendir(store, STORE_ROOT_NODE, &h), 0);
	assert_int_equal(store_readdir(store, h, 0, take_name, &all), 0);
	assert_int_equal(strlen(all.text), 16);
	assert_null(strstr(all.text, "tdefs"));
	assert_null(strstr(all.text, "lost"));
	do { /* one at a time, from offset to offset */
		some.budget = 1;
		assert_int_equal(store_readdir(store, h, some.next, take_name, &some), 0);
	} while (some.budget == 0);
	assert_string_equal(all.text, some.text);
	all.text[0] = '\0';
	all.budget = 1000;
	assert_int_equal(store_mkdir(store, &self, STORE_ROOT_NODE, "new", 0700, &e), 0);
	assert_int_equal(store_readdir(store, h, 0, take_name, &all), 0); /* rewound */
	assert_non_null(strstr(all.text, "new"));
	assert_int_equal(store_lookup_in(store, h, "new", &e), 0);
	assert_int_equal(store_syncdir(store, h, false), 0);
	assert_int_equal(store_syncdir(store, h, true), 0);
	store_releasedir(store, h);
	store_releasedir(store, h); /* a number that is not in use */
	store_release_file(store, h);
}

static bool is_log(const void *arg, const char *name)
{
	return strstr(name, arg) != NULL;
}

/* Decided once, by the first name. */
static void a_file_is_direct_by_the_name_it_was_first_seen_under(void **state)
{
	struct store_options o = { .files = *kit_context(&faults_sysio),
				   .root_fd = root_fd,
				   .is_direct = is_log,
				   .is_direct_arg = "log" };
	struct entry log, data, dir, linked;
	uint64_t h, nameless;

	(void)state;
	assert_int_equal(store_close(store), 0);
	assert_int_equal(store_open(&o, &store), 0);
	log = create(STORE_ROOT_NODE, "log.tmp", &h);
	store_release_file(store, h);
	data = create(STORE_ROOT_NODE, "data", &h);
	store_release_file(store, h);
	assert_true(log.direct);
	assert_false(data.direct);
	assert_int_equal(store_rename(store, STORE_ROOT_NODE, "log.tmp", STORE_ROOT_NODE, "x", 0),
			 0);
	assert_int_equal(store_rename(store, STORE_ROOT_NODE, "data", STORE_ROOT_NODE, "log", 0),
			 0);
	assert_true(lookup(STORE_ROOT_NODE, "x").direct);
	assert_false(lookup(STORE_ROOT_NODE, "log").direct);
	assert_true(store_is_direct(store, log.node));
	assert_false(store_is_direct(store, data.node));
	store_forget(store, data.node, 2);
	assert_true(lookup(STORE_ROOT_NODE, "log").direct); /* another node */
	assert_int_equal(store_mkdir(store, &self, STORE_ROOT_NODE, "log.d", 0755, &dir), 0);
	assert_false(dir.direct);
	assert_int_equal(
		store_tmpfile(store, &self, STORE_ROOT_NODE, 0600, O_RDWR, &log, &nameless), 0);
	assert_int_equal(store_link(store, log.node, STORE_ROOT_NODE, "log.2", &linked), 0);
	assert_false(linked.direct); /* it had none when it was made */
	store_release_file(store, nameless);
}

static struct timespec mtime_below(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(root_fd, name, &st, 0), 0);
	return st.st_mtim;
}

static void push(uint64_t node, time_t seconds)
{
	const struct timespec mtime = { .tv_sec = seconds, .tv_nsec = 7 };

	faults_arm(1, -EIO, true);
	assert_int_equal(store_push_mtime(store, node, &mtime), 0);
	assert_false(faults_disarm()); /* no system call */
}

static void pushed_times_are_shown_and_reach_the_backing_later(void **state)
{
	struct entry e;
	struct stat st;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "text", 0);
	push(e.node, 1000);
	assert_int_equal(store_getattr(store, e.node, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(st.st_mtim.tv_nsec, 7);
	assert_int_equal(lookup(STORE_ROOT_NODE, "a").st.st_mtim.tv_sec, 1000);
	assert_int_equal(store_sync(store, e.node, true), 0);
	assert_true(mtime_below("a").tv_sec > 1000);
	assert_int_equal(store_sync(store, e.node, false), 0);
	assert_int_equal(mtime_below("a").tv_sec, 1000);
	push(e.node, 2000);
	write_text(e.node, "more", 4); /* what the kernel cached before */
	assert_int_equal(store_getattr(store, e.node, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	store_release_file(store, h);
	assert_int_equal(mtime_below("a").tv_sec, 2000);
	assert_int_equal(mtime_below("a").tv_nsec, 7);
	assert_int_equal(store_push_mtime(store, e.node, &st.st_mtim), -EBADF); /* not open */
}

static void pushed_times_are_on_the_backing_once_a_node_is_secured(void **state)
{
	struct entry e, left;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	push(e.node, 1000);
	store_secure(store, e.node);
	assert_int_equal(mtime_below("a").tv_sec, 1000);
	left = create(STORE_ROOT_NODE, "left", &h);
	push(left.node, 2000);
	assert_int_equal(store_close(store), 0); /* nobody has closed it */
	assert_int_equal(mtime_below("left").tv_sec, 2000);
	open_store(&faults_sysio);
}

static void times_that_somebody_sets_win(void **state)
{
	struct attr_change c = { .times_set = true,
				 .times = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 5 } } };
	struct entry e;
	struct stat st;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	push(e.node, 1000);
	assert_int_equal(store_setattr(store, e.node, &c, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 5);
	assert_int_equal(mtime_below("a").tv_sec, 5);
	push(e.node, 2000);
	c.times[1].tv_nsec = UTIME_OMIT; /* the access time only */
	c.times[0] = (struct timespec){ .tv_sec = 6 };
	assert_int_equal(store_setattr(store, e.node, &c, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_int_equal(st.st_atim.tv_sec, 6);
	store_release_file(store, h);
	assert_int_equal(mtime_below("a").tv_sec, 2000);
}

static void a_full_fsync_tells_of_times_that_it_could_not_set(void **state)
{
	struct entry e;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	push(e.node, 1000);
	faults_only("utimensat");
	faults_arm(1, -EIO, false);
	assert_int_equal(store_sync(store, e.node, false), -EIO);
	assert_true(faults_disarm());
	faults_only(NULL);
	assert_int_equal(store_sync(store, e.node, false), 0);
	store_release_file(store, h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(root_is_node_one),
		TEST(what_is_ours_is_hidden),
		TEST(one_inode_is_one_node),
		TEST(reused_numbers_change_generation),
		TEST(unlinked_files_live_until_closed),
		TEST(unlinked_nodes_that_are_not_open_answer_too),
		TEST(a_name_that_is_not_the_last_keeps_nothing),
		TEST(removed_files_give_their_space_back_at_once),
		TEST(an_inode_number_used_again_is_another_node),
		TEST(renames_follow_their_flags),
		TEST(new_files_belong_to_the_caller),
		TEST(device_nodes_are_refused),
		TEST(create_does_not_reuse_what_exists),
		TEST(looking_up_takes_two_calls),
		TEST(attributes_change_as_asked),
		TEST(links_are_read_and_reported),
		TEST(a_file_is_direct_by_the_name_it_was_first_seen_under),
		TEST(pushed_times_are_shown_and_reach_the_backing_later),
		TEST(pushed_times_are_on_the_backing_once_a_node_is_secured),
		TEST(times_that_somebody_sets_win),
		TEST(a_full_fsync_tells_of_times_that_it_could_not_set),
		TEST(listings_leave_out_what_is_hidden_and_resume),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, store_kit_end);
}
