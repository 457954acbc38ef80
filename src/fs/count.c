/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests by kind, counted as the kernel sent them (linux/fuse.h), whatever way
 * they took and whatever they are answered. The store counts reads, writes and
 * syncs of files.
 */
#include <linux/fuse.h>
#include <string.h>

#include "fs_internal.h"
#include "tdefs/cleanup.h"

static const struct {
	uint32_t opcode;
	enum counter counter;
} kinds[] = {
	{ FUSE_LOOKUP, COUNTER_LOOKUPS },	{ FUSE_FORGET, COUNTER_FORGETS },
	{ FUSE_BATCH_FORGET, COUNTER_FORGETS }, { FUSE_GETATTR, COUNTER_GETATTRS },
	{ FUSE_SETATTR, COUNTER_SETATTRS },	{ FUSE_OPEN, COUNTER_OPENS },
	{ FUSE_OPENDIR, COUNTER_OPENS },	{ FUSE_CREATE, COUNTER_CREATES },
	{ FUSE_TMPFILE, COUNTER_CREATES },	{ FUSE_MKNOD, COUNTER_CREATES },
	{ FUSE_MKDIR, COUNTER_CREATES },	{ FUSE_SYMLINK, COUNTER_CREATES },
	{ FUSE_LINK, COUNTER_CREATES },		{ FUSE_RELEASE, COUNTER_RELEASES },
	{ FUSE_RELEASEDIR, COUNTER_RELEASES },	{ FUSE_UNLINK, COUNTER_DELETES },
	{ FUSE_RMDIR, COUNTER_DELETES },	{ FUSE_RENAME, COUNTER_RENAMES },
	{ FUSE_RENAME2, COUNTER_RENAMES },	{ FUSE_READDIR, COUNTER_READDIRS },
	{ FUSE_READDIRPLUS, COUNTER_READDIRS }, { FUSE_FSYNCDIR, COUNTER_SYNCDIRS },
};

static enum counter counter_of(uint32_t opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].opcode == opcode)
			return kinds[i].counter;
	return COUNTER_OTHERS;
}

void fs_count(struct fs *fs, const void *request, size_t len)
{
	struct fuse_in_header in;

	if (len < sizeof(in))
		return;
	memcpy(&in, request, sizeof(in));
	if (in.opcode != FUSE_READ && in.opcode != FUSE_WRITE && in.opcode != FUSE_FSYNC)
		counter_add(fs->counters, counter_of(in.opcode), 1);
}
