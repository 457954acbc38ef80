/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: the daemon's parent, which has no key. It holds the mount's
 * device, so that the mount outlives a daemon that is killed for as long as it
 * takes to drop every cached page; then it lets go, and the mount is dead.
 */
#ifndef TDEFS_KEEPER_H
#define TDEFS_KEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tdefs/cleanup.h"

/* What daemon and keeper share. */
struct keeper {
	int socket;			/* the daemon's end, or the keeper's */
	int notify_fd;			/* to systemd (notify.h), or -1; the keeper's only */
	const char *where;		/* the mount point; in the keeper */
	pid_t pid;			/* the keeper's */
	bool filtered;			/* its system calls are; in the keeper */
	_Atomic uint64_t *highest_node; /* shared memory: node ids that the kernel may know */
};

/*
 * Fork: 0 in the daemon, which goes on; its process id in the keeper, which
 * calls keeper_watch(). Before any thread, and before anything secret is read.
 * `notify_fd` becomes the keeper's: it is the service's main process, and what
 * systemd hears comes from that alone.
 */
pid_t keeper_fork(int notify_fd, struct keeper *ret_keeper) WARN_UNUSED;

/* In the daemon, once it has mounted. */
int keeper_hand_over(const struct keeper *k, int device_fd, unsigned connection) WARN_UNUSED;

/*
 * In the daemon: lines for systemd, which the keeper passes on as they are; but READY=1,
 * alone, only once the mount has answered it. Does not block; what is too much is lost.
 */
#define KEEPER_TEXT_MAX 1024
void keeper_tell(const struct keeper *k, const char *text);

/*
 * In the keeper: until the daemon's end, and what that asks for. The exit code of both;
 * of a daemon that a signal ended, no return: the keeper ends by the same.
 */
int keeper_watch(const struct keeper *k, pid_t daemon);

#endif
