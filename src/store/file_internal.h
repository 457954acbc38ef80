/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of an encrypted file share. Private to src/store. */
#ifndef TDEFS_STORE_FILE_INTERNAL_H
#define TDEFS_STORE_FILE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "tdefs/file.h"
#include "tdefs/file_header.h"
#include "tdefs/range_lock.h"
#include "tdefs/sector_cipher.h"

struct file {
	const struct file_context *context;
	int fd;
	uint64_t ino;
	bool read_only;

	/*
	 * Ranges of sectors. Reading the backing file takes its sectors shared,
	 * writing exclusive. Whoever changes the size or the key holds
	 * [sector of the old and the new end, RANGE_END] exclusive.
	 */
	struct range_lock ranges;
	_Atomic uint64_t size;
	/*
	 * False: no header yet, or data of holes only. Set once, under
	 * [0, RANGE_END] exclusive, after the nonce.
	 */
	_Atomic bool has_header;
	uint8_t nonce[FILE_NONCE_LEN];

	/* guarded by context->keys' lock (file_keys.c) */
	struct secret *key;  /* NULL: no header, or wiped */
	struct secret *tail; /* what file_tail_keep() was given; made under the tail's range */
	struct file *keyed_next, **keyed_link;

	/*
	 * Made by us and not synced since: a power cut may leave data without a
	 * header, for nothing was promised. Else a first header is made durable
	 * before data follows it.
	 */
	_Atomic bool never_synced;
	_Atomic bool page_lost; /* file_lose_page() */
	/* Last block and trailer are known to hold zeros after the end; under the tail's range. */
	bool tail_clean;
	/*
	 * `tail` is the plaintext of the last, partial block of a file of this size;
	 * 0: of none. Under the tail's range.
	 */
	uint64_t tail_size;

	pthread_mutex_t state_lock; /* guards what follows; innermost */
	uint64_t synced;	    /* value of `writes` that is known durable */
	int error;		    /* latched, negative errno, or 0 */
	bool error_reported;	    /* an fsync returned it */
	_Atomic uint64_t writes;    /* changes of data or size that have happened */
};

/* Load the header of a file of `length` bytes: 1 and its nonce; 0: there is none, all is holes. */
int header_load(const struct file_context *context, int fd, uint64_t ino, uint64_t length,
		bool read_only, uint8_t ret_nonce[static FILE_NONCE_LEN]) WARN_UNUSED;

/* Write a new header with a new nonce; the file has no data. */
int header_create(const struct file_context *context, int fd,
		  uint8_t ret_nonce[static FILE_NONCE_LEN]) WARN_UNUSED;

/* Make the file's key from its nonce, to be kept until file_key_drop(). -ENOKEY: no DEK. */
int file_key_adopt(struct file *f) WARN_UNUSED;
void file_key_drop(struct file *f); /* also when there is none */

/* sector_cipher_run() with the file's key. -ENOKEY: it was wiped. */
int file_crypt(struct file *f, enum sector_direction direction, uint64_t off, const uint8_t *in,
	       uint8_t *out, size_t len) WARN_UNUSED;

/*
 * The plaintext of the last, partial block, so that the next append need not read
 * it back; it goes when the keys are wiped. Who has kept one sets `tail_size` once
 * it is written. Range: end.
 */
void file_tail_keep(struct file *f, const uint8_t block[static XTS_BLOCK]);
/* False: it is not there. Range: the tail's sector. */
bool file_tail_get(struct file *f, uint8_t ret_block[static XTS_BLOCK]) WARN_UNUSED;

/* The HMAC of a header record. -ENOKEY: no DEK. */
int file_keys_header_mac(struct file_keys *k, const uint8_t *nonce, const uint8_t *record,
			 uint8_t ret_mac[static FILE_RECORD_MAC_LEN]) WARN_UNUSED;

void file_raise(const struct file_context *context, enum file_event event, uint64_t ino);

/* Count an error of the backing and return it. */
int file_io_error(const struct file *f, int r);

/* Something was written: the next file_sync() has work to do. */
static inline void file_touched(struct file *f)
{
	atomic_fetch_add(&f->writes, 1);
}

/*
 * Lock for writing or zeroing [off, end): the sectors themselves, or, when the
 * end moves or there is no header yet, everything that file_lock_end() takes.
 */
void file_lock_span(struct file *f, struct range *range, uint64_t off, uint64_t end);
/* Lock for a change of the size to or from `size`: the sector of either end, and all after it. */
void file_lock_end(struct file *f, struct range *range, uint64_t size);

/* The following are called with the range that they name held exclusive. */

/* Overwrite inside the size, any alignment. Range: the sectors touched. */
int file_overwrite(struct file *f, struct file_room room, const uint8_t *data, size_t len,
		   uint64_t off) WARN_UNUSED;
/* Make sure that there is a header and a key. Range: all, unless there is a key. */
int file_need_key(struct file *f) WARN_UNUSED;
/*
 * Make sure that the bytes after the end, up to the end of the trailer, are
 * zeros, before a larger size shows them. Range: end.
 */
int file_clean_tail(struct file *f) WARN_UNUSED;
/*
 * Write the last block and the trailer of a smaller `size`, not a multiple of
 * 16, whose last block is the last block now. Range: end.
 */
int file_cut_tail(struct file *f, uint64_t size) WARN_UNUSED;
/* An extension failed half-way: back to the length of the old `size`, so that it stands. Range: end. */
void file_roll_back(struct file *f, uint64_t size);
/* Set the backing length to that of `size`, keeping reservations past the end. Range: end. */
int file_set_length(struct file *f, uint64_t size) WARN_UNUSED;

#endif
