/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a backing file: 4096 bytes with two equal 512-byte records, at
 * 0 and 2048 (FORMAT.md, "File header"). This module knows the bytes; the HMAC
 * over them is made and checked by src/store, which has the key. Pure.
 */
#ifndef TDEFS_FILE_HEADER_H
#define TDEFS_FILE_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "tdefs/cleanup.h"
#include "tdefs/file_size.h"

#define FILE_RECORD_LEN	    512
#define FILE_RECORD_COUNT   2
#define FILE_RECORD_MAC_AT  480 /* the HMAC covers the bytes before it */
#define FILE_NONCE_LEN	    32
#define FILE_RECORD_MAC_LEN 32
#define FILE_RECORD_STRIDE  2048

struct file_record {
	uint8_t key_domain_id[16];
	uint8_t dek_id[16];
	uint8_t nonce[FILE_NONCE_LEN];
	uint64_t sequence;
};

/* One record's first FILE_RECORD_MAC_AT bytes, and zeros where its HMAC goes. */
void file_record_encode(const struct file_record *record,
			uint8_t ret_bytes[static FILE_RECORD_LEN]);

/*
 * -EBADMSG: not a record. -EPROTONOSUPPORT: a version or feature we do not
 * know; ids and nonce, which every version has there, are returned all the same.
 */
int file_record_parse(const uint8_t bytes[static FILE_RECORD_LEN],
		      struct file_record *ret_record) WARN_UNUSED;

/* Offset in the header of record `i`. */
static inline uint64_t file_record_at(unsigned i)
{
	return (uint64_t)i * FILE_RECORD_STRIDE;
}

/* True when everything outside the two records is zero, as it is written. */
bool file_header_rest_is_zero(const uint8_t header[static FILE_HEADER_LEN]);
/*
 * Whether the first `len` bytes are nothing, a header, or one whose writing a power
 * cut ended: each record begins as one does, or is zeros. What follows `len` is zeros.
 */
bool file_header_may_be_begun(const uint8_t header[static FILE_HEADER_LEN], size_t len);

#endif
