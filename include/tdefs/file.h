/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An encrypted file: one backing file that is open, seen as its plaintext.
 * Offsets and sizes here are plaintext bytes.
 *
 * One struct file a backing file, kept from its first open to its last close
 * (the node table sees to it). All functions may run in several threads at
 * once, except file_close(). Reads share, writes exclude, by sector; see
 * DESIGN.md, "Torn reads" and "Size without metadata", and FORMAT.md.
 *
 * Errors are negative errno of the backing file system, and:
 *   -EBADMSG  the header or the length is damaged, or belongs elsewhere
 *   -EROFS    the backing file could be opened for reading only
 *   -EFBIG    beyond FILE_SIZE_MAX
 *   -EIO      the backing file is shorter than it was
 *   -ENOKEY   the keys were wiped
 * After an error each 16-byte block holds its old or its new plaintext, and the
 * size is the old one unless said otherwise.
 */
#ifndef TDEFS_FILE_H
#define TDEFS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tdefs/counters.h"
#include "tdefs/crypto.h"
#include "tdefs/file_size.h"
#include "tdefs/sysio.h"

enum file_event {
	FILE_EVENT_HEADER_DAMAGED,  /* no record of the header is usable; refused */
	FILE_EVENT_HEADER_MISSING,  /* header all zero, but data after it; refused */
	FILE_EVENT_RECORD_REPAIRED, /* damage around a good record was written anew */
	FILE_EVENT_LENGTH_DAMAGED,  /* no size has this length */
	FILE_EVENT_ERROR_LATCHED, /* an error that nobody was told of is held for the next fsync */
	FILE_EVENT_ABSOLUTE_SYMLINK, /* a symbolic link leads out of the volume */
};

/*
 * The DEK of a volume's files, and what is derived from it for those that are
 * open. It can be taken away and given back while they are: meanwhile whatever
 * needs a key answers -ENOKEY.
 */
struct file_keys;
struct file_keys *file_keys_new(void) WARN_UNUSED; /* without a DEK; NULL: no memory */
void file_keys_free(struct file_keys *keys);	   /* no file is open; accepts NULL */
/* Take over `dek`, in any case, and make the keys of open files; on error there are none. */
int file_keys_set(struct file_keys *keys, struct secret *dek) WARN_UNUSED;
/* Wipe them all. Waits for ciphers at work, never for I/O. */
void file_keys_wipe(struct file_keys *keys);

static inline void cleanup_file_keys_(struct file_keys **keys)
{
	file_keys_free(*keys);
}
#define CLEANUP_FILE_KEYS CLEANUP(cleanup_file_keys_)

/* What all files of a volume share; outlives them. */
struct file_context {
	const struct sysio *sys;
	struct file_keys *keys; /* NULL: file_check() only, without HMACs */
	uint8_t dek_id[DEK_ID_LEN];
	uint8_t key_domain_id[16];
	struct counters *counters;
	/* Told of events, possibly in several threads at once; may be NULL. */
	void (*event)(void *arg, enum file_event event, uint64_t ino);
	void *event_arg;
};

struct file;

enum file_open_flags {
	FILE_READ_ONLY = 1, /* `fd` cannot write */
	FILE_DISCARD = 2,   /* truncate to 0, and never mind a damaged header */
	FILE_CREATED = 4,   /* it was just made: nobody can have synced it yet */
};

/*
 * Take over `fd`, an open backing file (O_RDWR, or O_RDONLY with
 * FILE_READ_ONLY). On error `fd` stays the caller's.
 */
int file_open(const struct file_context *context, int fd, uint64_t ino, unsigned flags,
	      struct file **ret_file) WARN_UNUSED;
void file_close(struct file *f); /* wipes the key; accepts NULL */

int file_fd(const struct file *f);
uint64_t file_size(const struct file *f);

/*
 * Room for one request's ciphertext or plaintext, owned by the caller and used
 * by one thread at a time: `len` bytes serve requests of up to
 * len - FILE_ROOM_SLACK bytes.
 */
#define FILE_ROOM_SLACK 64
struct file_room {
	uint8_t *bytes;
	size_t len;
};

