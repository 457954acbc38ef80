/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that accepts. What a connection says is http.c's. */
#include "accept.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tdefs/errmsg.h"
#include "tdefs/log.h"

#define PAUSE_MS 100 /* when descriptors or memory have run out */

void acceptor_init(struct acceptor *acceptor, int fd, unsigned max)
{
	*acceptor = (struct acceptor){ .fd = fd, .max = max };
	pthread_mutex_init(&acceptor->lock, NULL);
	pthread_cond_init(&acceptor->room, NULL);
}

void acceptor_closed(struct acceptor *acceptor)
{
	LOCK_SCOPE(&acceptor->lock);

	acceptor->open--;
	pthread_cond_signal(&acceptor->room);
}

/* Take one place; false when it is time to end. */
static bool take_place(struct acceptor *acceptor)
{
	LOCK_SCOPE(&acceptor->lock);

	while (acceptor->open >= acceptor->max && !acceptor->stopping)
		pthread_cond_wait(&acceptor->room, &acceptor->lock);
	if (acceptor->stopping)
		return false;
	acceptor->open++;
	return true;
}

static bool is_stopping(struct acceptor *acceptor)
{
	LOCK_SCOPE(&acceptor->lock);

	return acceptor->stopping;
}

/* The next connection; -1 when it is time to end. */
static int next_connection(struct acceptor *acceptor, struct sockaddr_storage *ss, socklen_t *len)
{
	struct pollfd waiting = { .fd = acceptor->fd, .events = POLLIN };

	while (!is_stopping(acceptor)) {
		int fd;

		*len = sizeof(*ss);
		fd = accept4(acceptor->fd, (struct sockaddr *)ss, len,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			return fd;
		if (errno == EAGAIN) {
			(void)poll(&waiting, 1, -1);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			log_warning("cannot accept a connection: %s", errno_text(errno));
			(void)poll(NULL, 0, PAUSE_MS);
		}
	}
	return -1;
}

static void *accept_loop(void *arg)
{
	struct acceptor *acceptor = arg;
	struct sockaddr_storage ss;
	socklen_t len;

	while (take_place(acceptor)) {
		int fd = next_connection(acceptor, &ss, &len);

		/* MHD closes the socket when it does not take it, and then says nothing. */
		if (fd < 0 || MHD_add_connection(acceptor->daemon, fd, (struct sockaddr *)&ss,
						 len) != MHD_YES)
			acceptor_closed(acceptor);
	}
	return NULL;
}

int acceptor_start(struct acceptor *acceptor, struct MHD_Daemon *daemon)
{
	acceptor->daemon = daemon;
	return -pthread_create(&acceptor->thread, NULL, accept_loop, acceptor);
}

void acceptor_stop(struct acceptor *acceptor)
{
	{
		LOCK_SCOPE(&acceptor->lock);

		acceptor->stopping = true;
		pthread_cond_broadcast(&acceptor->room);
	}
	(void)shutdown(acceptor->fd, SHUT_RDWR); /* wakes poll(2) and accept(2) */
	pthread_join(acceptor->thread, NULL);
	close(acceptor->fd);
}

void acceptor_release(struct acceptor *acceptor)
{
	pthread_cond_destroy(&acceptor->room);
	pthread_mutex_destroy(&acceptor->lock);
}
