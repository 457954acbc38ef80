/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of nodes, link targets, and the file system's figures. */
#include <errno.h>
#include <stdio.h>

#include "node.h"

int store_getattr(struct store *s, uint64_t node, struct stat *ret_st)
{
	struct node *n = node_of(s, node);
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	int r = -ESTALE;

	{
		LOCK_SCOPE(&n->lock);
		if (n->file)
			r = store_sys(s)->fstatat(file_fd(n->file), "", &st, AT_EMPTY_PATH);
	}
	if (r == -ESTALE) {
		fd = node_path(s, n);
		if (fd < 0)
			return fd;
		r = store_sys(s)->fstatat(fd, "", &st, AT_EMPTY_PATH);
	}
	if (r < 0)
		return r;
	node_show(n, &st);
	*ret_st = st;
	return 0;
}

/* chmod(2) has no form for an O_PATH descriptor: go by its magic link. */
static int set_mode(struct store *s, int fd, mode_t mode)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%d", fd);
	return store_sys(s)->fchmodat(s->proc_fd, name, mode & 07777, 0);
}

static int set_size(struct store *s, struct node *n, uint64_t size)
{
	int r = node_file_get(s, n, -1, true, size == 0);

	if (r < 0)
		return r;
	if (size > 0)
		r = file_truncate(n->file, size);
	node_file_put(s, n, true);
	return r;
}

/* What needs no open file, on an O_PATH descriptor. chown before chmod: it clears S_ISUID. */
static int change_by_path(struct store *s, int fd, const struct attr_change *c)
{
	const struct sysio *sys = store_sys(s);
	int r = 0;

	if (c->uid_set || c->gid_set)
		r = sys->fchownat(fd, "", c->uid_set ? c->uid : (uid_t)-1,
				  c->gid_set ? c->gid : (gid_t)-1, AT_EMPTY_PATH);
	if (r == 0 && c->mode_set)
		r = set_mode(s, fd, c->mode);
	if (r == 0 && c->times_set)
		r = sys->utimensat(fd, "", c->times, AT_EMPTY_PATH);
	return r;
}

int store_setattr(struct store *s, uint64_t node, const struct attr_change *change,
		  struct stat *ret_st)
{
	struct node *n = node_of(s, node);
	int r = 0;

	if (change->size_set)
		r = S_ISREG(n->type) ? set_size(s, n, change->size) : -EINVAL;
	if (r == 0 &&
	    (change->uid_set || change->gid_set || change->mode_set || change->times_set)) {
		CLEANUP_CLOSE int fd = node_path(s, n);

		if (change->times_set)
			times_are_set(n, change->times);
		r = fd < 0 ? fd : change_by_path(s, fd, change);
	}
	return r < 0 ? r : store_getattr(s, node, ret_st);
}

ssize_t store_readlink(struct store *s, uint64_t node, char *buf, size_t len)
{
	CLEANUP_CLOSE int fd = node_path(s, node_of(s, node));
	ssize_t n;

	if (fd < 0)
		return fd;
	n = store_sys(s)->readlinkat(fd, "", buf, len);
	return n == (ssize_t)len ? -ENAMETOOLONG : n;
}

int store_statfs(struct store *s, struct statfs *ret_st)
{
	return store_sys(s)->fstatfs(s->options.root_fd, ret_st);
}
