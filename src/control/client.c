/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a daemon. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "socket.h"

/* connect(2) waits while too many others do; SO_SNDTIMEO bounds it. */
static int connect_to(const char *runtime_dir, const char *volume)
{
	const struct timeval patience = { .tv_sec = CONTROL_TIMEOUT_S };
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	int r = control_address(runtime_dir, volume, &address);

	if (r < 0)
		return r;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return TAKE_FD(fd);
}

static int exchange(const struct control_link *l, const json_t *request, json_t **ret_answer)
{
	CLEANUP_FREE char *text = json_dumps(request, JSON_COMPACT);
	CLEANUP_FREE char *answer = malloc(CONTROL_ANSWER_MAX);
	json_error_t error;
	ssize_t n;
	int r;

	if (!text || !answer)
		return -ENOMEM;
	r = control_write_line(l, text);
	if (r < 0)
		return r;
	n = control_read_line(l, answer, CONTROL_ANSWER_MAX);
	if (n < 0)
		return (int)n;
	*ret_answer = json_loadb(answer, (size_t)n, JSON_REJECT_DUPLICATES, &error);
	return *ret_answer ? 0 : -EPROTO;
}

static int call_once(const char *runtime_dir, const char *volume, const json_t *request,
		     json_t **ret_answer)
{
	struct control_link l = control_link(-1, -1, CONTROL_TIMEOUT_S);
	CLEANUP_CLOSE int fd = connect_to(runtime_dir, volume);

	if (fd < 0)
		return fd;
	l.fd = fd;
	return exchange(&l, request, ret_answer);
}

int control_call(const char *runtime_dir, const char *volume, const json_t *request,
		 json_t **ret_answer)
{
	int r = call_once(runtime_dir, volume, request, ret_answer);

	/* A daemon that is dying resets whoever it had not accepted; then there is none. */
	if (r == -ECONNRESET || r == -EPIPE)
		r = call_once(runtime_dir, volume, request, ret_answer);
	return r;
}

/* The mount point it tells of; NULL when it says nothing. */
static char *ask_mount(const struct control_link *l)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "status");
	CLEANUP_JSON json_t *answer = NULL;
	CLEANUP_FREE char *copy = NULL;
	const char *mount = NULL;

	if (request && exchange(l, request, &answer) == 0)
		mount = json_string_value(json_object_get(answer, "mount"));
	copy = mount ? strdup(mount) : NULL;
	if (copy && text_unescape(copy) < 0)
		return NULL;
	return TAKE_PTR(copy);
}

int control_find_daemon(const char *runtime_dir, const char *volume, char **ret_mount,
			int *ret_pidfd)
{
	struct control_link l = control_link(-1, -1, CONTROL_TIMEOUT_S);
	CLEANUP_CLOSE int fd = connect_to(runtime_dir, volume);
	CLEANUP_CLOSE int pidfd = -1;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	pidfd = pidfd_open(peer.pid, 0);
	if (pidfd < 0)
		return errno == ESRCH ? -ECONNREFUSED : -errno;
	l.fd = fd;
	*ret_mount = ask_mount(&l);
	*ret_pidfd = TAKE_FD(pidfd);
	return 0;
}
