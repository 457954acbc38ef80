/* SPDX-License-Identifier: Apache-2.0 */
/* What is agreed with the kernel when a mount begins. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tdefs/log.h"

#include "fs_internal.h"
#include "ring_entry.h"

static void want(struct fuse_conn_info *conn, unsigned capability, bool wanted)
{
	if (wanted)
		conn->want |= conn->capable & capability;
	else
		conn->want &= ~capability;
}

/*
 * Two of the largest requests, so that while one is decrypted the next is under
 * way; the kernel's 128 KiB are one request of which the reader waits for each.
 * It is no more, because a fault in a mapping that is read here and there brings
 * in as much, until the kernel has seen a hundred in vain. Reads here and there
 * by read(2) bring in what they ask for, whatever this is.
 */
#define READ_AHEAD (2 * FS_MAX_WRITE)

static int write_kib(const char *path, unsigned kib)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[16];

	if (fd < 0)
		return -errno;
	(void)snprintf(text, sizeof(text), "%u", kib);
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/*
 * Before INIT is answered: of this and what the answer says, the less counts
 * (process_init_reply()). It belongs to the mount's backing device information,
 * and goes with it.
 */
static void raise_read_ahead(const struct volume_config *vc)
{
	char path[64];
	unsigned connection;
	int r = fs_connection(vc->mount, &connection);

	if (r == 0) {
		(void)snprintf(path, sizeof(path), "/sys/class/bdi/0:%u/read_ahead_kb", connection);
		r = write_kib(path, READ_AHEAD / 1024);
	}
	if (r < 0)
		log_warning(
			"volume %s: cannot raise the read-ahead; reading in order is slower: %s",
			vc->name, errno_text(r));
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
	conn->max_readahead = READ_AHEAD;
	raise_read_ahead(volume_config(fs->options.volume));
	if (fs->options.ready)
		fs->options.ready(fs->options.ready_arg);
}
