/* SPDX-License-Identifier: Apache-2.0 */
/* Lines over a local socket, bounded in length and time. */
#include "socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

int control_address(const char *runtime_dir, const char *volume, struct sockaddr_un *ret_address)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s.sock", runtime_dir, volume);

	if (n >= (int)sizeof(a.sun_path))
		return -ENAMETOOLONG;
	*ret_address = a;
	return 0;
}

int control_set_timeout(int fd)
{
	const struct timeval t = { .tv_sec = CONTROL_TIMEOUT_S };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0)
		return -errno;
	return 0;
}

ssize_t control_read_line(int fd, char *buf, size_t max)
{
	size_t len = 0;

	while (len < max) {
		ssize_t n = recv(fd, buf + len, max - len, 0);
		char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		end = memchr(buf + len, '\n', (size_t)n);
		if (end)
			return end - buf;
		len += (size_t)n;
	}
	return -EMSGSIZE;
}

int control_write_line(int fd, const char *line)
{
	size_t len = strlen(line), done = 0;

	while (done <= len) {
		const char *p = done < len ? line + done : "\n";
		ssize_t n = send(fd, p, done < len ? len - done : 1, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}
