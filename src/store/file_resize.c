/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the size and the allocation of an encrypted file: truncate,
 * fallocate, holes. Backing ranges stay in whole 16-byte blocks; edges of
 * plaintext ranges are overwritten with zeros.
 */
#include <errno.h>
#include <string.h>

#include "file_internal.h"
#include "tdefs/bytes.h"

#define ALLOCATE_MODES (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)

int file_set_length(struct file *f, uint64_t size)
{
	const struct sysio *sys = f->context->sys;
	off_t length = (off_t)file_length_of_size(size), old, reserved = 0;
	int r;

	old = sys->lseek(f->fd, 0, SEEK_END);
	if (old < 0)
		return file_io_error(f, (int)old);
	/* ftruncate(2) to a smaller length drops what fallocate(2) reserved past the end. */
	if (length < old)
		reserved = sys->allocated_end(f->fd, old);
	r = sys->ftruncate(f->fd, length);
	file_touched(f);
	if (r == 0 && reserved > length)
		r = sys->fallocate(f->fd, FALLOC_FL_KEEP_SIZE, length, reserved - length);
	return r < 0 ? file_io_error(f, r) : 0;
}

/* To a larger size, nothing written: the new bytes are a hole. Range: end. */
static int grow(struct file *f, uint64_t size)
{
	uint64_t old = atomic_load(&f->size);
	int r = file_need_key(f);

	if (r == 0)
		r = file_clean_tail(f);
	if (r < 0)
		return r;
	f->tail_size = 0;
	r = file_set_length(f, size);
	if (r < 0) {
		file_roll_back(f, old);
		return r;
	}
	f->tail_clean = true;
	atomic_store(&f->size, size);
	return 0;
}

static int cut_length(struct file *f, uint64_t length)
{
	int r = f->context->sys->ftruncate(f->fd, (off_t)length);

	file_touched(f);
	return r < 0 ? file_io_error(f, r) : 0;
}

/* To nothing. A file that never had a header keeps none: length 0 is empty, too. */
static int shrink_to_nothing(struct file *f)
{
	int r = cut_length(f, atomic_load(&f->has_header) ? FILE_HEADER_LEN : 0);

	if (r == 0)
		atomic_store(&f->size, 0);
	return r;
}

/* Holes only: there are no blocks to keep whole. */
static int shrink_hole(struct file *f, uint64_t size)
{
	int r = cut_length(f, file_length_of_size(size));

	if (r == 0)
		atomic_store(&f->size, size);
	return r;
}

/* From a larger size with the same last block. */
static int shrink_in_block(struct file *f, uint64_t size)
{
	uint64_t old = atomic_load(&f->size);
	int r = file_clean_tail(f);

	if (r == 0 && file_trailer_len(old) > file_trailer_len(size))
		r = cut_length(f, file_length_of_size(size));
	if (r == 0)
		r = file_cut_tail(f, size);
	if (r < 0)
		return r;
	f->tail_clean = true;
	atomic_store(&f->size, size);
	return 0;
}

/*
 * First to whole blocks, then inside the last one. Cut anywhere else, the
 * length would leave a piece of a ciphertext block where the trailer's zeros
 * belong, and a power cut that keeps it would let it decrypt to noise.
 * Range: end.
 */
static int shrink(struct file *f, uint64_t size)
{
	uint64_t blocks_len = file_blocks_len(size);
	int r;

	if (size == 0)
		return shrink_to_nothing(f);
	if (!atomic_load(&f->has_header))
		return shrink_hole(f, size);
	if (blocks_len < file_blocks_len(atomic_load(&f->size))) {
		r = cut_length(f, FILE_HEADER_LEN + blocks_len);
		if (r < 0)
			return r;
		atomic_store(&f->size, blocks_len);
	}
	return size < blocks_len ? shrink_in_block(f, size) : 0;
}

/* The same size: only reservations past the end go, as on ext4. Range: end. */
static int keep_size(struct file *f, uint64_t size)
{
	return cut_length(f, size || atomic_load(&f->has_header) ? file_length_of_size(size) : 0);
}

