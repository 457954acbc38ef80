/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vault over HTTPS: one thread a connection, so that a slow client or a
 * handshake holds up nobody; connections, bodies and stacks are bounded. Beyond
 * the limit new connections wait in the kernel's queue.
 */
#ifndef TDEFS_VAULT_HTTP_H
#define TDEFS_VAULT_HTTP_H

#include <netinet/in.h>
#include <stdatomic.h>

#include "accept.h"
#include "dbpool.h"
#include "vault.h"

struct MHD_Daemon;

struct http {
	const struct vault *vault;
	struct dbpool *pool;
	struct MHD_Daemon *daemon;
	struct acceptor acceptor;
	unsigned max_clients;
	atomic_size_t body_bytes; /* held by requests now */
	pthread_mutex_t lock;	  /* guards stopping */
	pthread_cond_t stop;
	bool stopping;
};

/* `fd` is a listening socket and becomes the server's. */
int http_start(struct http *http, int fd) WARN_UNUSED;
/* Wakes what waits, ends every connection. */
void http_stop(struct http *http);

/* HOST:PORT, [V6]:PORT. The socket, and the address it got in `ret_text`. */
int listen_on(const char *address, int *ret_fd, char *ret_text, size_t text_len,
	      struct errmsg *reterr) WARN_UNUSED;

#endif
