/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New connections, handed to libmicrohttpd only while there is room: by itself
 * it accepts and closes what is beyond its limit, so that a client would see a
 * reset where it had only to wait in the kernel's queue.
 */
#ifndef TDEFS_VAULT_ACCEPT_H
#define TDEFS_VAULT_ACCEPT_H

#include <pthread.h>

#include "tdefs/cleanup.h"

struct MHD_Daemon;

struct acceptor {
	int fd; /* listening, non-blocking */
	struct MHD_Daemon *daemon;
	unsigned max;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the rest; innermost */
	pthread_cond_t room;
	unsigned open;
	bool stopping;
};

/* Before the daemon starts: its callbacks may come at once. */
void acceptor_init(struct acceptor *acceptor, int fd, unsigned max);
int acceptor_start(struct acceptor *acceptor, struct MHD_Daemon *daemon) WARN_UNUSED;
/* From the daemon: one connection has ended. */
void acceptor_closed(struct acceptor *acceptor);
/* No connection is handed over after it returned. Closes the socket. */
void acceptor_stop(struct acceptor *acceptor);
/* After the daemon has stopped. */
void acceptor_release(struct acceptor *acceptor);

#endif