/* Read up to `len` bytes: the count (0 at end of file), and where in the room they are. */
ssize_t file_read(struct file *f, struct file_room room, size_t len, uint64_t off,
		  const uint8_t **ret_data) WARN_UNUSED;

/* Write all of `len` bytes, or none that count: `len`, or an error. */
ssize_t file_write(struct file *f, struct file_room room, const uint8_t *data, size_t len,
		   uint64_t off) WARN_UNUSED;

/*
 * ftruncate(2). When shrinking fails half-way, the size may have come down to
 * the next multiple of 16.
 */
int file_truncate(struct file *f, uint64_t size) WARN_UNUSED;

/*
 * fallocate(2) with mode 0, FALLOC_FL_KEEP_SIZE, or one of FALLOC_FL_PUNCH_HOLE
 * and FALLOC_FL_ZERO_RANGE with or without it; else -EOPNOTSUPP.
 */
int file_allocate(struct file *f, int mode, uint64_t off, uint64_t len) WARN_UNUSED;

/*
 * lseek(2) with SEEK_DATA or SEEK_HOLE. With `exact` false the whole file is
 * one extent of data: right at any time. True maps the backing's holes: only
 * while no writer or mapping exists whose data the kernel has not sent yet.
 */
off_t file_seek(struct file *f, uint64_t off, int whence, bool exact) WARN_UNUSED;

/*
 * Everything written so far is durable when this returns 0; `datasync` may
 * leave out times. An error that was latched, and one met here, is returned to
 * this and every later call until file_last_close() clears it.
 */
int file_sync(struct file *f, bool datasync) WARN_UNUSED;

/* Hold an error (negative errno) for the next file_sync(): its writer was never told. */
void file_latch(struct file *f, int error);

/* A write was lost after its writer had gone on: reading is -EIO until file_last_close(). */
void file_lose_page(struct file *f);

/* file_sync() on nobody's behalf, if there is anything to do: an error is latched. */
void file_secure(struct file *f);

/* What would be lost by closing the descriptor now. */
enum file_rest {
	FILE_CLEAN,
	FILE_DIRTY,   /* written since the last file_sync() or file_settle() that succeeded */
	FILE_LATCHED, /* an error is held */
};
enum file_rest file_rest(struct file *f);

/* The last handle was closed: an error that an fsync has reported is cleared. */
void file_last_close(struct file *f);

/*
 * Push written data to the disk, without a flush or a journal commit, so that
 * what can fail asynchronously has failed: then the file is clean, or the error
 * is latched.
 */
void file_settle(struct file *f);

/* What is found by checking a backing file on its own (tdefsctl verify). */
enum file_verdict {
	FILE_GOOD,
	FILE_EMPTY,	 /* no data: nothing, a header, or the beginning of one */
	FILE_HOLES_ONLY, /* header all zero, no data: reads as zeros */
	FILE_BAD_LENGTH,
	FILE_NO_HEADER,	      /* header all zero, with data */
	FILE_BAD_HEADER,      /* no usable record */
	FILE_BAD_RECORD,      /* part of it is damaged; a good record serves */
	FILE_FOREIGN_VOLUME,  /* of another key domain */
	FILE_FOREIGN_DEK,     /* of this domain, under another DEK */
	FILE_UNKNOWN_VERSION, /* made by a newer version */
	FILE_NOT_OURS,	      /* no data, but what is there is not the beginning of a header */
};

/*
 * Check header and length of an open backing file; reads only. Without keys
 * in `context` the HMACs are not checked. 0 and a verdict, or an I/O error.
 */
int file_check(const struct file_context *context, int fd,
	       enum file_verdict *ret_verdict) WARN_UNUSED;

/* The same of an open file, while nothing else happens to it. */
int file_recheck(struct file *f, enum file_verdict *ret_verdict) WARN_UNUSED;

const char *file_verdict_text(enum file_verdict verdict);
static inline bool file_verdict_is_good(enum file_verdict v)
{
	return v <= FILE_HOLES_ONLY;
}

#endif
