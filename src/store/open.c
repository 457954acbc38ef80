/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files: one descriptor an inode, from its first open to its last
 * release, and longer while something of it is not safe (settle.c). And the
 * handles that the kernel holds on them.
 */
#include <errno.h>
#include <stdlib.h>

#include "caller.h"
#include "node.h"

/* Reading and writing if possible: partial writes read, and later openers share it. */
static int open_by_handle(struct store *s, struct node *n, bool *ret_read_only)
{
	int fd = node_open_fd(s, n, O_RDWR);

	*ret_read_only = false;
	if (fd != -EROFS && fd != -EACCES && fd != -EPERM && fd != -ETXTBSY)
		return fd;
	*ret_read_only = true;
	return node_open_fd(s, n, O_RDONLY);
}

/* Under node.lock; `fd` is taken over. */
static int open_file(struct store *s, struct node *n, int fd, bool discard)
{
	unsigned flags = fd >= 0 ? FILE_CREATED : 0;
	bool read_only = false;
	int r;

	if (fd < 0)
		fd = open_by_handle(s, n, &read_only);
	if (fd < 0)
		return fd;
	r = file_open(&s->options.files, fd, n->ino,
		      flags | (read_only ? FILE_READ_ONLY : 0u) | (discard ? FILE_DISCARD : 0u),
		      &n->file);
	if (r < 0) {
		IGNORE_RESULT(store_sys(s)->close(fd), "nothing was written");
		return r;
	}
	n->read_only = read_only;
	space_expect(s, n, false);
	node_hold(s, n);
	atomic_fetch_add(&s->open_files, 1);
	return 0;
}

int node_file_get(struct store *s, struct node *n, int fd, bool writing, bool discard)
{
	bool opened = false;
	int r = 0;

	pthread_mutex_lock(&n->lock);
	if (!n->file) {
		r = open_file(s, n, fd, discard);
		opened = r == 0;
	} else if (fd >= 0)
		IGNORE_RESULT(store_sys(s)->close(fd), "nothing was written");
	if (r == 0) {
		n->opens++;
		if (writing)
			atomic_fetch_add(&n->writers, 1);
	}
	pthread_mutex_unlock(&n->lock);
	if (r < 0)
		return r;
	if (writing && n->read_only)
		r = -EROFS;
	else if (discard && !opened)
		r = file_truncate(n->file, 0);
	if (r < 0)
		node_file_put(s, n, writing);
	return r;
}

bool node_file_close(struct store *s, struct node *n)
{
	file_close(TAKE_PTR(n->file));
	space_expect(s, n, n->unlinked);
	atomic_fetch_sub(&s->open_files, 1);
	return true;
}

/* Under node.lock; true when the file was closed, and so the node's hold is to be dropped. */
static bool last_close(struct store *s, struct node *n)
{
	enum file_rest rest;

	IGNORE_RESULT(times_apply(s, n), "then it is the time of the last write");
	file_last_close(n->file);
	rest = n->unlinked ? FILE_CLEAN : file_rest(n->file);
	if (rest == FILE_DIRTY &&
	    settle_is_full(s)) { /* descriptors run out: whoever closes waits */
		file_settle(n->file);
		rest = file_rest(n->file);
	}
	if (rest == FILE_DIRTY)
		settle_queue(s, n);
	if (rest != FILE_CLEAN)
		return false;
	return node_file_close(s, n);
}

void node_file_put(struct store *s, struct node *n, bool writing)
{
	bool closed = false;

	pthread_mutex_lock(&n->lock);
	if (writing)
		atomic_fetch_sub(&n->writers, 1);
	if (--n->opens == 0)
		closed = last_close(s, n);
	pthread_mutex_unlock(&n->lock);
	if (closed)
		node_unhold(s, n);
}

static bool wants_writing(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

int handle_new(struct store *s, struct open_handle handle, uint64_t *ret_number)
{
	struct open_handle *h = malloc(sizeof(*h));
	uint64_t generation;
	int r;

	if (!h)
		return -ENOMEM;
	*h = handle;
	r = idtable_add(s->handles, h, ret_number, &generation);
	if (r < 0)
		free(h);
	return r;
}

void handle_free(struct store *s, uint64_t number)
{
	struct open_handle *h = idtable_get(s->handles, number);

	idtable_remove(s->handles, number);
	dir_free(s, h->dir);
	free(h);
}

static int open_node(struct store *s, struct node *n, int fd, int flags, uint64_t *ret_handle)
{
	bool writing = wants_writing(flags);
	int r = node_file_get(s, n, fd, writing, flags & O_TRUNC);

	if (r < 0)
		return r;
	r = handle_new(s, (struct open_handle){ .node = n->id, .writing = writing }, ret_handle);
	if (r < 0)
		node_file_put(s, n, writing);
	return r;
}

int store_open_file(struct store *s, uint64_t node, int flags, uint64_t *ret_handle)
{
	return open_node(s, node_of(s, node), -1, flags, ret_handle);
}

void store_release_file(struct store *s, uint64_t handle)
{
	const struct open_handle *h = idtable_get(s->handles, handle);

	if (!h)
		return;
	node_file_put(s, node_of(s, h->node), h->writing);
	handle_free(s, handle);
}

/* Give a file just made a node and a handle; `fd` is taken over. `name`: NULL for none. */
static int open_created(struct store *s, int fd, const char *name, int flags,
			struct entry *ret_entry, uint64_t *ret_handle)
{
	struct entry e;
	int r = node_lookup_fd(s, fd, name, &e);

	if (r < 0) {
		IGNORE_RESULT(store_sys(s)->close(fd), "nothing was written");
		return r;
	}
	r = open_node(s, node_of(s, e.node), fd, flags & ~O_TRUNC, ret_handle);
	if (r < 0)
		node_forget(s, node_of(s, e.node), 1);
	else
		*ret_entry = e;
	return r;
}

static int open_as(struct store *s, const struct caller *caller, struct node *dir, const char *name,
		   int flags, mode_t mode)
{
	CLEANUP_CLOSE int dirfd = node_path(s, dir);
	int fd;

	if (dirfd < 0)
		return dirfd;
	fd = caller_become(caller);
	if (fd < 0)
		return fd;
	fd = store_sys(s)->openat(dirfd, name, flags, mode);
	caller_restore(caller);
	return fd;
}

int store_create(struct store *s, const struct caller *caller, uint64_t parent, const char *name,
		 mode_t mode, int flags, struct entry *ret_entry, uint64_t *ret_handle)
{
	struct node *dir = node_of(s, parent);
	int fd;

	if (name_is_hidden(s, dir, name))
		return -EPERM;
	fd = open_as(s, caller, dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
	/*
	 * The kernel asks to create only what it just looked up in vain, with the
	 * directory locked. Should the name exist nevertheless, ESTALE makes it
	 * look up again and open what is there (path_openat(), LOOKUP_REVAL).
	 */
	if (fd == -EEXIST && !(flags & O_EXCL))
		return -ESTALE;
	return fd < 0 ? fd : open_created(s, fd, name, flags, ret_entry, ret_handle);
}

int store_tmpfile(struct store *s, const struct caller *caller, uint64_t parent, mode_t mode,
		  int flags, struct entry *ret_entry, uint64_t *ret_handle)
{
	int fd = open_as(s, caller, node_of(s, parent), ".", O_RDWR | O_TMPFILE, mode);

	if (fd < 0)
		return fd;
	return open_created(s, fd, NULL, flags, ret_entry, ret_handle);
}
