/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to a mount whose daemon is dead: its cached pages are dropped,
 * for the kernel goes on serving them to whoever has the files open. Speaks the
 * kernel's own protocol (linux/fuse.h): libfuse's session died with the daemon.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tdefs/fs.h"

#define REQUEST_MAX ((1u << 20) + 65536) /* above FS_MAX_WRITE and its headers */
#define DROPPERS    8
#define MOST_S	    20

/* linux/fuse.h of Linux 6.9: FUSE_NOTIFY_RESEND. */
#define NOTIFY_RESEND 7

struct eviction {
	int fd;
	uint64_t highest_node;
	_Atomic uint64_t next;
};

/* Is this a request that waits for an answer? */
static bool is_answered(uint32_t opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT &&
	       opcode != FUSE_NOTIFY_REPLY;
}

static void refuse(int fd, const struct fuse_in_header *in)
{
	const struct fuse_out_header out = { .len = sizeof(out),
					     .error = -ENOTCONN,
					     .unique = in->unique };

	if (is_answered(in->opcode))
		IGNORE_RESULT(write(fd, &out, sizeof(out)), "it may have been interrupted");
}

/* Dropping a dirty page asks for it to be written first: somebody must say no. */
static void *refuse_all(void *arg)
{
	const struct eviction *e = arg;
	uint8_t *request = malloc(REQUEST_MAX);
	ssize_t n;

	while (request && ((n = read(e->fd, request, REQUEST_MAX)) >= 0 || errno == EINTR ||
			   errno == ENOENT || errno == EAGAIN)) {
		struct fuse_in_header in;

		if (n < (ssize_t)sizeof(in))
			continue;
		memcpy(&in, request, sizeof(in));
		refuse(e->fd, &in);
		explicit_bzero(request, (size_t)n); /* it may carry plaintext */
	}
	free(request);
	return NULL;
}

/* What the daemon had taken and never answered comes again; before Linux 6.9 it does not. */
static void resend(int fd)
{
	const struct fuse_out_header out = { .len = sizeof(out), .error = NOTIFY_RESEND };

	IGNORE_RESULT(write(fd, &out, sizeof(out)), "then the abort at the end answers them");
}

static void drop(int fd, uint64_t node)
{
	const struct fuse_notify_inval_inode_out what = { .ino = node };
	const struct fuse_out_header out = { .len = sizeof(out) + sizeof(what),
					     .error = FUSE_NOTIFY_INVAL_INODE };
	const struct iovec parts[] = { { (void *)(uintptr_t)&out, sizeof(out) },
				       { (void *)(uintptr_t)&what, sizeof(what) } };

	IGNORE_RESULT(writev(fd, parts, 2), "most numbers are of no node by now");
}

static void *drop_all(void *arg)
{
	struct eviction *e = arg;
	uint64_t node;

	while ((node = atomic_fetch_add(&e->next, 1)) <= e->highest_node)
		drop(e->fd, node);
	return NULL;
}

void fs_evict(int device_fd, uint64_t highest_node)
{
	struct eviction *e = calloc(1, sizeof(*e)); /* its threads may outlive this call */
	pthread_t refuser, droppers[DROPPERS];
	struct timespec until;
	int started = 0;

	if (!e)
		return;
	*e = (struct eviction){ .fd = device_fd, .highest_node = highest_node, .next = 1 };
	if (pthread_create(&refuser, NULL, refuse_all, e) == 0)
		pthread_detach(refuser);
	resend(device_fd);
	/* Several, because one that meets a page in use waits for it. */
	while (started < DROPPERS && pthread_create(&droppers[started], NULL, drop_all, e) == 0)
		started++;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += MOST_S;
	for (int i = 0; i < started; i++)
		IGNORE_RESULT(pthread_timedjoin_np(droppers[i], NULL, &until),
			      "the abort that follows frees it");
}
