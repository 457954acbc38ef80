/* SPDX-License-Identifier: Apache-2.0 */
/* What is agreed with the kernel when a mount begins. */
#include "fs_internal.h"
#include "ring_entry.h"

static void want(struct fuse_conn_info *conn, unsigned capability, bool wanted)
{
	if (wanted)
		conn->want |= conn->capable & capability;
	else
		conn->want &= ~capability;
}

void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	/*
	 * With AUTO_INVAL_DATA, libfuse's default, each of our own writes makes
	 * the next read drop the file's whole page cache (inode.c,
	 * fuse_change_attributes()). Nobody but this mount changes the files.
	 */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	want(conn, FUSE_CAP_WRITEBACK_CACHE, fs->settings->cache == CACHE_WRITEBACK);
	/* O_TRUNC comes with OPEN: one request, and truncation of a damaged file. */
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
	/* Every byte is encrypted or decrypted in memory: pipes only add copies. */
	want(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, false);
	/* The kernel clears suid and sgid bits by SETATTR, as without this flag. */
	want(conn, FUSE_CAP_HANDLE_KILLPRIV, false);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
	conn->max_write = fs->ring ? RING_PAYLOAD : FS_MAX_WRITE;
	/* The default of 12 throttles asynchronous reads of an engine with many clients. */
	conn->max_background = 256;
	conn->congestion_threshold = 192;
	if (fs->options.ready)
		fs->options.ready(fs->options.ready_arg);
}
