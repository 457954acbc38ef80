/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing an encrypted file: overwrite inside the size, extend beyond it.
 * FORMAT.md, "Order of writes", says which crash leaves what; the comments here
 * name its rules. Resizing without data is file_resize.c.
 */
#include <errno.h>
#include <string.h>

#include "file_internal.h"
#include "tdefs/bytes.h"

static int write_at(struct file *f, const void *data, size_t len, uint64_t off)
{
	int r = sysio_pwrite_all(f->context->sys, f->fd, data, len, FILE_HEADER_LEN + off);

	file_touched(f);
	return r < 0 ? file_io_error(f, r) : 0;
}

static uint64_t sector_of_end(uint64_t size)
{
	return size / SECTOR_LEN;
}

void file_lock_end(struct file *f, struct range *range, uint64_t size)
{
	for (;;) {
		uint64_t now = atomic_load(&f->size);
		uint64_t first = sector_of_end(now < size ? now : size);

		if (!atomic_load(&f->has_header))
			first = 0;
		range_lock_exclusive(&f->ranges, range, first, RANGE_END);
		/* Both may have changed while we waited; now they cannot. */
		now = atomic_load(&f->size);
		if (first <= sector_of_end(now < size ? now : size) &&
		    (first == 0 || atomic_load(&f->has_header)))
			return;
		range_unlock(&f->ranges, range);
	}
}

void file_lock_span(struct file *f, struct range *range, uint64_t off, uint64_t end)
{
	for (;;) {
		if (end > atomic_load(&f->size) || !atomic_load(&f->has_header)) {
			file_lock_end(f, range, off);
			return;
		}
		range_lock_exclusive(&f->ranges, range, off / SECTOR_LEN, (end - 1) / SECTOR_LEN);
		if (end <= atomic_load(&f->size) && atomic_load(&f->has_header))
			return;
		range_unlock(&f->ranges, range);
	}
}

/* A sync of our own. Should it fail, this descriptor's next fsync would not say so again. */
static int sync_now(struct file *f)
{
	int r = f->context->sys->fdatasync(f->fd);

	if (r < 0)
		file_latch(f, file_io_error(f, r));
	return r;
}

/*
 * An fsync may have promised that the file is there and readable, empty or a
 * hole: then its first header is made durable before any data, or a power cut
 * could leave data that no header explains. A sync that begins after the flag
 * was read here takes the header along.
 */
int file_need_key(struct file *f)
{
	int r;

	if (atomic_load(&f->has_header))
		return 0;
	r = header_create(f->context, f->fd, f->nonce);
	file_touched(f);
	if (r < 0)
		return file_io_error(f, r);
	if (!atomic_load(&f->never_synced))
		r = sync_now(f);
	if (r == 0)
		r = file_key_adopt(f);
	if (r == 0)
		atomic_store(&f->has_header, true);
	return r;
}

/*
 * Plaintext of the block at `at`, as a reader sees it: bytes past the size are
 * zeros, whatever the disk holds there.
 */
static int load_block(struct file *f, uint64_t at, uint8_t block[static XTS_BLOCK])
{
	uint64_t size = atomic_load(&f->size);
	ssize_t n;
	int r;

	if (at >= size) {
		memset(block, 0, XTS_BLOCK);
		return 0;
	}
	if (at == BLOCK_DOWN(size) && file_tail_get(f, block))
		return 0;
	n = sysio_pread_full(f->context->sys, f->fd, block, XTS_BLOCK, FILE_HEADER_LEN + at);
	if (n != XTS_BLOCK)
		return file_io_error(f, n < 0 ? (int)n : -EIO);
	r = file_crypt(f, SECTOR_DECRYPT, at, block, block, XTS_BLOCK);
	if (r == 0 && size - at < XTS_BLOCK)
		memset(block + (size - at), 0, XTS_BLOCK - (size_t)(size - at));
	return r;
}

/* Data of any alignment as whole blocks in the room, with what stands around it. */
static int assemble(struct file *f, struct file_room room, const uint8_t *data, size_t len,
		    uint64_t off)
{
	uint64_t first = BLOCK_DOWN(off), end = off + len, last = BLOCK_UP(end) - XTS_BLOCK;
	int r = 0;

	if (first < off)
		r = load_block(f, first, room.bytes);
	if (r == 0 && BLOCK_UP(end) > end && (last != first || first == off))
		r = load_block(f, last, room.bytes + (last - first));
	if (r == 0)
		memcpy(room.bytes + (off - first), data, len);
	return r;
}

