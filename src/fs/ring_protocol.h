/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's protocol of FUSE over io_uring (linux/fuse.h of Linux 6.14,
 * Documentation/filesystems/fuse/fuse-io-uring.rst), under names of our own:
 * Debian 12's linux/fuse.h is older. Private to src/fs.
 *
 * An entry is a place for one request: two buffers that are registered once, for
 * the queue of one CPU. The kernel fills them and completes the command; the
 * next command, COMMIT_AND_FETCH, hands back the answer in the same buffers and
 * waits for the next request. FORGET, INTERRUPT, INIT and notifications stay
 * with /dev/fuse.
 */
#ifndef TDEFS_RING_PROTOCOL_H
#define TDEFS_RING_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

/* Bits of INIT, in `flags2`, which counts from bit 32. */
#define RING_INIT_EXT	   (1u << 30) /* in `flags`: flags2 is there */
#define RING_INIT_IO_URING (1u << (41 - 32))

enum ring_command { RING_REGISTER = 1, RING_COMMIT_AND_FETCH = 2 };

#define RING_OPERATION_MAX 128

struct ring_header {
	uint8_t in_out[128];		       /* fuse_in_header; in the answer, fuse_out_header */
	uint8_t operation[RING_OPERATION_MAX]; /* the request's own header, which may be empty */
	uint64_t flags;
	uint64_t commit_id;
	uint32_t payload_len; /* of what follows the headers, in the other buffer */
	uint32_t padding;
	uint64_t reserved;
};
static_assert(sizeof(struct ring_header) == 288, "struct fuse_uring_req_header");

/* In the 80 bytes of a large SQE. */
struct ring_command_data {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t queue;
	uint8_t padding[6];
};
static_assert(sizeof(struct ring_command_data) == 24, "struct fuse_uring_cmd_req");

#endif
