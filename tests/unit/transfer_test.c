/* SPDX-License-Identifier: Apache-2.0 */
/* A transfer that ends at any call goes on and ends well; names that are exchanged divert nobody. */
#include "../support/test.h"

#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/faults.h"
#include "../support/temporary.h"
#include "tdefs/transfer.h"

#define MIB	 (1u << 20)
#define PATH_LEN (TEMPORARY_PATH_MAX + 64)

static char place[TEMPORARY_PATH_MAX], source[PATH_LEN], target[PATH_LEN];
static struct errmsg err;
static struct transfer_result result;
static const struct transfer_observer *observer;

/* Thousands of runs: in memory, where a sync costs nothing. */
static int setup(void **state)
{
	(void)state;
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	if (temporary_directory(place) < 0)
		return -1;
	(void)snprintf(source, sizeof(source), "%s/source", place);
	(void)snprintf(target, sizeof(target), "%s/target", place);
	return mkdir(source, 0750) + mkdir(target, 0755);
}

static int teardown(void **state)
{
	(void)state;
	return temporary_remove(place);
}

static const char *in(const char *root, const char *name)
{
	static char path[4][PATH_LEN + 64];
	static unsigned next;
	char *p = path[next++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", root, name);
	return p;
}

static void make_file(const char *name, size_t len, char fill)
{
	FILE *f = fopen(in(source, name), "wb");

	assert_non_null(f);
	for (size_t i = 0; i < len; i++)
		assert_int_not_equal(fputc(fill + (int)(i / 4096 % 8), f), EOF);
	assert_int_equal(fclose(f), 0);
}

static int run_with(const struct sysio *sys, uint64_t checkpoint)
{
	const struct transfer_options o = {
		.sys = sys,
		.source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.target_fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.source_path = source,
		.target_path = target,
		.identity = "a test",
		.checkpoint = checkpoint,
		.observer = observer,
	};
	int r;

	err = (struct errmsg){ 0 };
	r = transfer_run(&o, &result, &err);
	close(o.source_fd);
	close(o.target_fd);
	return r;
}

static void make_small_tree(void)
{
	assert_int_equal(mkdir(in(source, "dir"), 0700), 0);
	make_file("dir/file", 5000, 'a');
	make_file("empty", 0, 'b');
	assert_int_equal(link(in(source, "dir/file"), in(source, "second")), 0);
	assert_int_equal(symlink("dir/file", in(source, "link")), 0);
	assert_int_equal(mkfifo(in(source, "pipe"), 0640), 0);
	assert_int_equal(chown(in(source, "dir"), 1234, 4321), 0);
}

static void assert_same_bytes(const char *a, const char *b)
{
	FILE *fa = fopen(a, "rb"), *fb = fopen(b, "rb");
	int ca, cb;

	assert_non_null(fa);
	assert_non_null(fb);
	do {
		ca = fgetc(fa);
		cb = fgetc(fb);
		assert_int_equal(ca, cb);
	} while (ca != EOF);
	fclose(fa);
	fclose(fb);
}

/* What has a name has all that the source's has. */
static int assert_complete(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + strlen(target);
	struct stat want;

	(void)ftw;
	if (type == FTW_D || type == FTW_DP || strncmp(name, "/" TRANSFER_DIR, 16) == 0)
		return 0;
	assert_int_equal(lstat(in(source, name + 1), &want), 0);
	assert_int_equal(st->st_mode, want.st_mode);
	assert_int_equal(st->st_uid, want.st_uid);
	assert_int_equal(st->st_mtim.tv_nsec, want.st_mtim.tv_nsec);
	if (S_ISREG(want.st_mode)) {
		assert_int_equal(st->st_size, want.st_size);
		assert_same_bytes(path, in(source, name + 1));
	}
	return 0;
}

static void assert_nothing_half(void)
{
	assert_int_equal(nftw(target, assert_complete, 16, FTW_PHYS), 0);
}

static void assert_done(void)
{
	static const char *const names[] = { ".",      "dir",  "dir/file", "empty",
					     "second", "link", "pipe" };
	struct stat a, b;

	assert_nothing_half();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(lstat(in(source, names[i]), &a), 0);
		assert_int_equal(lstat(in(target, names[i]), &b), 0);
		assert_int_equal(a.st_mode, b.st_mode);
		assert_int_equal(a.st_uid, b.st_uid);
		assert_int_equal(a.st_gid, b.st_gid);
		assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
		assert_int_equal(a.st_nlink, b.st_nlink);
	}
	assert_int_not_equal(access(in(target, TRANSFER_DIR), F_OK), 0);
}

