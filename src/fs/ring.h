/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE over io_uring: for each CPU some threads, each with one entry
 * (ring_entry.h), which the kernel gives the requests that are made on that CPU.
 * A thread that waits for a disk keeps its own request waiting and no other.
 * Private to src/fs.
 *
 * Calling sequence: ring_lack() before the mount, ring_new() before INIT is
 * answered, ring_start() after that, ring_join() when the mount is gone.
 */
#ifndef TDEFS_RING_H
#define TDEFS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "tdefs/cleanup.h"

/* What a machine has not, and what to do about it. Static. */
struct ring_lack {
	const char *what, *next;
};
const struct ring_lack *ring_lack(void); /* NULL: nothing is missing */

struct ring_server {
	unsigned threads; /* about as many, in all; at least two a CPU */
	size_t room_len;  /* of the memory that each thread has for itself */
	/* Carry out a request and answer it, in a thread of the ring. */
	void (*serve)(void *arg, uint8_t *request, size_t len, uint8_t *room);
	/* All of them are registered (0), or one could not be, and the kernel stays with /dev/fuse. */
	void (*started)(void *arg, int error);
	void *arg;
};

struct ring;

/* Everything that could fail has been done when this returns 0; nothing is served yet. */
int ring_new(const struct ring_server *server, struct ring **ret_ring) WARN_UNUSED;
void ring_start(struct ring *ring, int device_fd);
/* Wait for the end of its threads: they serve as long as there is a mount. */
void ring_join(struct ring *ring);
void ring_free(struct ring *ring); /* joins what was not yet; accepts NULL */

/*
 * Requests are about to be kept for longer, each in a thread of its own: have some more threads
 * before that. ring_keep(): may the calling one be kept, so that others remain for its CPU? When
 * it has waited, ring_go_on().
 */
void ring_prepare_to_keep(struct ring *ring);
bool ring_keep(void) WARN_UNUSED;
void ring_go_on(void);

/*
 * Is this the answer to what the calling thread serves? Then it is handed over,
 * and *ret_len is as of writev(2).
 */
bool ring_answer(const struct iovec *answer, int count, ssize_t *ret_len);

#endif