/* Does a write that ends here change the last block, or make another one the last? */
static bool touches_tail(const struct file *f, uint64_t end)
{
	return end > BLOCK_DOWN(atomic_load(&f->size));
}

/* Ciphertext of the blocks that [off, off + len) touches, into the room. */
static int encrypt(struct file *f, struct file_room room, const uint8_t *data, size_t len,
		   uint64_t off)
{
	uint64_t first = BLOCK_DOWN(off);
	size_t blocks_len = (size_t)(BLOCK_UP(off + len) - first);
	int r = 0;

	if (blocks_len != len) {
		r = assemble(f, room, data, len, off);
		data = room.bytes;
		if (r == 0 && touches_tail(f, off + len))
			file_tail_keep(f, room.bytes + blocks_len - XTS_BLOCK);
	}
	if (r == 0)
		r = file_crypt(f, SECTOR_ENCRYPT, first, data, room.bytes, blocks_len);
	if (r < 0)
		secret_wipe(room.bytes, blocks_len);
	return r;
}

/* Last block and trailer of a file of `size` bytes; padding and trailer are zeros. */
static int write_tail(struct file *f, uint64_t size, const uint8_t block[static XTS_BLOCK])
{
	uint8_t tail[2 * XTS_BLOCK] = { 0 };
	uint64_t at = BLOCK_DOWN(size);
	int r = file_crypt(f, SECTOR_ENCRYPT, at, block, tail, XTS_BLOCK);

	return r < 0 ? r : write_at(f, tail, XTS_BLOCK + (size_t)file_trailer_len(size), at);
}

/* Last block, decrypted, and trailer of the current size, as they are on disk. */
static int read_tail(struct file *f, uint8_t tail[static 2 * XTS_BLOCK], size_t len)
{
	uint64_t at = BLOCK_DOWN(atomic_load(&f->size));
	ssize_t n = sysio_pread_full(f->context->sys, f->fd, tail, len, FILE_HEADER_LEN + at);

	if (n != (ssize_t)len)
		return file_io_error(f, n < 0 ? (int)n : -EIO);
	return file_crypt(f, SECTOR_DECRYPT, at, tail, tail, XTS_BLOCK);
}

/*
 * Only after a crash: what it left past the end must be gone, durably, before a
 * larger size can become durable and show it.
 */
static int rewrite_tail(struct file *f, const uint8_t block[static XTS_BLOCK])
{
	int r = write_tail(f, atomic_load(&f->size), block);

	return r < 0 ? r : sync_now(f);
}

int file_clean_tail(struct file *f)
{
	size_t used = (size_t)file_trailer_len(atomic_load(&f->size));
	size_t len = XTS_BLOCK + used;
	uint8_t tail[2 * XTS_BLOCK];
	int r;

	if (f->tail_clean || used == 0)
		return 0;
	r = read_tail(f, tail, len);
	if (r == 0 && !bytes_all_zero(tail + used, len - used)) {
		memset(tail + used, 0, len - used);
		r = rewrite_tail(f, tail);
	}
	secret_wipe(tail, sizeof(tail));
	if (r < 0)
		return r;
	f->tail_clean = true;
	return 0;
}

/*
 * A rewritten last block has zeros past the end, but only in the page cache: what
 * a crash left there must be gone from the disk first, as before any growth.
 */
int file_overwrite(struct file *f, struct file_room room, const uint8_t *data, size_t len,
		   uint64_t off)
{
	uint64_t first = BLOCK_DOWN(off);
	bool tail = touches_tail(f, off + len);
	int r = tail ? file_clean_tail(f) : 0;

	if (r == 0)
		r = encrypt(f, room, data, len, off);
	if (r == 0)
		r = write_at(f, room.bytes, (size_t)(BLOCK_UP(off + len) - first), first);
	if (r == 0 && tail)
		f->tail_size = atomic_load(&f->size);
	return r;
}

