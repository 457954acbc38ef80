/* SPDX-License-Identifier: Apache-2.0 */
/* The passes in their order, and what stands in the target until all is done. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "tdefs/atomic_file.h"
#include "transfer_internal.h"

#define JOURNAL_MAX    8192
#define JOURNAL_HEAD   "tdefs transfer 1\n"
#define FILE_OVERHEAD  8192u /* of a volume: a header, and the last block's rest */
#define BYTES_PER_NAME 4096u /* what a directory, or any other name, may need */

static void ignore_notice(void *arg, const char *path, const char *what)
{
	(void)arg;
	(void)path;
	(void)what;
}

static void ignore_progress(void *arg, const struct transfer_progress *progress)
{
	(void)arg;
	(void)progress;
}

static const struct transfer_observer no_observer = { ignore_progress, ignore_notice, NULL, NULL };

void run_progress(struct run *run, uint64_t bytes)
{
	run->progress.bytes += bytes;
	run->o->observer->progress(run->o->observer->arg, &run->progress);
}

static int fail_target(struct run *run, int r, const char *what)
{
	return r < 0 ? tree_fail_target(&run->tree, r, "", what) : 0;
}

static int journal_text(const struct run *run, char out[static JOURNAL_MAX])
{
	int len = snprintf(out, JOURNAL_MAX, JOURNAL_HEAD "%s\n", run->o->identity);

	return len < JOURNAL_MAX ? len : -ENAMETOOLONG;
}

/* 0: it is that of this transfer; -ENOENT: there is none yet, so that nothing was copied. */
static int check_journal(struct run *run)
{
	char want[JOURNAL_MAX], found[JOURNAL_MAX];
	const int len = journal_text(run, want);
	ssize_t n;

	if (len < 0)
		return fail_target(run, len, NULL);
	n = atomic_file_read(run->o->sys, run->work_fd, WORK_JOURNAL, found, sizeof(found));
	if (n == -ENOENT)
		return -ENOENT;
	if (n < 0)
		return fail_target(run, (int)n, NULL);
	if (n == len && memcmp(want, found, (size_t)len) == 0)
		return 0;
	errmsg_next(run->tree.err, "finish that one, or empty the target, " TRANSFER_DIR
				   " included, and begin again");
	return fail_target(run, -EEXIST, "holds an unfinished copy of another source");
}

/* Nobody but root from now on: whoever held a descriptor of the root looks nothing up by it. */
static int lock_down(struct run *run)
{
	const struct sysio *sys = run->o->sys;
	bool names = false;
	int r = sys->fchownat(run->o->target_fd, ".", 0, 0, 0);

	if (r == 0)
		r = sys->fchmodat(run->o->target_fd, ".", 0700, 0);
	if (r == 0 && run->state == RUN_FRESH)
		r = tree_has_names(&run->tree, run->o->target_fd, &names);
	if (r < 0 || !names)
		return fail_target(run, r, NULL);
	errmsg_next(run->tree.err, "name a directory that nobody else writes into");
	return fail_target(run, -ENOTEMPTY, "somebody wrote into it just now");
}

