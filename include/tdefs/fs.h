/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume as a FUSE mount. One struct fs a process. This folder is the only
 * one that sees libfuse; each operation is one short function that calls the
 * store and replies once.
 */
#ifndef TDEFS_FS_H
#define TDEFS_FS_H

#include "tdefs/errmsg.h"
#include "tdefs/transport.h"
#include "tdefs/volume.h"

struct fs;

struct fs_options {
	struct volume *volume; /* outlives the fs */
	/* Called once, from a request thread, when the kernel has begun to ask. */
	void (*ready)(void *arg);
	void *ready_arg;
	struct transport *transport; /* kept true; outlives the fs */
};

/*
 * Mount at the volume's mount point. Nothing is served yet. Refused when the volume
 * has io_uring = yes, and something for it is missing.
 */
int fs_mount(const struct fs_options *options, struct fs **ret_fs,
	     struct errmsg *reterr) WARN_UNUSED;

/* Serve requests until the mount is gone. 0, or the error that ended it. */
int fs_serve(struct fs *fs) WARN_UNUSED;

/*
 * Unmount if that has not happened; after an error of fs_serve() the mount stays
 * and answers ENOTCONN. Accepts NULL. Not while fs_serve() runs.
 */
void fs_free(struct fs *fs);

/* The descriptor of /dev/fuse that carries the mount; it stays the fs's. */
int fs_device(const struct fs *fs);

/*
 * The kernel's number of the connection behind the mount at `where`; asks
 * nothing of whoever serves it.
 */
int fs_connection(const char *where, unsigned *ret_connection) WARN_UNUSED;

/*
 * For whoever holds the device of a mount whose daemon is dead: drop the pages
 * of every node up to `highest_node`, and refuse what is asked meanwhile. False
 * when some still wait after 5 seconds for what the daemon never answered: then
 * the connection must be aborted. The mount itself ends when the last descriptor
 * is closed. Threads may go on: the process is to end soon.
 */
bool fs_evict(int device_fd, uint64_t highest_node) WARN_UNUSED;

/* Version of the libfuse that serves. */
const char *fs_library_version(void);

#endif
