/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: look up, make, link, remove, rename. Each passes through to the
 * backing directory; what is hidden there is kept out here.
 */
#include <errno.h>
#include <string.h>

#include "caller.h"
#include "file_internal.h"
#include "node.h"

/*
 * The header directory, and the lost+found of a backing that is a whole file
 * system, do not exist for those who look through the mount.
 */
static bool is_hidden(const struct store *s, uint64_t parent, const char *name)
{
	if (parent != STORE_ROOT_NODE)
		return false;
	return strcmp(name, STORE_HEADER_DIR) == 0 ||
	       (s->options.hide_lost_found && strcmp(name, STORE_LOST_FOUND) == 0);
}

bool name_is_hidden(const struct store *s, const struct node *dir, const char *name)
{
	return is_hidden(s, dir->id, name);
}

/* The directory to create in; -EPERM for names that are ours. The caller closes it. */
static int open_parent(struct store *s, uint64_t parent, const char *name)
{
	if (is_hidden(s, parent, name))
		return -EPERM;
	return node_path(s, node_of(s, parent));
}

int store_lookup(struct store *s, uint64_t parent, const char *name, struct entry *ret_entry)
{
	CLEANUP_CLOSE int dirfd = -1;

	if (is_hidden(s, parent, name))
		return -ENOENT;
	dirfd = node_path(s, node_of(s, parent));
	return dirfd < 0 ? dirfd : node_lookup(s, dirfd, name, ret_entry);
}

void store_forget(struct store *s, uint64_t node, uint64_t nlookup)
{
	struct node *n = node_of(s, node);

	if (n && n != s->root)
		node_forget(s, n, nlookup);
}

int store_mkdir(struct store *s, const struct caller *caller, uint64_t parent, const char *name,
		mode_t mode, struct entry *ret_entry)
{
	CLEANUP_CLOSE int dirfd = open_parent(s, parent, name);
	int r;

	if (dirfd < 0)
		return dirfd;
	r = caller_become(caller);
	if (r < 0)
		return r;
	r = store_sys(s)->mkdirat(dirfd, name, mode);
	caller_restore(caller);
	return r < 0 ? r : node_lookup(s, dirfd, name, ret_entry);
}

int store_mknod(struct store *s, const struct caller *caller, uint64_t parent, const char *name,
		mode_t mode, struct entry *ret_entry)
{
	CLEANUP_CLOSE int dirfd = -1;
	int r;

	if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode))
		return -EPERM;
	dirfd = open_parent(s, parent, name);
	if (dirfd < 0)
		return dirfd;
	r = caller_become(caller);
	if (r < 0)
		return r;
	r = store_sys(s)->mknodat(dirfd, name, mode, 0);
	caller_restore(caller);
	return r < 0 ? r : node_lookup(s, dirfd, name, ret_entry);
}

int store_symlink(struct store *s, const struct caller *caller, const char *target, uint64_t parent,
		  const char *name, struct entry *ret_entry)
{
	CLEANUP_CLOSE int dirfd = open_parent(s, parent, name);
	int r;

	if (dirfd < 0)
		return dirfd;
	r = caller_become(caller);
	if (r < 0)
		return r;
	r = store_sys(s)->symlinkat(target, dirfd, name);
	caller_restore(caller);
	if (r == 0)
		r = node_lookup(s, dirfd, name, ret_entry);
	if (r == 0 && target[0] == '/')
		file_raise(&s->options.files, FILE_EVENT_ABSOLUTE_SYMLINK, ret_entry->st.st_ino);
	return r;
}

int store_link(struct store *s, uint64_t node, uint64_t parent, const char *name,
	       struct entry *ret_entry)
{
	CLEANUP_CLOSE int dirfd = open_parent(s, parent, name);
	CLEANUP_CLOSE int fd = -1;
	int r;

	if (dirfd < 0)
		return dirfd;
	fd = node_path(s, node_of(s, node));
	if (fd < 0)
		return fd;
	r = store_sys(s)->linkat(fd, "", dirfd, name, AT_EMPTY_PATH);
	return r < 0 ? r : node_lookup(s, dirfd, name, ret_entry);
}

static int remove_name(struct store *s, uint64_t parent, const char *name, int flags)
{
	CLEANUP_CLOSE int dirfd = -1;
	struct node *n;
	int r;

	if (is_hidden(s, parent, name))
		return -ENOENT;
	dirfd = node_path(s, node_of(s, parent));
	if (dirfd < 0)
		return dirfd;
	r = node_before_unlink(s, dirfd, name, &n);
	if (r < 0)
		return r;
	r = store_sys(s)->unlinkat(dirfd, name, flags);
	node_after_unlink(s, n);
	return r;
}

int store_unlink(struct store *s, uint64_t parent, const char *name)
{
	return remove_name(s, parent, name, 0);
}

int store_rmdir(struct store *s, uint64_t parent, const char *name)
{
	return remove_name(s, parent, name, AT_REMOVEDIR);
}

static int rename_in(struct store *s, int dirfd, const char *name, int new_dirfd,
		     const char *new_name, unsigned flags)
{
	struct node *replaced = NULL;
	int r;

	if (flags == 0) {
		r = node_before_unlink(s, new_dirfd, new_name, &replaced);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	r = store_sys(s)->renameat2(dirfd, name, new_dirfd, new_name, flags);
	node_after_unlink(s, replaced);
	return r;
}

int store_rename(struct store *s, uint64_t parent, const char *name, uint64_t new_parent,
		 const char *new_name, unsigned flags)
{
	CLEANUP_CLOSE int dirfd = -1;
	CLEANUP_CLOSE int new_dirfd = -1;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (is_hidden(s, parent, name))
		return -ENOENT;
	dirfd = node_path(s, node_of(s, parent));
	if (dirfd < 0)
		return dirfd;
	new_dirfd = open_parent(s, new_parent, new_name);
	if (new_dirfd < 0)
		return new_dirfd;
	return rename_in(s, dirfd, name, new_dirfd, new_name, flags);
}
