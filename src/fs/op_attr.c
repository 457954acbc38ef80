/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on attributes. */
#include <limits.h>
#include <sys/statvfs.h>

#include "fs_internal.h"

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int r = store_getattr(store_of(req), ino, &st);

	(void)fi;
	fs_reply_attr(req, r, &st);
}

static struct timespec time_to_set(int to_set, int set, int now, struct timespec value)
{
	if (to_set & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (to_set & set)
		return value;
	return (struct timespec){ .tv_nsec = UTIME_OMIT };
}

/*
 * Does the kernel push the times that it keeps itself, of an open file, for its
 * own sake (fuse_flush_times())? It gives no handle where a user sets times.
 */
static bool is_push(fuse_req_t req, int to_set, const struct fuse_file_info *fi)
{
	return fi && to_set & FUSE_SET_ATTR_MTIME &&
	       !(to_set & ~(FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME)) &&
	       fs_of(req)->settings->cache == CACHE_WRITEBACK;
}

/*
 * Before each fsync: no system call. The kernel does not look at the attributes
 * that come back, and is told not to keep them.
 */
static void take_pushed(fuse_req_t req, fuse_ino_t ino, const struct timespec *mtime)
{
	const struct stat st = { .st_ino = ino, .st_mode = S_IFREG, .st_mtim = *mtime };
	int r = store_push_mtime(store_of(req), ino, mtime);

	if (r < 0)
		fs_reply_status(req, r);
	else
		fs_reply_attr_once(req, &st);
}

/* Times alone may be the kernel's, of writes that it cached (DESIGN.md, durability). */
static int may_change(fuse_req_t req, int others)
{
	bool pushed = !others && fs_of(req)->settings->cache == CACHE_WRITEBACK;

	return pushed ? 0 : fs_gate(req, GATE_CHANGE);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME |
			  FUSE_SET_ATTR_MTIME_NOW;
	struct attr_change change = {
		.mode_set = to_set & FUSE_SET_ATTR_MODE,
		.uid_set = to_set & FUSE_SET_ATTR_UID,
		.gid_set = to_set & FUSE_SET_ATTR_GID,
		.size_set = to_set & FUSE_SET_ATTR_SIZE,
		.times_set = to_set & times,
		.mode = attr->st_mode,
		.uid = attr->st_uid,
		.gid = attr->st_gid,
		.size = (uint64_t)attr->st_size,
		.times = { time_to_set(to_set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW,
				       attr->st_atim),
			   time_to_set(to_set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW,
				       attr->st_mtim) },
	};
	struct fuse_session *session = fs_of(req)->session;
	struct stat st;
	int r;

	if (is_push(req, to_set, fi)) {
		take_pushed(req, ino, &attr->st_mtim);
		return;
	}
	r = may_change(req, to_set & ~(times | FUSE_SET_ATTR_CTIME));
	if (r == 0)
		r = store_setattr(store_of(req), ino, &change, &st);
	fs_reply_attr(req, r, &st);
	/* A truncate that failed half-way may have left another size than the kernel remembers. */
	if (r < 0 && change.size_set)
		IGNORE_RESULT(fuse_lowlevel_notify_inval_inode(session, ino, -1, 0),
			      "it may have forgotten the inode");
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX + 1];
	ssize_t n = store_readlink(store_of(req), ino, target, sizeof(target));

	if (n < 0) {
		fs_reply_status(req, (int)n);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statfs st;
	struct statvfs out;
	int r = store_statfs(store_of(req), &st);

	(void)ino;
	if (r < 0) {
		fs_reply_status(req, r);
		return;
	}
	out = (struct statvfs){ .f_bsize = (unsigned long)st.f_bsize,
				.f_frsize = (unsigned long)st.f_frsize,
				.f_blocks = st.f_blocks,
				.f_bfree = st.f_bfree,
				.f_bavail = st.f_bavail,
				.f_files = st.f_files,
				.f_ffree = st.f_ffree,
				.f_favail = st.f_ffree,
				.f_namemax = (unsigned long)st.f_namelen };
	fuse_reply_statfs(req, &out);
}