/* While it would go on, nobody else may come in; when somebody may, it would not. */
static void assert_shut_unless_finished(void)
{
	struct stat st;

	assert_int_equal(stat(target, &st), 0);
	if (access(in(target, TRANSFER_DIR "/journal"), F_OK) == 0)
		assert_int_equal(st.st_mode & 07777, 0700);
}

static void empty_target(void)
{
	assert_int_equal(temporary_remove(target), 0);
	assert_int_equal(mkdir(target, 0755), 0);
}

static void one_end(unsigned n, bool for_ever, bool *ret_met)
{
	const unsigned before = open_descriptors();
	int r;

	faults_arm(n, -EIO, for_ever);
	r = run_with(&faults_sysio, TRANSFER_CHECKPOINT);
	*ret_met = faults_disarm();
	assert_int_equal(open_descriptors(), before);
	if (r == 0)
		assert_done();
	else
		assert_true(err.text[0] && err.next[0] && err.exit_code == EXIT_CODE_FAILED);
	assert_nothing_half();
	assert_shut_unless_finished();
	r = run_with(&sysio_kernel, TRANSFER_CHECKPOINT);
	if (r < 0)
		fail_msg("after the end at call %u: %s", n, err.text);
	assert_done();
	empty_target();
}

/* for_ever is the end of the process at that call, but for its descriptors. */
static void it_goes_on_after_an_end_at_any_call(void **state)
{
	bool met = true;

	(void)state;
	make_small_tree();
	for (unsigned n = 1; met; n++)
		one_end(n, true, &met);
}

static void it_goes_on_after_any_call_that_failed(void **state)
{
	bool met = true;

	(void)state;
	make_small_tree();
	for (unsigned n = 1; met; n++)
		one_end(n, false, &met);
}

/* The kernel's calls, some of them watched or disturbed. */
static struct sysio odd;
static off_t first_write;
static unsigned writes, stop_at;

static ssize_t counted_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	if (len > 1000) { /* not the journal's */
		if (writes++ == 0)
			first_write = off;
		if (writes == stop_at)
			return -EIO;
	}
	return sysio_kernel.pwrite(fd, buf, len, off);
}

static void a_large_file_goes_on_at_its_checkpoint(void **state)
{
	(void)state;
	make_file("big", 6 * MIB + 17, 'c');
	odd = sysio_kernel;
	odd.pwrite = counted_pwrite;
	writes = 0;
	stop_at = 6; /* at 5 MiB; the last checkpoint was at 4 */
	assert_int_equal(run_with(&odd, 2 * MIB), -EIO);
	writes = stop_at = 0;
	assert_int_equal(run_with(&odd, 2 * MIB), 0);
	assert_int_equal(first_write, 4 * MIB);
	assert_true(result.resumed);
	assert_same_bytes(in(source, "big"), in(target, "big"));
}

static void a_checkpoint_of_another_file_counts_for_nothing(void **state)
{
	(void)state;
	make_file("big", 6 * MIB + 17, 'c');
	odd = sysio_kernel;
	odd.pwrite = counted_pwrite;
	writes = 0;
	stop_at = 6;
	assert_int_equal(run_with(&odd, 2 * MIB), -EIO);
	make_file("big", 6 * MIB + 17, 'd'); /* another modification time */
	writes = stop_at = 0;
	assert_int_equal(run_with(&odd, 2 * MIB), 0);
	assert_int_equal(first_write, 0);
	assert_same_bytes(in(source, "big"), in(target, "big"));
}

