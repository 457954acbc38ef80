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

#define REQUEST_MAX   ((1u << 20) + 65536) /* above FS_MAX_WRITE and its headers */
#define DROPPERS_MOST 256
#define LOOK_AGAIN_MS 20L
#define LOOKS_MOST    250 /* 5 seconds */

/* linux/fuse.h of Linux 6.9: FUSE_NOTIFY_RESEND. */
#define NOTIFY_RESEND 7

struct eviction {
	int fd;
	uint64_t highest_node;
	_Atomic uint64_t next;	  /* node to be dropped */
	_Atomic uint64_t dropped; /* how many were */
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

	IGNORE_RESULT(write(fd, &out, sizeof(out)), "then the abort answers them");
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

	while ((node = atomic_fetch_add(&e->next, 1)) <= e->highest_node) {
		drop(e->fd, node);
		atomic_fetch_add(&e->dropped, 1);
	}
	return NULL;
}

static int start_thread(void *(*run)(void *arg), struct eviction *e)
{
	pthread_t thread;
	int r = -pthread_create(&thread, NULL, run, e);

	return r < 0 ? r : pthread_detach(thread);
}

/*
 * Whoever meets a page that the daemon was reading or writing waits for it: as
 * long as nothing moves, one more goes on with the rest. False: some still wait.
 */
static bool drop_in_turn(struct eviction *e)
{
	static const struct timespec pause = { .tv_nsec = LOOK_AGAIN_MS * 1000000 };
	uint64_t before = 0, now;
	int droppers = 0;

	for (int looks = 0; looks < LOOKS_MOST; looks++) {
		now = atomic_load(&e->dropped);
		if (now == e->highest_node)
			return true;
		if (now == before && droppers < DROPPERS_MOST && start_thread(drop_all, e) == 0)
			droppers++;
		before = now;
		nanosleep(&pause, NULL);
	}
	return false;
}

bool fs_evict(int device_fd, uint64_t highest_node)
{
	struct eviction *e = calloc(1, sizeof(*e)); /* its threads may outlive this call */

	if (!e)
		return false;
	*e = (struct eviction){ .fd = device_fd, .highest_node = highest_node, .next = 1 };
	IGNORE_RESULT(start_thread(refuse_all, e), "then dirty pages wait for the abort");
	resend(device_fd);
	return drop_in_turn(e);
}