/* The journal comes before any name. */
static int begin(struct run *run)
{
	const struct sysio *sys = run->o->sys;
	char text[JOURNAL_MAX];
	int len = journal_text(run, text);
	int r = len < 0 ? len : 0;

	if (r == 0 && run->work_fd < 0) {
		r = sys->mkdirat(run->o->target_fd, TRANSFER_DIR, 0700);
		if (r == 0)
			r = run->work_fd = sys->openat(run->o->target_fd, TRANSFER_DIR,
						       O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	}
	if (r >= 0)
		r = atomic_file_write(sys, run->work_fd, WORK_JOURNAL, 0600, text, (size_t)len);
	if (r == 0)
		r = sys->fsync(run->o->target_fd);
	return fail_target(run, r, NULL);
}

/* Somebody else's would hold a journal of his making, and files that he has open. */
static int check_work_owner(struct run *run)
{
	struct stat st;
	int r = run->o->sys->fstatat(run->work_fd, "", &st, AT_EMPTY_PATH);

	if (r < 0 || (st.st_uid == 0 && (st.st_mode & 07777) == 0700))
		return fail_target(run, r, NULL);
	errmsg_next(run->tree.err, "find out who made it, then empty the target and begin again");
	return fail_target(run, -EPERM, "holds a " TRANSFER_DIR " that is not root's alone");
}

/* A copy that was finished, and perhaps not told of: equal as far as attributes tell. */
static int check_finished(struct run *run)
{
	struct errmsg *err = run->tree.err;
	struct errmsg why = { 0 };
	char what[sizeof(why.text) + 64];
	int r;

	run->tree.err = &why;
	r = run_verify(run);
	run->tree.err = err;
	if (r == 0)
		return 0;
	errmsg_next(err, "empty it, or choose another");
	(void)snprintf(what, sizeof(what), "is not empty, and no copy of the source: %s", why.text);
	return fail_target(run, -ENOTEMPTY, what);
}

/* What is in the target, by its journal; without one it is empty, or finished. */
static int find_state(struct run *run)
{
	bool names;
	int r = tree_has_names(&run->tree, run->o->target_fd, &names);

	if (r < 0)
		return fail_target(run, r, NULL);
	r = run->o->sys->openat(run->o->target_fd, TRANSFER_DIR,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0 && r != -ENOENT)
		return fail_target(run, r, NULL);
	if (r >= 0) {
		run->work_fd = r;
		r = check_work_owner(run);
		if (r == 0)
			r = check_journal(run);
		run->state = RUN_RESUMED;
		if (r != -ENOENT)
			return r;
	}
	run->state = names ? RUN_FINISHED : RUN_FRESH;
	return names ? check_finished(run) : 0;
}

static int prepare(struct run *run)
{
	if (flock(run->o->target_fd, LOCK_EX | LOCK_NB) == 0)
		return find_state(run);
	if (errno != EWOULDBLOCK)
		return fail_target(run, -errno, NULL);
	errmsg_next(run->tree.err, "wait for its end");
	return fail_target(run, -EBUSY, "another import or export is at work there");
}

static int add_blocks(void *arg, const struct tree_entry *e)
{
	*(uint64_t *)arg += (uint64_t)e->st.st_blocks * 512;
	return 0;
}

/* What a run before put into the target need not fit once more. */
static int count_there(struct run *run, uint64_t *ret_bytes)
{
	struct transfer_options o = *run->o;
	struct tree_entry file = { 0 };
	struct tree tree = { .o = &o, .scan_only = true, .err = run->tree.err };
	const struct tree_visitor visitor = { .visit = add_blocks, .arg = ret_bytes };

	o.source_fd = o.target_fd;
	o.source_path = o.target_path;
	o.source_is_mount = o.target_is_mount;
	/* Of a large file it is nearly all, and goes on being used, or is emptied. */
	if (o.sys->fstatat(run->work_fd, WORK_FILE, &file.st, AT_SYMLINK_NOFOLLOW) == 0)
		IGNORE_RESULT(add_blocks(ret_bytes, &file), "it only adds");
	return tree_walk(&tree, &visitor);
}

static int check_space(struct run *run)
{
	const struct transfer_result *result = &run->result;
	const uint64_t names = result->directories + result->symlinks + result->others;
	const uint64_t need =
		result->bytes + result->files * FILE_OVERHEAD + names * BYTES_PER_NAME;
	uint64_t there = 0, room;
	struct statfs fs;
	char what[160];
	int r = run->o->sys->fstatfs(run->o->target_fd, &fs);

	if (r == 0 && run->state == RUN_RESUMED)
		r = count_there(run, &there);
	if (r < 0)
		return fail_target(run, r, NULL);
	room = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize + there;
	/* Some file systems make inodes as they are needed, and tell of none. */
	if (room >= need && (fs.f_files == 0 || there > 0 || fs.f_ffree >= result->files + names))
		return 0;
	if (room < need)
		(void)snprintf(what, sizeof(what),
			       "too little space: %ju MiB are needed, %ju MiB are free",
			       (uintmax_t)(need >> 20) + 1, (uintmax_t)(room >> 20));
	else
		(void)snprintf(what, sizeof(what), "too few inodes: %ju are needed, %ju are free",
			       (uintmax_t)(result->files + names), (uintmax_t)fs.f_ffree);
	errmsg_next(run->tree.err, "make room on its disk, then try again");
	return fail_target(run, -ENOSPC, what);
}

static int remove_work(const struct run *run)
{
	static const char *const names[] = { WORK_FILE,		  WORK_OTHER,
					     WORK_CHECKPOINT,	  WORK_CHECKPOINT ".new",
					     WORK_JOURNAL ".new", WORK_JOURNAL };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		r = run->o->sys->unlinkat(run->work_fd, names[i], 0);
		r = r == -ENOENT ? 0 : r;
	}
	return r == 0 ? run->o->sys->unlinkat(run->o->target_fd, TRANSFER_DIR, AT_REMOVEDIR) : r;
}