static void holes_stay_holes_and_zeros_zeros(void **state)
{
	int fd;
	struct stat st;

	(void)state;
	make_file("zeros", 0, 0);
	fd = open(in(source, "zeros"), O_WRONLY | O_CLOEXEC);
	for (off_t off = 0; off < MIB; off += 4096)
		assert_int_equal(pwrite(fd, (char[4096]){ 0 }, 4096, off), 4096);
	close(fd);
	fd = open(in(source, "holes"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(fd, "x", 1, 3 * MIB), 1);
	assert_int_equal(ftruncate(fd, 8 * MIB + 1), 0);
	close(fd);
	assert_int_equal(run_with(&sysio_kernel, MIB), 0);
	assert_int_equal(stat(in(target, "zeros"), &st), 0);
	assert_true(st.st_blocks * 512 >= MIB);
	assert_int_equal(stat(in(target, "holes"), &st), 0);
	assert_true(st.st_size == 8 * MIB + 1 && st.st_blocks * 512 < MIB);
	assert_same_bytes(in(source, "holes"), in(target, "holes"));
}

/* When a name of the source is opened for the nth time it has just become a link to another file. */
static const char *exchanged;
static char elsewhere[PATH_LEN + 64]; /* on the same file system */
static unsigned exchange_at;

static int exchanging_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	if (strcmp(path, exchanged) == 0 && exchange_at && --exchange_at == 0) {
		assert_int_equal(rename(in(source, exchanged), in(source, "moved")), 0);
		assert_int_equal(symlink(elsewhere, in(source, exchanged)), 0);
	}
	return sysio_kernel.openat(dirfd, path, flags, mode);
}

static void exchange(const char *name, bool directory, unsigned at)
{
	if (directory)
		assert_int_equal(mkdir(in(source, name), 0700), 0);
	else
		make_file(name, 10, 'e');
	(void)snprintf(elsewhere, sizeof(elsewhere), "%s",
		       directory ? place : in(source, "another"));
	odd = sysio_kernel;
	odd.openat = exchanging_openat;
	exchanged = name;
	exchange_at = at;
	assert_int_equal(run_with(&odd, MIB), -ESTALE);
	assert_int_equal(exchange_at, 0);
	assert_non_null(strstr(err.text, name));
	unlink(in(source, name));
	if (directory)
		rmdir(in(source, "moved"));
	else
		unlink(in(source, "moved"));
	empty_target();
}

static void a_name_that_becomes_a_link_is_refused(void **state)
{
	(void)state;
	make_file("another", 10, 'g');
	/* Opened to look at it, to copy it, to compare it; a directory's copy is, too. */
	for (unsigned at = 1; at <= 3; at++) {
		exchange("f", false, at);
		exchange("d", true, at == 3 ? 4 : at);
	}
}

static ssize_t changing_pread(int fd, void *buf, size_t len, off_t off)
{
	if (stop_at && --stop_at == 0) {
		FILE *f = fopen(in(source, "f"), "ab");

		assert_non_null(f);
		fputs("more", f);
		fclose(f);
	}
	return sysio_kernel.pread(fd, buf, len, off);
}

static void a_source_that_changes_meanwhile_is_told(void **state)
{
	(void)state;
	make_file("f", 10000, 'f');
	odd = sysio_kernel;
	odd.pread = changing_pread;
	stop_at = 1;
	assert_int_equal(run_with(&odd, MIB), -EAGAIN);
	assert_int_equal(err.exit_code, EXIT_CODE_TRY_AGAIN);
	assert_int_equal(run_with(&sysio_kernel, MIB), 0);
	assert_same_bytes(in(source, "f"), in(target, "f"));
}

static void (*at_pread)(void);

/* The stop_at-th read of a whole file of 10000 bytes: two are copied, then compared. */
static ssize_t met_pread(int fd, void *buf, size_t len, off_t off)
{
	if (len == 10000 && stop_at && --stop_at == 0) {
		if (!at_pread)
			return -EIO;
		at_pread();
	}
	return sysio_kernel.pread(fd, buf, len, off);
}

static int run_meeting(unsigned at, void (*what)(void))
{
	int r;

	odd = sysio_kernel;
	odd.pread = met_pread;
	at_pread = what;
	stop_at = at;
	r = run_with(&odd, MIB);
	assert_int_equal(stop_at, 0);
	return r;
}

/* Other bytes, as many. */
static void write_a(void)
{
	make_file("a", 10000, 'x');
}

static void make_c(void)
{
	make_file("c", 1, 'c');
}

