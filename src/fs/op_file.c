/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on open files. */
#include <errno.h>
#include <fcntl.h>

#include "fs_internal.h"

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct fs_caller c;
	struct entry e;
	uint64_t handle = 0;
	int r;

	fs_caller_init(&c, req, mode);
	r = store_create(store_of(req), &c.caller, parent, name, mode, fi->flags, &e, &handle);
	fs_reply_create(req, r, &e, fi, handle);
}

void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	struct fs_caller c;
	struct entry e;
	uint64_t handle = 0;
	int r;

	fs_caller_init(&c, req, mode);
	r = store_tmpfile(store_of(req), &c.caller, parent, mode, fi->flags, &e, &handle);
	fs_reply_create(req, r, &e, fi, handle);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	uint64_t handle = 0;
	int r = store_open_file(store_of(req), ino, fi->flags, &handle);

	fs_reply_open(req, r, fi, handle);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	store_release_file(store_of(req), fi->fh);
	fs_reply_status(req, 0);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	const uint8_t *data = NULL;
	ssize_t n = store_read(store_of(req), ino, fs_room(), size, (uint64_t)off, &data);

	(void)fi;
	if (n < 0)
		fs_reply_status(req, (int)n);
	else
		fuse_reply_buf(req, (const char *)data, (size_t)n);
}

/*
 * The kernel follows a synchronous write by FSYNC, but not an asynchronous
 * direct one (libaio, io_uring): there the flag is the only trace. Which of the
 * two this is does not show, so that a synchronous direct write is synced twice.
 */
static bool must_sync(const struct fuse_file_info *fi)
{
	return !fi->writepage && fi->flags & O_DIRECT && fi->flags & O_DSYNC;
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct store *s = store_of(req);
	ssize_t n = store_write(s, ino, fs_room(), (const uint8_t *)buf, size, (uint64_t)off);
	int r = 0;

	if (n >= 0 && must_sync(fi))
		r = store_sync(s, ino, (fi->flags & O_SYNC) != O_SYNC);
	if (n < 0 || r < 0)
		fs_reply_status(req, n < 0 ? (int)n : r);
	else
		fuse_reply_write(req, (size_t)n);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)fi;
	fs_reply_status(req, store_sync(store_of(req), ino, datasync));
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi)
{
	(void)fi;
	fs_reply_status(req,
			store_allocate(store_of(req), ino, mode, (uint64_t)off, (uint64_t)len));
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	off_t at = -ENOSYS;

	(void)fi;
	/*
	 * With writeback the kernel holds data and sizes that we do not know yet,
	 * and asks without sending them first. On ENOSYS it answers by itself, with
	 * the right size and the whole file as data (fuse_lseek()).
	 */
	if (fs_of(req)->settings->cache != CACHE_WRITEBACK)
		at = store_seek(store_of(req), ino, (uint64_t)off, whence);
	if (at < 0)
		fs_reply_status(req, (int)at);
	else
		fuse_reply_lseek(req, at);
}
