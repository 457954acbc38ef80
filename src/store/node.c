/* SPDX-License-Identifier: Apache-2.0 */
/* The node table: find or make, count, keep, free. What nodes are for is elsewhere. */
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node *node_of(struct store *s, uint64_t id)
{
	return idtable_get(s->nodes, id);
}

static void node_free(struct store *s, struct node *n)
{
	if (!n)
		return;
	file_close(n->file); /* open only when the whole table goes */
	if (n->path_fd >= 0)
		close(n->path_fd);
	space_expect(s, n, false);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

/* Under table_lock. */
static int node_new(struct store *s, const struct stat *st, const union node_handle *handle,
		    const char *name, struct node **ret_node)
{
	struct node *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	pthread_mutex_init(&n->lock, NULL);
	n->path_fd = -1;
	n->ino = st->st_ino;
	n->type = st->st_mode & S_IFMT;
	node_set_kind(s, n, name);
	n->handle = *handle;
	r = idtable_add(s->nodes, n, &n->id, &n->generation);
	if (r < 0) {
		node_free(s, n);
		return r;
	}
	if (s->options.highest_node && atomic_load(s->options.highest_node) < n->id)
		atomic_store(s->options.highest_node, n->id); /* under table_lock: no race */
	HASH_ADD(hh, s->by_handle, handle, sizeof(n->handle), n);
	if (!n->hh.tbl) { /* see HASH_NONFATAL_OOM */
		idtable_remove(s->nodes, n->id);
		node_free(s, n);
		return -ENOMEM;
	}
	*ret_node = n;
	return 0;
}

/* Under table_lock; the caller frees what is returned after unlocking. */
static struct node *take_if_unused(struct store *s, struct node *n)
{
	if (n->nlookup > 0 || n->holds > 0)
		return NULL;
	HASH_DELETE(hh, s->by_handle, n);
	idtable_remove(s->nodes, n->id);
	return n;
}

void node_forget(struct store *s, struct node *n, uint64_t nlookup)
{
	struct node *unused;

	pthread_mutex_lock(&s->table_lock);
	n->nlookup -= nlookup < n->nlookup ? nlookup : n->nlookup;
	unused = take_if_unused(s, n);
	pthread_mutex_unlock(&s->table_lock);
	node_free(s, unused);
}

void node_hold(struct store *s, struct node *n)
{
	LOCK_SCOPE(&s->table_lock);
	n->holds++;
}

void node_unhold(struct store *s, struct node *n)
{
	struct node *unused;

	pthread_mutex_lock(&s->table_lock);
	n->holds--;
	unused = take_if_unused(s, n);
	pthread_mutex_unlock(&s->table_lock);
	node_free(s, unused);
}

/* Zeros fill the room after the handle: it is the hash's key. */
static int get_handle(struct store *s, int dirfd, const char *name, int flags,
		      union node_handle *ret_handle)
{
	int mount_id;

	memset(ret_handle, 0, sizeof(*ret_handle));
	ret_handle->fh.handle_bytes = NODE_HANDLE_MAX;
	return store_sys(s)->name_to_handle_at(dirfd, name, &ret_handle->fh, &mount_id, flags);
}

static struct node *find(struct store *s, const union node_handle *handle)
{
	struct node *n;

	HASH_FIND(hh, s->by_handle, handle, sizeof(*handle), n);
	return n;
}

int node_find(struct store *s, int dirfd, const char *name, int flags, struct node **ret_node)
{
	union node_handle handle;
	struct node *n;
	int r = get_handle(s, dirfd, name, flags, &handle);

	if (r < 0)
		return r;
	LOCK_SCOPE(&s->table_lock);
	n = find(s, &handle);
	if (n)
		n->holds++;
	*ret_node = n;
	return 0;
}

void node_show(struct node *n, struct stat *st)
{
	uint64_t size;

	if (!S_ISREG(st->st_mode))
		return;
	st->st_blksize = 4096;
	LOCK_SCOPE(&n->lock);
	times_show(n, st);
	/* While a file is open its length may be on the way from one size to another. */
	if (n->file)
		st->st_size = (off_t)file_size(n->file);
	else if (file_size_of_length((uint64_t)st->st_size, &size) == 0)
		st->st_size = (off_t)size;
	else /* damaged: not empty, and open(2) says why */
		st->st_size -= FILE_HEADER_LEN;
}

/*
 * Two threads that look up one inode must get one node, for it holds the locks
 * of the file: find and insert are one step under the lock.
 */
static int find_or_make(struct store *s, const union node_handle *handle, const char *name,
			struct entry *e)
{
	struct node *n;
	int r = 0;

	pthread_mutex_lock(&s->table_lock);
	n = find(s, handle);
	if (!n)
		r = node_new(s, &e->st, handle, name, &n);
	if (r == 0)
		n->nlookup++;
	pthread_mutex_unlock(&s->table_lock);
	if (r < 0)
		return r;
	e->node = n->id;
	e->generation = n->generation;
	e->direct = n->direct;
	node_show(n, &e->st);
	return 0;
}

/* ext4 and XFS with 32-bit numbers: generic_encode_ino32_fh(), {number, generation}. */
#define FILEID_INO32_GEN 1
#define INO32_GEN_LEN	 8

static bool handle_names(const union node_handle *handle, uint64_t ino)
{
	uint32_t number;

	if (handle->fh.handle_type != FILEID_INO32_GEN || handle->fh.handle_bytes != INO32_GEN_LEN)
		return false;
	memcpy(&number, handle->fh.f_handle, sizeof(number));
	return number == ino;
}

/*
 * A rename between handle and stat pairs one file's handle with another's
 * attributes: -ESTALE, and the kernel looks up again. Most handles show it by the
 * number within, and a node that is known by its own; else the attributes must be
 * the same twice. A number that was used again meanwhile leaves a handle that
 * opens nothing any more: -ESTALE, too, when it is used.
 */
static int check_same(struct store *s, int dirfd, const char *name, int empty_path,
		      const union node_handle *handle, const struct stat *st)
{
	struct stat again;
	int r;

	if (handle_names(handle, st->st_ino))
		return 0;
	{
		LOCK_SCOPE(&s->table_lock);
		const struct node *n = find(s, handle);

		if (n)
			return n->ino == st->st_ino ? 0 : -ESTALE;
	}
	r = store_sys(s)->fstatat(dirfd, name, &again, AT_SYMLINK_NOFOLLOW | empty_path);
	if (r < 0)
		return r;
	return again.st_ino == st->st_ino && again.st_mode == st->st_mode ? 0 : -ESTALE;
}

/* `seen_as` is what it is called, NULL for nothing, however it is found. */
static int lookup_at(struct store *s, int dirfd, const char *name, int empty_path,
		     const char *seen_as, struct entry *ret_entry)
{
	const struct sysio *sys = store_sys(s);
	union node_handle handle;
	struct entry e;
	int handled = get_handle(s, dirfd, name, empty_path, &handle);
	int r;

	if (handled == -ENOENT)
		return handled;
	r = sys->fstatat(dirfd, name, &e.st, AT_SYMLINK_NOFOLLOW | empty_path);
	if (r < 0)
		return r;
	if (e.st.st_dev != s->dev) /* there, handles may not even exist */
		return -EXDEV;
	r = handled;
	if (r == 0)
		r = check_same(s, dirfd, name, empty_path, &handle, &e.st);
	if (r < 0)
		return r;
	r = find_or_make(s, &handle, seen_as, &e);
	if (r == 0)
		*ret_entry = e;
	return r;
}

int node_lookup(struct store *s, int dirfd, const char *name, struct entry *ret_entry)
{
	return lookup_at(s, dirfd, name, 0, name, ret_entry);
}

int node_lookup_fd(struct store *s, int fd, const char *name, struct entry *ret_entry)
{
	return lookup_at(s, fd, "", AT_EMPTY_PATH, name, ret_entry);
}

/* Under node.lock: a descriptor of the inode that stays ours, or -1. */
static int kept_fd(const struct node *n)
{
	return n->file ? file_fd(n->file) : n->path_fd;
}

int node_path(struct store *s, struct node *n)
{
	int fd;
	LOCK_SCOPE(&n->lock);

	if (kept_fd(n) < 0)
		return store_sys(s)->open_by_handle_at(s->options.root_fd, &n->handle.fh,
						       O_PATH | O_NOFOLLOW);
	fd = fcntl(kept_fd(n), F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int node_open_fd(struct store *s, struct node *n, int flags)
{
	char name[16];

	if (n->path_fd < 0)
		return store_sys(s)->open_by_handle_at(s->options.root_fd, &n->handle.fh,
						       flags | O_NOFOLLOW);
	/* No name is left; the descriptor's magic link leads to the inode itself. */
	(void)snprintf(name, sizeof(name), "%d", n->path_fd);
	return store_sys(s)->openat(s->proc_fd, name, flags, 0);
}

/* Under node.lock. */
static int open_path(struct store *s, struct node *n)
{
	int fd;

	if (n->path_fd >= 0)
		return 0;
	fd = store_sys(s)->open_by_handle_at(s->options.root_fd, &n->handle.fh,
					     O_PATH | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	n->path_fd = fd;
	return 0;
}

int node_before_unlink(struct store *s, int dirfd, const char *name, struct node **ret_node)
{
	struct node *n = NULL;
	int r = node_find(s, dirfd, name, 0, &n);

	*ret_node = NULL;
	if (r < 0 || !n)
		return r;
	pthread_mutex_lock(&n->lock);
	r = open_path(s, n);
	if (r == 0)
		n->unlinking++;
	pthread_mutex_unlock(&n->lock);
	if (r < 0) {
		node_unhold(s, n);
		return r;
	}
	*ret_node = n;
	return 0;
}

/* Under node.lock. */
static bool has_no_name(struct store *s, const struct node *n)
{
	struct stat st;
	int fd = kept_fd(n);

	return fd >= 0 && store_sys(s)->fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 &&
	       st.st_nlink == 0;
}

void node_after_unlink(struct store *s, struct node *n)
{
	bool closed = false;

	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->unlinking--;
	n->unlinked = has_no_name(s, n);
	if (!n->unlinked && n->unlinking == 0 && n->path_fd >= 0) {
		close(n->path_fd);
		n->path_fd = -1;
	}
	/* Kept for what it had not written: nobody will ever ask for it now. */
	if (n->unlinked && n->file && n->opens == 0)
		closed = node_file_close(s, n);
	space_expect(s, n, n->unlinked && S_ISREG(n->type) && !n->file);
	pthread_mutex_unlock(&n->lock);
	if (closed)
		node_unhold(s, n);
	node_unhold(s, n);
}

int node_table_init(struct store *s)
{
	struct entry e;
	int r;

	pthread_mutex_init(&s->table_lock, NULL);
	s->nodes = idtable_new();
	s->handles = idtable_new();
	if (!s->nodes || !s->handles)
		return -ENOMEM;
	r = node_lookup_fd(s, s->options.root_fd, NULL, &e);
	if (r < 0)
		return r;
	s->root = node_of(s, e.node); /* the first number: STORE_ROOT_NODE */
	return 0;
}

void node_table_release(struct store *s)
{
	struct node *n, *next;

	/* An unmount by force leaves handles that the kernel never released. */
	for (uint64_t id = 1; s->handles && id < idtable_limit(s->handles); id++)
		if (idtable_get(s->handles, id))
			handle_free(s, id);
	HASH_ITER (hh, s->by_handle, n, next) {
		HASH_DELETE(hh, s->by_handle, n);
		node_free(s, n);
	}
	idtable_free(s->nodes);
	idtable_free(s->handles);
	pthread_mutex_destroy(&s->table_lock);
}