static void a_source_that_changes_while_it_is_compared_is_told(void **state)
{
	static const struct {
		unsigned at;
		void (*change)(void);
		const char *name;
	} rows[] = {
		{ 3, write_a, "/a: it changed" },  /* its own turn: no failing disk */
		{ 5, write_a, "/a: has other" },   /* after its turn */
		{ 5, make_c, "/c: it came while" } /* as an engine's that is started */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make_file("a", 10000, 'a');
		make_file("b", 10000, 'b');
		assert_int_equal(run_meeting(rows[i].at, rows[i].change), -EAGAIN);
		assert_int_equal(err.exit_code, EXIT_CODE_TRY_AGAIN);
		assert_non_null(strstr(err.text, rows[i].name));
		assert_int_equal(access(in(target, "a"), F_OK), 0);
		unlink(in(source, "c"));
		empty_target();
	}
}

/* An interrupted copy of the files a and b, of 10000 bytes each. */
static void stop_while_comparing(void)
{
	assert_int_equal(run_meeting(3, NULL), -EIO);
	assert_int_equal(access(in(target, TRANSFER_DIR "/journal"), F_OK), 0);
}

static void set_time(const char *path)
{
	const struct timespec times[2] = { { 1000, 1 }, { 2000, 2 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void names_of_one_file_that_became_two_are_two(void **state)
{
	struct stat st;

	(void)state;
	make_file("a", 10000, 'a');
	assert_int_equal(link(in(source, "a"), in(source, "b")), 0);
	set_time(in(source, "a"));
	odd = sysio_kernel;
	assert_int_equal(run_meeting(2, NULL), -EIO);
	assert_int_equal(unlink(in(source, "b")), 0);
	make_file("b", 10000, 'a');
	set_time(in(source, "b"));
	assert_int_equal(run_with(&sysio_kernel, MIB), 0);
	assert_int_equal(stat(in(target, "b"), &st), 0);
	assert_int_equal(st.st_nlink, 1);
}

static void a_link_that_leads_elsewhere_is_made_again(void **state)
{
	(void)state;
	make_file("a", 10000, 'a');
	make_file("b", 10000, 'b');
	assert_int_equal(symlink("a", in(source, "link")), 0);
	set_time(in(source, "link"));
	stop_while_comparing();
	assert_int_equal(unlink(in(source, "link")), 0);
	assert_int_equal(symlink("b", in(source, "link")), 0);
	set_time(in(source, "link"));
	assert_int_equal(run_with(&sysio_kernel, MIB), -EIO);
	assert_int_equal(run_with(&sysio_kernel, MIB), 0);
}

static int rounding_utimensat(int dirfd, const char *path, const struct timespec times[2],
			      int flags)
{
	const struct timespec round[2] = { { times[0].tv_sec, 0 }, { times[1].tv_sec, 0 } };

	return sysio_kernel.utimensat(dirfd, path, round, flags);
}

static void what_keeps_no_exact_times_is_told_at_once(void **state)
{
	(void)state;
	make_file("a", 10000, 'a');
	set_time(in(source, "a"));
	odd = sysio_kernel;
	odd.utimensat = rounding_utimensat;
	assert_int_equal(run_with(&odd, MIB), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "/a: this file system does not keep"));
	assert_int_not_equal(access(in(target, "a"), F_OK), 0);
}

static void ignore_progress(void *arg, const struct transfer_progress *progress)
{
	(void)arg;
	(void)progress;
}

static int drop_nothing(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	return -EACCES;
}

static void what_is_cached_beneath_verifies_nothing(void **state)
{
	static const struct transfer_observer no_drop = { .progress = ignore_progress,
							  .drop_beneath = drop_nothing };

	(void)state;
	make_file("a", 10000, 'a');
	observer = &no_drop;
	assert_int_equal(run_with(&sysio_kernel, MIB), -EACCES);
	observer = NULL;
	assert_int_equal(run_with(&sysio_kernel, MIB), 0);
}

static struct statfs full;

static int full_fstatfs(int fd, struct statfs *ret_st)
{
	(void)fd;
	*ret_st = full;
	return 0;
}

static void a_large_file_that_is_nearly_there_needs_its_rest_only(void **state)
{
	(void)state;
	make_file("big", 6 * MIB + 17, 'c');
	odd = sysio_kernel;
	odd.pwrite = counted_pwrite;
	odd.fstatfs = full_fstatfs;
	full = (struct statfs){ .f_bsize = MIB, .f_bavail = 7 };
	writes = 0;
	stop_at = 6;
	assert_int_equal(run_with(&odd, 2 * MIB), -EIO);
	stop_at = 0;
	full.f_bavail = 2;
	assert_int_equal(run_with(&odd, 2 * MIB), 0);
	full.f_bavail = 6;
	empty_target();
	assert_int_equal(run_with(&odd, 2 * MIB), -ENOSPC);
}

/* A target that somebody could write, and did, so as to see what root copies into it. */
static void forge_journal(uid_t owner, mode_t mode)
{
	FILE *f;

	assert_int_equal(mkdir(in(target, TRANSFER_DIR), mode), 0);
	f = fopen(in(target, TRANSFER_DIR "/journal"), "w");
	assert_non_null(f);
	fputs("tdefs transfer 1\na test\n", f);
	fclose(f);
	make_file("a", 10000, 'a');
	assert_int_equal(link(in(source, "a"), in(target, TRANSFER_DIR "/file")), 0);
	assert_int_equal(chown(in(target, TRANSFER_DIR), owner, 0), 0);
}

static void a_journal_that_is_not_roots_is_refused(void **state)
{
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		forge_journal(i == 0 ? 1234 : 0, i == 0 ? 0700 : 0755);
		assert_int_equal(run_with(&sysio_kernel, MIB), -EPERM);
		assert_non_null(strstr(err.text, "not root's alone"));
		assert_int_equal(stat(in(source, "a"), &st), 0);
		assert_int_equal(st.st_size, 10000);
		assert_int_equal(stat(target, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		empty_target();
	}
}

static void what_is_resumed_is_shut_again(void **state)
{
	(void)state;
	make_file("a", 10000, 'a');
	make_file("b", 10000, 'b');
	stop_while_comparing();
	assert_int_equal(chmod(target, 0755), 0);
	assert_int_equal(run_meeting(1, NULL), -EIO);
	assert_shut_unless_finished();
}

/* When the root's mode is set, whoever held it open has just made a name. */
static int late_fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	(void)mkdir(in(target, "late"), 0777);
	return sysio_kernel.fchmodat(dirfd, path, mode, flags);
}

static void a_name_made_at_the_last_instant_is_refused(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in(source, "late"), 0700), 0);
	odd = sysio_kernel;
	odd.fchmodat = late_fchmodat;
	assert_int_equal(run_with(&odd, MIB), -ENOTEMPTY);
	assert_non_null(strstr(err.text, "just now"));
}

