/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes and offsets of a backing file (FORMAT.md, "Size"). Pure arithmetic.
 *
 * `size` is the plaintext size in bytes, n in FORMAT.md. `length` is the length
 * of the backing file in bytes. Plaintext byte x lies in the block that starts
 * at backing offset FILE_HEADER_LEN + BLOCK_DOWN(x).
 */
#ifndef TDEFS_FILE_SIZE_H
#define TDEFS_FILE_SIZE_H

#include <stdint.h>

#include "tdefs/cleanup.h"

#define FILE_HEADER_LEN 4096
#define FILE_BLOCK_LEN	16

/* Largest plaintext size: its backing length still fits a signed 64-bit offset. */
#define FILE_SIZE_MAX ((uint64_t)INT64_MAX - FILE_HEADER_LEN - FILE_BLOCK_LEN)

/* Backing length of a file that has a header and `size` <= FILE_SIZE_MAX bytes. */
uint64_t file_length_of_size(uint64_t size);

/*
 * Plaintext size of a backing file. -EBADMSG when no size has that length: 1 to
 * 15 bytes after the header. Lengths up to FILE_HEADER_LEN are empty files.
 */
int file_size_of_length(uint64_t length, uint64_t *ret_size) WARN_UNUSED;

/* Bytes of ciphertext blocks, 16·m. */
uint64_t file_blocks_len(uint64_t size);

/* Zero bytes that follow the blocks, q = size mod 16. */
uint64_t file_trailer_len(uint64_t size);

#endif