int file_truncate(struct file *f, uint64_t size)
{
	struct range range;
	int r;

	if (f->read_only)
		return -EROFS;
	if (size > FILE_SIZE_MAX)
		return -EFBIG;
	file_lock_end(f, &range, size);
	if (size == atomic_load(&f->size))
		r = keep_size(f, size);
	else
		r = size > atomic_load(&f->size) ? grow(f, size) : shrink(f, size);
	f->tail_size = 0;
	range_unlock(&f->ranges, &range);
	return r;
}

/* Zero [off, end), which lies inside the size, by the given mode of fallocate(2). */
static int zero_inside(struct file *f, uint64_t off, uint64_t end, int mode)
{
	static const uint8_t zeros[XTS_BLOCK];
	uint8_t bytes[XTS_BLOCK + FILE_ROOM_SLACK];
	struct file_room room = { bytes, sizeof(bytes) };
	uint64_t first = BLOCK_UP(off), last = BLOCK_DOWN(end);
	int r = 0;

	if (!atomic_load(&f->has_header)) /* all of it is a hole */
		first = off, last = end;
	if (first > end)
		first = end;
	if (off < first)
		r = file_overwrite(f, room, zeros, (size_t)(first - off), off);
	if (r == 0 && first <= last && last < end)
		r = file_overwrite(f, room, zeros, (size_t)(end - last), last);
	if (r < 0 || first >= last)
		return r;
	r = f->context->sys->fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE,
				       (off_t)(FILE_HEADER_LEN + first), (off_t)(last - first));
	file_touched(f);
	return r < 0 ? file_io_error(f, r) : 0;
}

static int reserve_backing(struct file *f, uint64_t first, uint64_t last)
{
	int r = f->context->sys->fallocate(f->fd, FALLOC_FL_KEEP_SIZE, (off_t)first,
					   (off_t)(last - first));

	file_touched(f);
	return r < 0 ? file_io_error(f, r) : 0;
}

/* Backing blocks for [off, end), trailer and a header yet to come included; the size stays. */
static int reserve(struct file *f, uint64_t off, uint64_t end)
{
	int r = atomic_load(&f->has_header) ? 0 : reserve_backing(f, 0, FILE_HEADER_LEN);

	return r < 0 ? r
		     : reserve_backing(f, FILE_HEADER_LEN + BLOCK_DOWN(off),
				       FILE_HEADER_LEN + BLOCK_UP(end) + XTS_BLOCK);
}

static int punch(struct file *f, uint64_t off, uint64_t end)
{
	uint64_t size = atomic_load(&f->size);

	if (end > size)
		end = size;
	return off < end ? zero_inside(f, off, end, FALLOC_FL_PUNCH_HOLE) : 0;
}

static int zero_range(struct file *f, uint64_t off, uint64_t end)
{
	uint64_t size = atomic_load(&f->size);
	int r = 0;

	if (off < size)
		r = zero_inside(f, off, end < size ? end : size, FALLOC_FL_ZERO_RANGE);
	if (r == 0 && end > size)
		r = reserve(f, off < size ? size : off, end);
	return r;
}

static int allocate_locked(struct file *f, int mode, uint64_t off, uint64_t end)
{
	int r;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		return punch(f, off, end);
	r = mode & FALLOC_FL_ZERO_RANGE ? zero_range(f, off, end) : reserve(f, off, end);
	if (r == 0 && !(mode & FALLOC_FL_KEEP_SIZE) && end > atomic_load(&f->size))
		r = grow(f, end);
	return r;
}

int file_allocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
	struct range range;
	uint64_t end;
	int r;

	if (mode & ~ALLOCATE_MODES || (mode & FALLOC_FL_PUNCH_HOLE && mode & FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (mode & FALLOC_FL_PUNCH_HOLE && !(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (f->read_only)
		return -EROFS;
	if (len == 0)
		return -EINVAL;
	if (ADD_OVERFLOW(off, len, &end) || end > FILE_SIZE_MAX - XTS_BLOCK)
		return -EFBIG;
	file_lock_span(f, &range, off, end);
	r = allocate_locked(f, mode, off, end);
	range_unlock(&f->ranges, &range);
	return r;
}
