/* SPDX-License-Identifier: Apache-2.0 */
/* Lines over a local socket, bounded in length and time. */
#include "socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct control_link control_link(int fd, int stop_fd, int timeout_s)
{
	return (struct control_link){ .fd = fd,
				      .stop_fd = stop_fd,
				      .deadline_ms = now_ms() + (int64_t)timeout_s * 1000 };
}

int control_address(const char *runtime_dir, const char *volume, struct sockaddr_un *ret_address)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s.sock", runtime_dir, volume);

	if (n >= (int)sizeof(a.sun_path))
		return -ENAMETOOLONG;
	*ret_address = a;
	return 0;
}

/* Until the peer is ready for more, or it is time to give up. */
static int wait_for_peer(const struct control_link *l, short events)
{
	struct pollfd fds[] = { { .fd = l->fd, .events = events },
				{ .fd = l->stop_fd, .events = POLLIN } };
	int64_t left_ms = l->deadline_ms - now_ms();
	int n;

	if (left_ms <= 0)
		return -ETIMEDOUT;
	n = poll(fds, ARRAY_SIZE(fds), (int)left_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return fds[1].revents ? -ECANCELED : 0;
}

ssize_t control_receive(const struct control_link *l, char *buf, size_t max)
{
	for (;;) {
		ssize_t n = recv(l->fd, buf, max, MSG_DONTWAIT);
		int r;

		if (n > 0)
			return n;
		if (n == 0)
			return -EPIPE;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = wait_for_peer(l, POLLIN);
		if (r < 0)
			return r;
	}
}

ssize_t control_read_line(const struct control_link *l, char *buf, size_t max)
{
	size_t len = 0;

	while (len < max) {
		ssize_t n = control_receive(l, buf + len, max - len);
		char *end;

		if (n < 0)
			return n;
		end = memchr(buf + len, '\n', (size_t)n);
		if (end)
			return end - buf;
		len += (size_t)n;
	}
	return -EMSGSIZE;
}

int control_send(const struct control_link *l, const char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(l->fd, buf + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r = 0;

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN || errno == EINTR)
			r = wait_for_peer(l, POLLOUT);
		else
			r = -errno;
		if (r < 0)
			return r;
	}
	return 0;
}

int control_write_line(const struct control_link *l, const char *line)
{
	int r = control_send(l, line, strlen(line));

	return r < 0 ? r : control_send(l, "\n", 1);
}
