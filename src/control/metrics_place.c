/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. A local socket that nobody serves is a leftover; anything else is somebody's. */
#include "metrics_place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tdefs/control.h"

#define BACKLOG 8

static int parse_local(const char *text, struct metrics_place *p)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (strlen(text) >= sizeof(a.sun_path))
		return -EINVAL;
	memcpy(a.sun_path, text, strlen(text) + 1);
	memcpy(&p->address, &a, sizeof(a));
	p->len = sizeof(a);
	return 0;
}

int metrics_place_parse(const char *text, struct metrics_place *ret_place)
{
	struct metrics_place p = { 0 };
	const char *colon = strrchr(text, ':');
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;

	(void)snprintf(p.text, sizeof(p.text), "%s", text);
	if (text[0] == '/') {
		if (parse_local(text, &p) < 0)
			return -EINVAL;
	} else if (port == 0 || port > UINT16_MAX) {
		return -EINVAL;
	} else if (text[0] == '[') {
		v6.sin6_port = htons((uint16_t)port);
		memcpy(&p.address, &v6, sizeof(v6));
		p.len = sizeof(v6);
	} else {
		v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		v4.sin_port = htons((uint16_t)port);
		memcpy(&p.address, &v4, sizeof(v4));
		p.len = sizeof(v4);
	}
	*ret_place = p;
	return 0;
}

static bool is_local(const struct metrics_place *p)
{
	return p->address.ss_family == AF_UNIX;
}

/* Take a socket away that a killed daemon left. */
static int clear_place(const struct metrics_place *p)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;

	if (lstat(p->text, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&p->address, p->len) == 0 || errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(p->text) < 0 && errno != ENOENT ? -errno : 0;
}

/* As the control socket: the group may read. */
static int give_to_group(const struct metrics_place *p)
{
	const struct group *group = getgrnam(CONTROL_GROUP);

	return chown(p->text, 0, group ? group->gr_gid : 0) < 0 || chmod(p->text, 0660) < 0 ? -errno
											    : 0;
}

int metrics_place_listen(const struct metrics_place *p)
{
	CLEANUP_CLOSE int fd =
		socket(p->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;
	int r = is_local(p) ? clear_place(p) : 0;

	if (fd < 0)
		return -errno;
	if (r < 0)
		return r;
	if (!is_local(p) && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&p->address, p->len) < 0)
		return -errno;
	r = is_local(p) ? give_to_group(p) : 0;
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0) {
		metrics_place_leave(p);
		return r;
	}
	return TAKE_FD(fd);
}

void metrics_place_leave(const struct metrics_place *p)
{
	if (is_local(p))
		unlink(p->text);
}
