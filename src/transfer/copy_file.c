/* SPDX-License-Identifier: Apache-2.0 */
/* One regular file's contents: data as data, holes as holes, with checkpoints on the way. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/atomic_file.h"
#include "tdefs/bytes.h"
#include "transfer_internal.h"

#define CHECKPOINT_MAX 128
#define HOLE_LEN       4096u

struct file_copy {
	struct run *run;
	const struct tree_entry *e;
	int source, target;
	uint64_t safe; /* all before it is durable in WORK_FILE */
	bool has_holes;
};

/* Of which file, as it is now; what is written after it is how far. */
static void describe(const struct stat *st, char out[static CHECKPOINT_MAX])
{
	(void)snprintf(out, CHECKPOINT_MAX, "%ju %jd %jd.%09ld ", (uintmax_t)st->st_ino,
		       (intmax_t)st->st_size, (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static int checkpoint(struct file_copy *c, uint64_t off)
{
	const struct sysio *sys = c->run->o->sys;
	char text[2 * CHECKPOINT_MAX];
	int len, r = sys->ftruncate(c->target, (off_t)off); /* what ends in a hole */

	if (r == 0)
		r = sys->fdatasync(c->target);
	if (r < 0)
		return r;
	describe(&c->e->st, text);
	len = snprintf(text + strlen(text), CHECKPOINT_MAX, "%" PRIu64 "\n", off);
	len = len < 0 ? 0 : (int)strlen(text);
	r = atomic_file_write(sys, c->run->work_fd, WORK_CHECKPOINT, 0600, text, (size_t)len);
	if (r == 0)
		c->safe = off;
	return r;
}

/* How much of WORK_FILE is this file's, from a run before; 0: nothing. */
static uint64_t resume_at(const struct file_copy *c)
{
	const struct sysio *sys = c->run->o->sys;
	char want[CHECKPOINT_MAX], text[2 * CHECKPOINT_MAX] = "", *end;
	const ssize_t n =
		atomic_file_read(sys, c->run->work_fd, WORK_CHECKPOINT, text, sizeof(text) - 1);
	struct stat st;
	uint64_t off;

	describe(&c->e->st, want);
	if (n <= 0 || strncmp(text, want, strlen(want)) != 0)
		return 0;
	off = strtoull(text + strlen(want), &end, 10);
	if (*end != '\n' || sys->fstatat(c->target, "", &st, AT_EMPTY_PATH) < 0 ||
	    (uint64_t)st.st_size < off || off > (uint64_t)c->e->st.st_size)
		return 0;
	return off;
}

/*
 * A mount with cache = writeback tells of no holes, but by the blocks that a file
 * takes. A file without any keeps its zeros: engines write them for their space.
 */
static int write_chunk(const struct file_copy *c, size_t len, uint64_t off)
{
	const struct sysio *sys = c->run->o->sys;
	const uint8_t *data = c->run->chunk[0];
	size_t from = 0;
	int r = 0;

	for (size_t at = 0; r == 0 && c->has_holes && at + HOLE_LEN <= len; at += HOLE_LEN) {
		if (!bytes_all_zero(data + at, HOLE_LEN))
			continue;
		r = sysio_pwrite_all(sys, c->target, data + from, at - from, off + from);
		from = at + HOLE_LEN;
	}
	return r < 0 || from == len
		       ? r
		       : sysio_pwrite_all(sys, c->target, data + from, len - from, off + from);
}

static int copy_extent(struct file_copy *c, uint64_t off, uint64_t end)
{
	const struct sysio *sys = c->run->o->sys;
	int r = 0;

	while (r == 0 && off < end) {
		const size_t want =
			end - off < TRANSFER_CHUNK ? (size_t)(end - off) : TRANSFER_CHUNK;
		const ssize_t n = sysio_pread_full(sys, c->source, c->run->chunk[0], want, off);

		if (n <= 0)
			return n < 0 ? tree_fail(&c->run->tree, (int)n, c->e->path, NULL) : 0;
		r = write_chunk(c, (size_t)n, off);
		off += (size_t)n;
		run_progress(c->run, (uint64_t)n);
		if (r == 0 && off - c->safe >= c->run->o->checkpoint)
			r = checkpoint(c, off);
		if (r < 0)
			return tree_fail_target(&c->run->tree, r, c->e->path, NULL);
	}
	return r;
}

static int copy_data(struct file_copy *c)
{
	const struct sysio *sys = c->run->o->sys;
	const uint64_t size = (uint64_t)c->e->st.st_size;
	uint64_t off = c->safe;
	int r = 0;

	while (r == 0 && off < size) {
		const off_t data = sys->lseek(c->source, (off_t)off, SEEK_DATA);
		off_t end;

		if (data == -ENXIO) /* a hole up to its end */
			return 0;
		end = data < 0 ? data : sys->lseek(c->source, data, SEEK_HOLE);
		if (end < 0)
			return tree_fail(&c->run->tree, (int)end, c->e->path, NULL);
		r = copy_extent(c, (uint64_t)data, (uint64_t)end < size ? (uint64_t)end : size);
		off = (uint64_t)end;
	}
	return r;
}

static int set_attributes(const struct run *run, int dirfd, const char *name, const struct stat *st)
{
	const struct sysio *sys = run->o->sys;
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r = sys->fchownat(dirfd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);

	/* After the owner, whose change takes set-user-ID away; a link has no mode. */
	if (r == 0 && !S_ISLNK(st->st_mode))
		r = sys->fchmodat(dirfd, name, st->st_mode & 07777, 0);
	return r == 0 ? sys->utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) : r;
}

/* By these a later call tells that it is complete: there are file systems that round them. */
int copy_attributes(struct run *run, const char *path, int dirfd, const char *name,
		    const struct stat *st)
{
	struct stat got;
	int r = set_attributes(run, dirfd, name, st);

	if (r == 0)
		r = run->o->sys->fstatat(dirfd, name, &got, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return tree_fail_target(&run->tree, r, path, NULL);
	if (tree_same_attributes(&got, st))
		return 0;
	errmsg_next(run->tree.err, "empty it, and name a directory on another file system");
	return tree_fail_target(&run->tree, -EOPNOTSUPP, path,
				"this file system does not keep its owner, mode and times exactly");
}

int check_unchanged(struct run *run, const struct tree_entry *e, int source)
{
	struct stat st;
	int r = run->o->sys->fstatat(source, "", &st, AT_EMPTY_PATH);

	if (r == 0 &&
	    (!tree_same_attributes(&st, &e->st) || st.st_ctim.tv_sec != e->st.st_ctim.tv_sec ||
	     st.st_ctim.tv_nsec != e->st.st_ctim.tv_nsec)) {
		errmsg_next(run->tree.err, "stop what writes it, then try again");
		return tree_fail(&run->tree, -EAGAIN, e->path, "it changed while it was read");
	}
	return r < 0 ? tree_fail(&run->tree, r, e->path, NULL) : 0;
}

static int fill(struct file_copy *c)
{
	const struct sysio *sys = c->run->o->sys;
	int r;

	c->has_holes = (uint64_t)c->e->st.st_blocks * 512 < (uint64_t)c->e->st.st_size;
	c->safe = resume_at(c);
	c->run->progress.skipped_bytes += c->safe;
	run_progress(c->run, c->safe);
	/* Another file's checkpoint must not outlive what it is about. */
	r = c->safe ? 0 : sys->unlinkat(c->run->work_fd, WORK_CHECKPOINT, 0);
	if (r == 0 || r == -ENOENT)
		r = sys->ftruncate(c->target, (off_t)c->safe);
	if (r < 0)
		return tree_fail_target(&c->run->tree, r, c->e->path, NULL);
	r = copy_data(c);
	if (r < 0)
		return r;
	r = sys->ftruncate(c->target, c->e->st.st_size);
	if (r < 0)
		return tree_fail_target(&c->run->tree, r, c->e->path, NULL);
	r = copy_attributes(c->run, c->e->path, c->run->work_fd, WORK_FILE, &c->e->st);
	if (r < 0)
		return r;
	r = sys->fsync(c->target);
	return r < 0 ? tree_fail_target(&c->run->tree, r, c->e->path, NULL)
		     : check_unchanged(c->run, c->e, c->source);
}

int copy_file(struct run *run, const struct tree_entry *e)
{
	const struct sysio *sys = run->o->sys;
	struct file_copy c = { .run = run, .e = e };
	int r, closed;

	c.source = tree_open_source(&run->tree, e, 0);
	if (c.source < 0)
		return tree_fail(&run->tree, c.source, e->path, NULL);
	IGNORE_RESULT(sys->fadvise(c.source, 0, 0, POSIX_FADV_SEQUENTIAL), "only speed");
	c.target = sys->openat(run->work_fd, WORK_FILE, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
	if (c.target < 0)
		r = tree_fail_target(&run->tree, c.target, e->path, NULL);
	else {
		r = fill(&c);
		closed = sys->close(c.target);
		if (r == 0 && closed < 0)
			r = tree_fail_target(&run->tree, closed, e->path, NULL);
	}
	IGNORE_RESULT(sys->close(c.source), "only read");
	return r;
}