/* Whether the block at `at` is a hole on disk: 1, 0 or an errno. */
static int is_hole(struct file *f, uint64_t at)
{
	uint8_t block[XTS_BLOCK];
	ssize_t n =
		sysio_pread_full(f->context->sys, f->fd, block, XTS_BLOCK, FILE_HEADER_LEN + at);

	if (n != XTS_BLOCK)
		return file_io_error(f, n < 0 ? (int)n : -EIO);
	return bytes_all_zero(block, XTS_BLOCK);
}

int file_cut_tail(struct file *f, uint64_t size)
{
	uint64_t at = BLOCK_DOWN(size);
	uint8_t block[XTS_BLOCK];
	int r = is_hole(f, at);

	if (r == 1) /* and stays one: a full disk is no reason to refuse */
		return file_set_length(f, size);
	if (r == 0)
		r = load_block(f, at, block);
	if (r == 0) {
		memset(block + (size - at), 0, XTS_BLOCK - (size_t)(size - at));
		r = write_tail(f, size, block);
	}
	secret_wipe(block, sizeof(block));
	return r;
}

void file_roll_back(struct file *f, uint64_t size)
{
	const struct sysio *sys = f->context->sys;
	uint64_t length = file_length_of_size(size), decoded;
	off_t now = sys->lseek(f->fd, 0, SEEK_END);

	f->tail_clean = false;
	f->tail_size = 0;
	if (now >= 0 && (uint64_t)now != length && sys->ftruncate(f->fd, (off_t)length) < 0) {
		IGNORE_RESULT(file_io_error(f, 0), "the caller returns the first error");
		/* Say what the disk says from now on, if it says anything. */
		if (file_size_of_length((uint64_t)now, &decoded) == 0)
			atomic_store(&f->size, decoded);
	}
}

/* The blocks and the trailer of an extension to `end`, in the order that FORMAT.md fixes. */
static int write_extension(struct file *f, struct file_room room, uint64_t first, uint64_t end)
{
	uint64_t blocks_end = BLOCK_UP(end);
	size_t blocks_len = (size_t)(blocks_end - first);
	size_t trailer = (size_t)file_trailer_len(end);
	int r;

	memset(room.bytes + blocks_len, 0, trailer);
	if (trailer == 0 || blocks_end % SECTOR_LEN != 0)
		return write_at(f, room.bytes, blocks_len + trailer, first);
	/* The trailer lies in the next sector: it goes first. */
	r = write_at(f, room.bytes + blocks_len, trailer, blocks_end);
	return r < 0 ? r : write_at(f, room.bytes, blocks_len, first);
}

static int extend(struct file *f, struct file_room room, const uint8_t *data, size_t len,
		  uint64_t off)
{
	uint64_t old = atomic_load(&f->size), end = off + len;
	int r = file_need_key(f);

	if (r == 0)
		r = file_clean_tail(f);
	if (r == 0)
		r = encrypt(f, room, data, len, off);
	if (r < 0)
		return r;
	r = write_extension(f, room, BLOCK_DOWN(off), end);
	/* To a multiple of 16 inside the last block: the old trailer must go. */
	if (r == 0 && file_length_of_size(end) < file_length_of_size(old))
		r = file_set_length(f, end);
	if (r < 0) {
		file_roll_back(f, old);
		return r;
	}
	f->tail_clean = true;
	f->tail_size = end % XTS_BLOCK ? end : 0;
	atomic_store(&f->size, end);
	return 0;
}

static int write_inside(struct file *f, struct file_room room, const uint8_t *data, size_t len,
			uint64_t off)
{
	int r = file_need_key(f);

	return r < 0 ? r : file_overwrite(f, room, data, len, off);
}

ssize_t file_write(struct file *f, struct file_room room, const uint8_t *data, size_t len,
		   uint64_t off)
{
	struct range range;
	uint64_t end;
	int r;

	if (f->read_only)
		return -EROFS;
	if (len == 0)
		return 0;
	if (len > room.len - FILE_ROOM_SLACK)
		return -EINVAL;
	if (ADD_OVERFLOW(off, len, &end) || end > FILE_SIZE_MAX)
		return -EFBIG;
	file_lock_span(f, &range, off, end);
	if (end > atomic_load(&f->size))
		r = extend(f, room, data, len, off);
	else
		r = write_inside(f, room, data, len, off);
	range_unlock(&f->ranges, &range);
	return r < 0 ? r : (ssize_t)len;
}
