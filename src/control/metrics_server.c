/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics server's place, thread and answers. What a request means is metrics_http.c's. */
#include "tdefs/metrics_server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metrics_place.h"
#include "socket.h"
#include "tdefs/exposition.h"
#include "tdefs/log.h"

#define SERVE_S		2    /* a whole connection */
#define TRY_AGAIN_MS	2000 /* while the place is taken */
#define DRAIN_MAX	16   /* reads of what a peer still sends after its answer */
#define ACCEPT_PAUSE_MS 100

struct metrics_server {
	const struct control_context *context;
	struct metrics_place place;
	int stop_fd;   /* eventfd */
	int listen_fd; /* -1: the place is taken; the thread's, once it runs */
	pthread_t thread;
	bool runs;
	_Atomic int error; /* of listening */
};

/* Until the empty line; 0: it did not come in time, or not in METRICS_REQUEST_MAX. */
static size_t read_request(const struct control_link *l, char *buf)
{
	size_t len = 0;

	while (len < METRICS_REQUEST_MAX) {
		ssize_t n = control_receive(l, buf + len, METRICS_REQUEST_MAX - len);

		if (n < 0)
			return 0;
		len += (size_t)n;
		if (memmem(buf, len, "\r\n\r\n", 4) || memmem(buf, len, "\n\n", 2))
			return len;
	}
	return len;
}

static const char *reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 503:
		return "Service Unavailable";
	default:
		return "Bad Request";
	}
}

static void answer(const struct control_link *l, int status, const char *text, bool head)
{
	char fields[512];
	int n = snprintf(fields, sizeof(fields),
			 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			 "%sConnection: close\r\n\r\n",
			 status, reason_of(status), status == 200 ? EXPOSITION_TYPE : "text/plain",
			 strlen(text), status == 405 ? "Allow: GET, HEAD\r\n" : "");
	int r = control_send(l, fields, (size_t)n);

	if (r == 0 && !head)
		r = control_send(l, text, strlen(text));
	IGNORE_RESULT(r, "the peer may be gone");
}

/* A peer that is still sending would lose its answer if we closed at once. */
static void let_go(const struct control_link *l)
{
	char rest[1024];

	if (shutdown(l->fd, SHUT_WR) < 0)
		return;
	for (int i = 0; i < DRAIN_MAX && control_receive(l, rest, sizeof(rest)) > 0; i++)
		;
}

static void serve(const struct metrics_server *s, int fd)
{
	const struct control_link l = control_link(fd, s->stop_fd, SERVE_S);
	CLEANUP_FREE char *request = malloc(METRICS_REQUEST_MAX);
	CLEANUP_FREE char *text = NULL;
	bool head = false;
	size_t len;
	int status;

	len = request ? read_request(&l, request) : 0;
	if (len == 0)
		return;
	status = metrics_http_status(request, len, &head);
	if (status == 200) {
		text = control_metrics(s->context);
		status = text ? 200 : 503;
	}
	answer(&l, status, text ? text : "see /metrics\n", head);
	let_go(&l);
}

/* Wait until there is something to do; false: it is time to end. */
static bool wait_for_work(const struct metrics_server *s, int listen_fd, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = s->stop_fd, .events = POLLIN },
				{ .fd = listen_fd, .events = POLLIN } };

	if (poll(fds, ARRAY_SIZE(fds), timeout_ms) < 0 && errno != EINTR)
		return false;
	return !fds[0].revents;
}

/* What changes is logged, once. */
static void try_to_listen(struct metrics_server *s)
{
	const char *volume = volume_config(s->context->volume)->name;
	int fd = metrics_place_listen(&s->place), r = fd < 0 ? fd : 0;

	if (r < 0 && r != atomic_load(&s->error))
		log_warning("volume %s: event=metrics_place: cannot serve metrics at %s: %s; it is "
			    "tried again",
			    volume, s->place.text, errno_text(r));
	else if (r == 0)
		log_info("volume %s: serves metrics at %s", volume, s->place.text);
	atomic_store(&s->error, r);
	s->listen_fd = r < 0 ? -1 : fd;
}

static void accept_one(const struct metrics_server *s)
{
	CLEANUP_CLOSE int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		serve(s, fd);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		/* Out of descriptors or memory: the peer stays in the queue. */
		IGNORE_RESULT(wait_for_work(s, -1, ACCEPT_PAUSE_MS), "the loop looks again");
}

static void *serve_loop(void *arg)
{
	struct metrics_server *s = arg;

	while (wait_for_work(s, s->listen_fd, s->listen_fd < 0 ? TRY_AGAIN_MS : -1)) {
		if (s->listen_fd < 0)
			try_to_listen(s);
		else
			accept_one(s);
	}
	return NULL;
}

static int start(struct metrics_server *s, const char *listen)
{
	int r = metrics_place_parse(listen, &s->place);

	if (r < 0)
		return r;
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (s->stop_fd < 0)
		return -errno;
	try_to_listen(s);
	r = -pthread_create(&s->thread, NULL, serve_loop, s);
	s->runs = r == 0;
	return r;
}

void metrics_server_start(struct control_context *context, const char *listen)
{
	const char *volume = volume_config(context->volume)->name;
	struct metrics_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		log_error("volume %s: no memory to serve metrics", volume);
		return;
	}
	s->context = context;
	s->listen_fd = s->stop_fd = -1;
	context->metrics = s;
	r = start(s, listen);
	if (r < 0) {
		atomic_store(&s->error, r);
		log_error("volume %s: event=metrics_place: cannot serve metrics: %s", volume,
			  errno_text(r));
	}
}

void metrics_server_stop(struct metrics_server *s)
{
	const uint64_t one = 1;

	if (!s)
		return;
	if (s->runs) {
		IGNORE_RESULT(write(s->stop_fd, &one, sizeof(one)), "an eventfd takes it");
		pthread_join(s->thread, NULL);
	}
	if (s->listen_fd >= 0) {
		metrics_place_leave(&s->place);
		close(s->listen_fd);
	}
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	free(s);
}

int metrics_server_error(const struct metrics_server *s)
{
	return s ? atomic_load(&s->error) : 0;
}
