/* SPDX-License-Identifier: Apache-2.0 */
/* A store's life, and the contents of its open files. */
#include "tdefs/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"

static void store_free(struct store *s)
{
	node_table_release(s);
	space_release(s);
	if (s->proc_fd >= 0)
		close(s->proc_fd);
	free(s);
}

static int store_init(struct store *s)
{
	struct stat st;
	int r = store_sys(s)->fstatat(s->options.root_fd, "", &st, AT_EMPTY_PATH);

	if (r < 0)
		return r;
	s->dev = st.st_dev;
	s->proc_fd = store_sys(s)->openat(AT_FDCWD, "/proc/self/fd", O_PATH | O_DIRECTORY, 0);
	if (s->proc_fd < 0)
		return s->proc_fd;
	r = node_table_init(s);
	return r < 0 ? r : settle_start(s);
}

int store_open(const struct store_options *options, struct store **ret_store)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->options = *options;
	s->proc_fd = -1;
	space_init(s);
	r = store_init(s);
	if (r < 0) {
		store_free(s);
		return r;
	}
	*ret_store = s;
	return 0;
}

/* The first error of a file that cannot be made durable, or whose error nobody asked for. */
static int sync_all(struct store *s)
{
	struct node *n, *next;
	int first = 0, r;

	HASH_ITER (hh, s->by_handle, n, next) {
		if (!n->file || n->unlinked)
			continue;
		IGNORE_RESULT(times_apply(s, n), "then it is the time of the last write");
		if (file_rest(n->file) == FILE_CLEAN)
			continue;
		r = file_sync(n->file, false);
		if (r < 0 && first == 0)
			first = r;
	}
	r = store_sys(s)->syncfs(s->options.root_fd); /* names, too */
	return first < 0 ? first : r;
}

int store_close(struct store *s)
{
	int r;

	settle_stop(s);
	r = sync_all(s);
	store_free(s);
	return r;
}

ssize_t store_read(struct store *s, uint64_t node, struct file_room room, size_t len, uint64_t off,
		   const uint8_t **ret_data)
{
	ssize_t n = file_read(node_of(s, node)->file, room, len, off, ret_data);

	counter_add(s->options.files.counters, COUNTER_READS, 1);
	if (n > 0)
		counter_add(s->options.files.counters, COUNTER_READ_BYTES, (uint64_t)n);
	return n;
}

ssize_t store_write(struct store *s, uint64_t node, struct file_room room, const uint8_t *data,
		    size_t len, uint64_t off)
{
	struct file *f = node_of(s, node)->file;
	ssize_t n = file_write(f, room, data, len, off);

	if (n == -ENOSPC) {
		space_wait(s);
		n = file_write(f, room, data, len, off);
	}

	counter_add(s->options.files.counters, COUNTER_WRITES, 1);
	if (n > 0)
		counter_add(s->options.files.counters, COUNTER_WRITTEN_BYTES, (uint64_t)n);
	return n;
}

int store_allocate(struct store *s, uint64_t node, int mode, uint64_t off, uint64_t len)
{
	struct file *f = node_of(s, node)->file;
	int r = file_allocate(f, mode, off, len);

	if (r == -ENOSPC) {
		space_wait(s);
		r = file_allocate(f, mode, off, len);
	}
	return r;
}

off_t store_seek(struct store *s, uint64_t node, uint64_t off, int whence)
{
	struct node *n = node_of(s, node);

	return file_seek(n->file, off, whence, atomic_load(&n->writers) == 0);
}

int store_sync(struct store *s, uint64_t node, bool datasync)
{
	struct node *n = node_of(s, node);
	int times = 0, r;

	if (!datasync) {
		LOCK_SCOPE(&n->lock);
		times = times_apply(s, n);
	}
	r = file_sync(n->file, datasync);
	return r < 0 ? r : times;
}

void store_usage(struct store *s, struct store_usage *ret_usage)
{
	LOCK_SCOPE(&s->table_lock);
	ret_usage->nodes = HASH_COUNT(s->by_handle);
	ret_usage->open_files = atomic_load(&s->open_files);
}
