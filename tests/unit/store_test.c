/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of files by numbers: nodes, handles, names, attributes, what outlives a close. */
#include "../support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../src/store/node.h" /* to see what is kept, and to hurry what waits */
#include "../support/faults.h"
#include "../support/kit.h"

static char root[64];
static int root_fd;
static struct store *store;
static const struct caller self = { 0 };

static void open_store(const struct sysio *sys)
{
	struct store_options o = { .files = *kit_context(sys),
				   .root_fd = root_fd,
				   .hide_lost_found = true };

	assert_int_equal(store_open(&o, &store), 0);
}

static int setup(void **state)
{
	(void)state;
	umask(0);
	strcpy(root, "/tmp/tdefs-store-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	root_fd = open(root, O_RDONLY | O_DIRECTORY);
	kit_reset_events();
	open_store(&faults_sysio);
	return mkdirat(root_fd, ".tdefs", 0700) || mkdirat(root_fd, "lost+found", 0700);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	if (store)
		assert_int_equal(store_close(store), 0);
	store = NULL;
	close(root_fd);
	(void)snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command); /* NOLINT(cert-env33-c): a test's own words */
}

static struct entry lookup(uint64_t parent, const char *name)
{
	struct entry e = { 0 };

	assert_int_equal(store_lookup(store, parent, name, &e), 0);
	return e;
}

static int try_lookup(uint64_t parent, const char *name)
{
	struct entry e;
	int r = store_lookup(store, parent, name, &e);

	if (r == 0)
		store_forget(store, e.node, 1);
	return r;
}

static struct entry create(uint64_t parent, const char *name, uint64_t *handle)
{
	struct entry e = { 0 };

	assert_int_equal(store_create(store, &self, parent, name, 0644, O_RDWR, &e, handle), 0);
	return e;
}

static void write_text(uint64_t node, const char *text, uint64_t off)
{
	assert_int_equal(store_write(store, node, kit_room(), (const uint8_t *)text, strlen(text),
				     off, false),
			 strlen(text));
}

static void assert_text(uint64_t node, const char *text)
{
	const uint8_t *data = NULL;
	size_t len = strlen(text);

	assert_int_equal(store_read(store, node, kit_room(), 4096, 0, &data), len);
	assert_memory_equal(data, text, len);
}

static uint64_t nodes(void)
{
	struct store_usage u;

	store_usage(store, &u);
	return u.nodes;
}

static uint64_t open_files(void)
{
	struct store_usage u;

	store_usage(store, &u);
	return u.open_files;
}

/* Let the settling thread take what waits, now. */
static void hurry(void)
{
	for (;;) {
		size_t left;

		pthread_mutex_lock(&store->settle_lock);
		for (struct node *n = store->settle_oldest; n; n = n->settle_next)
			n->settle_at_ms = 0;
		left = store->settle_count;
		pthread_cond_signal(&store->settle_wake);
		pthread_mutex_unlock(&store->settle_lock);
		if (left == 0)
			return;
		usleep(1000);
	}
}

/* Wait for a condition that another thread brings about. */
#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		while (!(condition))                                                               \
			usleep(1000);                                                              \
	} while (0)

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
	assert_int_equal(open_files(), 0); /* and so its space is free */
	assert_int_equal(store_getattr(store, e.node, &st), -ESTALE);
	assert_int_equal(store_open_file(store, e.node, O_RDONLY, &h), -ESTALE);
	store_forget(store, e.node, 1);
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

/* With another name left, no descriptor is kept; and none for a file that nobody has open. */
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

struct names {
	char text[200];
	unsigned budget;
	uint64_t next;
};

static bool take_name(void *arg, const struct dir_name *name)
{
	struct names *n = arg;

	if (n->budget == 0)
		return false;
	n->budget--;
	if (strcmp(name->name, ".") != 0 && strcmp(name->name, "..") != 0) {
		strcat(n->text, name->name);
		strcat(n->text, " ");
	}
	n->next = name->next;
	return true;
}

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

/* write(2) hears of its error at once; what the kernel pushes has nobody to tell but fsync. */
static void only_pushed_writes_latch(void **state)
{
	struct entry e;
	uint64_t h;

	(void)state;
	e = create(STORE_ROOT_NODE, "a", &h);
	write_text(e.node, "0123456789012345", 0);
	assert_int_equal(store_sync(store, e.node, true), 0);
	for (int pushed = 0; pushed < 2; pushed++) {
		faults_only("pwrite");
		faults_arm(1, -ENOSPC, false);
		assert_int_equal(store_write(store, e.node, kit_room(), (const uint8_t *)"x", 1, 0,
					     pushed),
				 -ENOSPC);
		assert_true(faults_disarm());
		faults_only(NULL);
		assert_int_equal(store_sync(store, e.node, true), pushed ? -ENOSPC : 0);
	}
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
	assert_int_equal(store_write(store, e.node, kit_room(), (const uint8_t *)"x", 1, 0, false),
			 -EROFS);
}

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
			if (store_write(store, e.node, kit_room(), (const uint8_t *)name, 2, 0,
					false) != 2)
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

static int group_teardown(void **state)
{
	(void)state;
	kit_release();
	return secret_count() != 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
		TEST(attributes_change_as_asked),
		TEST(links_are_read_and_reported),
		TEST(listings_leave_out_what_is_hidden_and_resume),
		TEST(closed_dirty_files_are_settled_then_closed),
		TEST(synced_files_are_closed_at_once),
		TEST(settling_errors_wait_for_an_fsync),
		TEST(only_pushed_writes_latch),
		TEST(closing_the_store_reports_what_was_lost),
		TEST(holes_are_exact_only_without_writers),
		TEST(damaged_files_say_so_when_opened),
		TEST(checks_find_files_by_path),
		TEST(opened_for_reading_when_that_is_all_there_is),
		TEST(every_backing_call_may_fail),
		TEST(opening_the_store_may_fail),
		TEST(nodes_survive_many_threads),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, group_teardown);
}