static void only_so_many_directories_in_one_another(void **state)
{
	char path[4096];
	size_t len = (size_t)snprintf(path, sizeof(path), "%s", source);

	(void)state;
	for (unsigned n = 0; n < TRANSFER_DEPTH_MAX; n++) {
		len += (size_t)snprintf(path + len, sizeof(path) - len, "/d");
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(run_with(&sysio_kernel, MIB), 0);
	assert_int_equal(result.directories, TRANSFER_DEPTH_MAX);
	(void)snprintf(path + len, sizeof(path) - len, "/d");
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(run_with(&sysio_kernel, MIB), -ELOOP);
}

int main(void)
{
#define EACH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		EACH(it_goes_on_after_an_end_at_any_call),
		EACH(it_goes_on_after_any_call_that_failed),
		EACH(a_large_file_goes_on_at_its_checkpoint),
		EACH(a_checkpoint_of_another_file_counts_for_nothing),
		EACH(holes_stay_holes_and_zeros_zeros),
		EACH(a_name_that_becomes_a_link_is_refused),
		EACH(a_source_that_changes_meanwhile_is_told),
		EACH(a_source_that_changes_while_it_is_compared_is_told),
		EACH(names_of_one_file_that_became_two_are_two),
		EACH(a_link_that_leads_elsewhere_is_made_again),
		EACH(what_keeps_no_exact_times_is_told_at_once),
		EACH(what_is_cached_beneath_verifies_nothing),
		EACH(a_large_file_that_is_nearly_there_needs_its_rest_only),
		EACH(a_journal_that_is_not_roots_is_refused),
		EACH(what_is_resumed_is_shut_again),
		EACH(a_name_made_at_the_last_instant_is_refused),
		EACH(only_so_many_directories_in_one_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
