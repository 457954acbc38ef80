/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry of FUSE over io_uring, with an io_uring of its own: used by the one
 * thread that opened it. That thread waits for a request, carries it out and
 * answers it, as with /dev/fuse, in one system call where that takes two. Private
 * to src/fs.
 *
 * What it held is wiped: a request before its answer is handed over, the data of
 * an answer to READ as soon as the kernel has taken it. The kernel writes into
 * the buffers only while this thread is inside io_uring_enter(2)
 * (IORING_SETUP_DEFER_TASKRUN), so that nothing is wiped that has just come.
 */
#ifndef TDEFS_RING_ENTRY_H
#define TDEFS_RING_ENTRY_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "ring_protocol.h"
#include "tdefs/cleanup.h"

/*
 * Largest request. Each entry has a buffer of it, of which memory is only what
 * was used once: a quarter of /dev/fuse's, since there are some for each CPU.
 */
#define RING_PAYLOAD (256u << 10)

struct ring_entry {
	struct io_uring uring;
	int device_fd;	/* the session's: it outlives the entry */
	uint16_t queue; /* a CPU's number */
	uint8_t *memory;
	struct ring_header *header;
	struct iovec buffers[2]; /* header and payload, as they are registered */
	uint8_t *request;	 /* as /dev/fuse would have it: headers, then payload */
	size_t request_len;
	uint64_t commit_id; /* of the request; 0: none waits for an answer */
};

/* Flags of its io_uring; whether they may be had is also what ring_lack() tries. */
extern const unsigned ring_entry_flags;

int ring_entry_open(struct ring_entry *e, uint16_t queue) WARN_UNUSED;
void ring_entry_close(struct ring_entry *e); /* also of one that was not opened: all zero */

/*
 * From now on requests of this CPU may come. Once, after INIT was answered: from then on the kernel
 * holds requests back until it has registered or refused an entry of each CPU, so that this must
 * not fail before it is asked.
 */
int ring_entry_register(struct ring_entry *e, int device_fd) WARN_UNUSED;

/* Hand over the answer, if there is one, and wait for a request. -ENOTCONN: the mount is gone. */
int ring_entry_wait(struct ring_entry *e) WARN_UNUSED;

/* Is this an answer to the request at hand? */
bool ring_entry_expects(const struct ring_entry *e, const struct iovec *answer);
/* Its length, or -1 and errno. Data that was read is in the kernel's hands when this returns. */
ssize_t ring_entry_answer(struct ring_entry *e, const struct iovec *answer, int count);

#endif
