/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which requests a freeze keeps back. They are looked at as the kernel sent them
 * (linux/fuse.h), before libfuse has them, so that one can be kept as it is.
 *
 * Not kept: FSYNC, which by then has nothing to write; RELEASE and FORGET, which
 * end what was begun. In writeback the kernel sends what it cached before either.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

#include "fs_internal.h"

static bool truncates(const void *request, size_t len)
{
	struct fuse_open_in in;

	if (len < sizeof(struct fuse_in_header) + sizeof(in))
		return false;
	memcpy(&in, (const char *)request + sizeof(struct fuse_in_header), sizeof(in));
	return in.flags & O_TRUNC;
}

bool hold_concerns(const void *request, size_t len)
{
	struct fuse_in_header in;

	if (len < sizeof(in))
		return false;
	memcpy(&in, request, sizeof(in));
	switch (in.opcode) {
	case FUSE_SETATTR:
	case FUSE_SYMLINK:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK:
	case FUSE_WRITE:
	case FUSE_CREATE:
	case FUSE_TMPFILE:
	case FUSE_FALLOCATE:
		return true;
	case FUSE_OPEN:
		return truncates(request, len);
	default:
		return false;
	}
}

void hold_refuse(int device_fd, const void *request, size_t len)
{
	struct fuse_in_header in;
	struct fuse_out_header out = { .len = sizeof(out), .error = -ENOMEM };

	if (len < sizeof(in))
		return;
	memcpy(&in, request, sizeof(in));
	out.unique = in.unique;
	IGNORE_RESULT(write(device_fd, &out, sizeof(out)), "it may have been interrupted");
}
