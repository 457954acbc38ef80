/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket from HOST:PORT. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"

#define BACKLOG 1024

static int bad(struct errmsg *reterr, const char *address, const char *why)
{
	errmsg_next(reterr, "give HOST:PORT, for example --listen 127.0.0.1:8443");
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "cannot listen on %s: %s", address,
			   why);
}

/* getaddrinfo(3) takes larger numbers, and their rest. */
static bool is_port(const char *text)
{
	return text[0] && strlen(text) <= 5 && strspn(text, "0123456789") == strlen(text) &&
	       strtoul(text, NULL, 10) < 65536;
}

static int split(const char *address, char *host, size_t host_len, char *port, size_t port_len)
{
	const char *colon = strrchr(address, ':');
	const char *start = address, *end = colon;

	if (!colon || colon == address)
		return -EINVAL;
	if (*start == '[' && colon[-1] == ']') {
		start++;
		end--;
	}
	(void)snprintf(host, host_len, "%.*s", (int)(end - start), start);
	if (!is_port(colon + 1))
		return -EINVAL;
	(void)snprintf(port, port_len, "%s", colon + 1);
	return 0;
}

static int open_socket(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* The address that was given, with the port that it got. */
static void say_address(int fd, const char *address, char *out, size_t len)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t ss_len = sizeof(ss);
	char port[16] = "?";

	if (getsockname(fd, (struct sockaddr *)&ss, &ss_len) == 0)
		(void)getnameinfo((struct sockaddr *)&ss, ss_len, NULL, 0, port, sizeof(port),
				  NI_NUMERICSERV);
	(void)snprintf(out, len, "%.*s:%s", (int)(strrchr(address, ':') - address), address, port);
}

int listen_on(const char *address, int *ret_fd, char *ret_text, size_t text_len,
	      struct errmsg *reterr)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *ai = NULL;
	char host[256], port[16];
	int r, fd;

	if (split(address, host, sizeof(host), port, sizeof(port)) < 0)
		return bad(reterr, address, "no HOST:PORT");
	r = getaddrinfo(host, port, &hints, &ai);
	if (r != 0)
		return bad(reterr, address, gai_strerror(r));
	fd = open_socket(ai);
	freeaddrinfo(ai);
	if (fd < 0) {
		errmsg_next(reterr, "choose another port, or stop what uses it");
		return errmsg_fail(reterr, fd, EXIT_CODE_FAILED, "cannot listen on %s: %s", address,
				   errno_text(fd));
	}
	say_address(fd, address, ret_text, text_len);
	*ret_fd = fd;
	return 0;
}
