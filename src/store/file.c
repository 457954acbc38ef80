/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an open encrypted file, its size, and reading it. Writing is file_write.c. */
#include "tdefs/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file_internal.h"

static int load_header(struct file *f, uint64_t length)
{
	int r = header_load(f->context, f->fd, f->ino, length, f->read_only, f->nonce);

	if (r <= 0)
		return r;
	r = file_key_adopt(f);
	if (r == 0)
		atomic_store(&f->has_header, true);
	return r;
}

static int load(struct file *f, unsigned flags)
{
	const struct file_context *context = f->context;
	off_t length = context->sys->lseek(f->fd, 0, SEEK_END);
	uint64_t size;
	int r;

	if (length < 0)
		return (int)length;
	r = file_size_of_length((uint64_t)length, &size);
	if (r < 0 && !(flags & FILE_DISCARD)) {
		file_raise(context, FILE_EVENT_LENGTH_DAMAGED, f->ino);
		return r;
	}
	if (length >= FILE_HEADER_LEN && r == 0) {
		r = load_header(f, (uint64_t)length);
		if (r < 0 && !(r == -EBADMSG && flags & FILE_DISCARD))
			return r;
	}
	if (r < 0) { /* damaged, and to be discarded: nothing of it is kept */
		r = context->sys->ftruncate(f->fd, 0);
		size = 0;
		if (r < 0)
			return r;
		file_touched(f);
	}
	atomic_store(&f->size, size);
	return 0;
}

int file_open(const struct file_context *context, int fd, uint64_t ino, unsigned flags,
	      struct file **ret_file)
{
	struct file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->context = context;
	f->fd = fd;
	f->ino = ino;
	f->read_only = flags & FILE_READ_ONLY;
	atomic_init(&f->never_synced, flags & FILE_CREATED);
	range_lock_init(&f->ranges);
	pthread_mutex_init(&f->state_lock, NULL);
	r = load(f, flags);
	if (r == 0 && flags & FILE_DISCARD)
		r = file_truncate(f, 0);
	if (r < 0) {
		f->fd = -1;
		file_close(f);
		return r;
	}
	*ret_file = f;
	return 0;
}

void file_close(struct file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		IGNORE_RESULT(
			f->context->sys->close(f->fd),
			"Linux frees the descriptor; write-back errors are fsync's to report");
	if (f->error) /* it goes with the file: nobody can ask any more */
		counter_add(f->context->counters, COUNTER_ERRORS_RELEASED, 1);
	file_key_drop(f);
	range_lock_destroy(&f->ranges);
	pthread_mutex_destroy(&f->state_lock);
	free(f);
}

int file_fd(const struct file *f)
{
	return f->fd;
}

uint64_t file_size(const struct file *f)
{
	return atomic_load(&f->size);
}

int file_io_error(const struct file *f, int r)
{
	counter_add(f->context->counters, COUNTER_IO_ERRORS, 1);
	return r;
}

/* The ciphertext blocks of [off, off + len), into the room; under the shared range. */
static ssize_t read_blocks(struct file *f, struct file_room room, uint64_t first, size_t len)
{
	ssize_t n =
		sysio_pread_full(f->context->sys, f->fd, room.bytes, len, FILE_HEADER_LEN + first);

	if (n < 0)
		return file_io_error(f, (int)n);
	return n == (ssize_t)len ? n : file_io_error(f, -EIO);
}

static int decrypt_blocks(struct file *f, struct file_room room, uint64_t first, size_t len)
{
	if (atomic_load(&f->has_header))
		return file_crypt(f, SECTOR_DECRYPT, first, room.bytes, room.bytes, len);
	memset(room.bytes, 0, len); /* holes only */
	return 0;
}

ssize_t file_read(struct file *f, struct file_room room, size_t len, uint64_t off,
		  const uint8_t **ret_data)
{
	uint64_t size, first = BLOCK_DOWN(off);
	struct range range;
	size_t blocks_len;
	ssize_t r = 0;

	if (atomic_load(&f->page_lost))
		return -EIO;
	if (len == 0 || off >= FILE_SIZE_MAX)
		return 0;
	if (len > room.len - FILE_ROOM_SLACK)
		len = room.len - FILE_ROOM_SLACK;
	range_lock_shared(&f->ranges, &range, off / SECTOR_LEN, (off + len - 1) / SECTOR_LEN);
	size = atomic_load(&f->size);
	if (off >= size)
		len = 0;
	else if (len > size - off)
		len = (size_t)(size - off);
	blocks_len = len ? (size_t)(BLOCK_UP(off + len) - first) : 0;
	if (blocks_len)
		r = read_blocks(f, room, first, blocks_len);
	range_unlock(&f->ranges, &range);
	/* The blocks are a consistent copy: decrypting needs no lock. */
	if (r >= 0 && blocks_len)
		r = decrypt_blocks(f, room, first, blocks_len);
	if (r < 0)
		return r;
	*ret_data = room.bytes + (off - first);
	return (ssize_t)len;
}

/* Where plaintext offset of the backing's answer lies, clamped to the size. */
static off_t seek_backing(struct file *f, uint64_t off, uint64_t size, int whence)
{
	off_t at = f->context->sys->lseek(f->fd, (off_t)(FILE_HEADER_LEN + off), whence);
	uint64_t plain;

	if (at < 0)
		return at;
	plain = (uint64_t)at - FILE_HEADER_LEN;
	if (plain < size)
		return (off_t)plain;
	return whence == SEEK_DATA ? -ENXIO : (off_t)size;
}

off_t file_seek(struct file *f, uint64_t off, int whence, bool exact)
{
	uint64_t size = atomic_load(&f->size);

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (off >= size)
		return -ENXIO;
	if (exact)
		return seek_backing(f, off, size, whence);
	return whence == SEEK_DATA ? (off_t)off : (off_t)size;
}
