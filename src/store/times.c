/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of change that the kernel pushes. In writeback it keeps the times of a
 * file it caches, and sends them before each fsync of it, fdatasync included:
 * there they must cost no system call, nor a journal commit on the backing. They
 * are remembered, shown, and put on the backing before a full fsync and at the
 * last close. A daemon that is killed meanwhile leaves the time of its last write.
 */
#include <errno.h>

#include "node.h"

int store_push_mtime(struct store *s, uint64_t node, const struct timespec *mtime)
{
	struct node *n = node_of(s, node);
	LOCK_SCOPE(&n->lock);

	if (n->opens == 0)
		return -EBADF;
	if (n->direct) /* the kernel does not see its writes: the backing's time is right */
		return 0;
	n->pushed_mtime = *mtime;
	n->mtime_pushed = true;
	return 0;
}

void times_show(const struct node *n, struct stat *st)
{
	if (n->mtime_pushed)
		st->st_mtim = n->pushed_mtime;
}

int times_apply(struct store *s, struct node *n)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, n->pushed_mtime };

	if (!n->mtime_pushed)
		return 0;
	n->mtime_pushed = false;
	return store_sys(s)->utimensat(file_fd(n->file), "", times, AT_EMPTY_PATH);
}

void times_are_set(struct node *n, const struct timespec times[static 2])
{
	LOCK_SCOPE(&n->lock);
	if (times[1].tv_nsec != UTIME_OMIT)
		n->mtime_pushed = false;
}