/*
 * All is verified: TRANSFER_DIR goes, then the root gets its owner. Never the
 * reverse: whoever uses the copy already must not lose what he wrote to a call that
 * finds the journal and goes on. A crash in between leaves a finished copy, which
 * the next call finds (check_finished).
 */
static int finish(struct run *run)
{
	const struct sysio *sys = run->o->sys;
	struct stat st;
	int r = sys->fstatat(run->o->source_fd, "", &st, AT_EMPTY_PATH);

	if (r < 0)
		return tree_fail(&run->tree, r, "", NULL);
	if (run->work_fd >= 0)
		r = remove_work(run);
	if (r == 0)
		r = sys->fsync(run->o->target_fd);
	if (r < 0)
		return fail_target(run, r, NULL);
	r = copy_attributes(run, "", run->o->target_fd, ".", &st);
	return r < 0 ? r : fail_target(run, sys->fsync(run->o->target_fd), NULL);
}

static int all_passes(struct run *run)
{
	const uint64_t total = run->progress.total_bytes;
	int r = prepare(run);

	if (r == 0 && run->state != RUN_FINISHED)
		r = check_space(run);
	run->result.resumed = run->state != RUN_FRESH;
	if (run->o->dry_run)
		return r;
	if (r == 0 && run->state != RUN_FINISHED)
		r = lock_down(run);
	if (r == 0 && run->state == RUN_FRESH)
		r = begin(run);
	run->progress = (struct transfer_progress){ .total_bytes = total };
	if (r == 0 && run->state != RUN_FINISHED)
		r = run_copy(run);
	run->progress = (struct transfer_progress){ .total_bytes = total };
	run->contents = true;
	if (r == 0)
		r = run_verify(run);
	/* Whoever began to write the source meanwhile left his mark on some file. */
	run->contents = false;
	if (r == 0)
		r = run_verify(run);
	return r == 0 ? finish(run) : r;
}

int transfer_run(const struct transfer_options *options, struct transfer_result *ret_result,
		 struct errmsg *reterr)
{
	CLEANUP_FREE uint8_t *chunks = malloc(2 * (size_t)TRANSFER_CHUNK);
	struct transfer_options o = *options;
	struct run run = { .o = &o, .work_fd = -1 };
	int r;

	if (!o.observer)
		o.observer = &no_observer;
	run.tree.o = &o;
	run.tree.err = reterr;
	run.chunk[0] = chunks;
	run.chunk[1] = chunks ? chunks + TRANSFER_CHUNK : NULL;
	r = chunks ? run_scan(&run) : tree_fail(&run.tree, -ENOMEM, "", NULL);
	if (r == 0)
		r = all_passes(&run);
	if (run.work_fd >= 0)
		IGNORE_RESULT(o.sys->close(run.work_fd), "only read");
	if (r == 0)
		*ret_result = run.result;
	return r;
}
