/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on open files. */
#include <errno.h>
#include <fcntl.h>

#include "fs_internal.h"
#include "tdefs/sector_cipher.h"

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct fs_caller c;
	struct entry e;
	uint64_t handle = 0;
	int r = fs_gate(req, GATE_CHANGE);

	fs_caller_init(&c, req, mode);
	if (r == 0)
		r = store_create(store_of(req), &c.caller, parent, name, mode, fi->flags, &e,
				 &handle);
	fs_reply_create(req, r, &e, fi, handle);
}

void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	struct fs_caller c;
	struct entry e;
	uint64_t handle = 0;
	int r = fs_gate(req, GATE_CHANGE);

	fs_caller_init(&c, req, mode);
	if (r == 0)
		r = store_tmpfile(store_of(req), &c.caller, parent, mode, fi->flags, &e, &handle);
	fs_reply_create(req, r, &e, fi, handle);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	uint64_t handle = 0;
	int r = fs_gate(req, fi->flags & O_TRUNC ? GATE_TRUNCATE : GATE_OPEN);

	if (r == 0)
		r = store_open_file(store_of(req), ino, fi->flags, &handle);
	fs_reply_open(req, r, fi, handle, store_is_direct(store_of(req), ino));
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	store_release_file(store_of(req), fi->fh);
	fs_reply_status(req, 0);
}

/* What was shown is in the room, with the rest of the blocks that it begins and ends in. */
static void wipe_room(struct file_room room, const uint8_t *data, size_t len)
{
	secret_wipe(room.bytes, BLOCK_UP((size_t)(data - room.bytes) + len));
}

static void read_and_reply(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	struct file_room room = fs_room();
	const uint8_t *data = NULL;
	ssize_t n = store_read(store_of(req), ino, room, size, (uint64_t)off, &data);

	if (n < 0) {
		fs_reply_status(req, (int)n);
		return;
	}
	fuse_reply_buf(req, (const char *)data, (size_t)n);
	if (n > 0)
		wipe_room(room, data, (size_t)n);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct gate *gate = fs_of(req)->gate; /* the request is gone once it is answered */
	int r = gate_enter(gate);

	(void)fi;
	if (r < 0) {
		fs_reply_status(req, r);
		return;
	}
	read_and_reply(req, ino, size, off);
	gate_leave(gate);
}

/*
 * The kernel follows a synchronous write by FSYNC, but no write to a direct file
 * (fuse_direct_write_iter()), and of a cached one not an asynchronous O_DIRECT
 * write (libaio, io_uring): there the flag is the only trace. Which of the two
 * the latter is does not show, so that a synchronous one is synced twice.
 */
static bool must_sync(struct store *s, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	return !fi->writepage && fi->flags & O_DSYNC &&
	       (fi->flags & O_DIRECT || store_is_direct(s, ino));
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct store *s = store_of(req);
	int r = fs_gate(req, fi->writepage ? GATE_PUSH : GATE_WRITE);
	ssize_t n = r;

	if (r == 0)
		n = store_write(s, ino, fs_room(), (const uint8_t *)buf, size, (uint64_t)off);
	/* The writer has gone on; the kernel's own error reaches its next fsync only. */
	if (fi->writepage && n < 0)
		store_lose_page(s, ino, (int)n, r < 0 || n == -ENOKEY);
	if (n >= 0 && must_sync(s, ino, fi))
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
	int r = fs_gate(req, GATE_CHANGE);

	(void)fi;
	if (r == 0)
		r = store_allocate(store_of(req), ino, mode, (uint64_t)off, (uint64_t)len);
	fs_reply_status(req, r);
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
