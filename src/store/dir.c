/* SPDX-License-Identifier: Apache-2.0 */
/* Open directories: reading names and fsync. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "node.h"

#define DIR_BUFFER_LEN 32768

struct open_dir {
	struct node *node;
	int fd;
	pthread_mutex_t lock; /* guards what follows (locks.h) */
	uint64_t at;	      /* offset of the next entry to hand out */
	size_t pos, filled;   /* of the buffer */
	_Alignas(8) uint8_t buffer[DIR_BUFFER_LEN];
};

void dir_free(struct store *s, struct open_dir *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		IGNORE_RESULT(store_sys(s)->close(d->fd), "only read");
	pthread_mutex_destroy(&d->lock);
	free(d);
}

int store_opendir(struct store *s, uint64_t node, uint64_t *ret_handle)
{
	struct open_dir *d = malloc(sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->node = node_of(s, node);
	d->at = d->pos = d->filled = 0;
	pthread_mutex_init(&d->lock, NULL);
	{
		LOCK_SCOPE(&d->node->lock);
		d->fd = node_open_fd(s, d->node, O_RDONLY | O_DIRECTORY);
	}
	r = d->fd;
	if (r >= 0)
		r = handle_new(s, (struct open_handle){ .node = node, .dir = d }, ret_handle);
	if (r < 0)
		dir_free(s, d);
	return r;
}

static struct open_dir *dir_of(const struct store *s, uint64_t handle)
{
	const struct open_handle *h = idtable_get(s->handles, handle);

	return h->dir;
}

void store_releasedir(struct store *s, uint64_t handle)
{
	if (idtable_get(s->handles, handle))
		handle_free(s, handle);
}

int store_syncdir(struct store *s, uint64_t handle, bool datasync)
{
	const struct open_dir *d = dir_of(s, handle);

	return datasync ? store_sys(s)->fdatasync(d->fd) : store_sys(s)->fsync(d->fd);
}

int store_lookup_in(struct store *s, uint64_t handle, const char *name, struct entry *ret_entry)
{
	const struct open_dir *d = dir_of(s, handle);

	return node_lookup(s, d->fd, name, ret_entry);
}

/* The next entry, without moving on; NULL at the end (0) or on error. */
static const struct getdents_entry *peek(struct store *s, struct open_dir *d, int *ret_error)
{
	ssize_t n;

	*ret_error = 0;
	if (d->pos == d->filled) {
		n = store_sys(s)->getdents64(d->fd, d->buffer, sizeof(d->buffer));
		if (n <= 0) {
			*ret_error = (int)n;
			return NULL;
		}
		d->pos = 0;
		d->filled = (size_t)n;
	}
	return (const struct getdents_entry *)(const void *)(d->buffer + d->pos);
}

static int seek_to(struct store *s, struct open_dir *d, uint64_t off)
{
	off_t r;

	if (off == d->at && off != 0)
		return 0;
	/* Also for 0: rewinddir(3) is to see what was created since. */
	r = store_sys(s)->lseek(d->fd, (off_t)off, SEEK_SET);
	if (r < 0)
		return (int)r;
	d->at = off;
	d->pos = d->filled = 0;
	return 0;
}

int store_readdir(struct store *s, uint64_t handle, uint64_t off,
		  bool (*take)(void *arg, const struct dir_name *name), void *arg)
{
	struct open_dir *d = dir_of(s, handle);
	const struct getdents_entry *e;
	int r;
	LOCK_SCOPE(&d->lock);

	r = seek_to(s, d, off);
	if (r < 0)
		return r;
	while ((e = peek(s, d, &r))) {
		struct dir_name name = { .name = e->name,
					 .ino = e->ino,
					 .type = (mode_t)DTTOIF(e->type),
					 .next = (uint64_t)e->next };

		if (!name_is_hidden(s, d->node, e->name) && !take(arg, &name))
			return 0;
		d->pos += e->len;
		d->at = name.next;
	}
	return r;
}
