/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a daemon. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket.h"

static int connect_to(const char *runtime_dir, const char *volume)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	int r;

	if (fd < 0)
		return -errno;
	r = control_address(runtime_dir, volume, &address);
	if (r == 0)
		r = control_set_timeout(fd);
	if (r < 0)
		return r;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int control_call(const char *runtime_dir, const char *volume, const json_t *request,
		 json_t **ret_answer)
{
	CLEANUP_CLOSE int fd = connect_to(runtime_dir, volume);
	CLEANUP_FREE char *text = json_dumps(request, JSON_COMPACT);
	CLEANUP_FREE char *answer = malloc(CONTROL_ANSWER_MAX);
	json_error_t error;
	ssize_t n;
	int r;

	if (fd < 0)
		return fd;
	if (!text || !answer)
		return -ENOMEM;
	r = control_write_line(fd, text);
	if (r < 0)
		return r;
	n = control_read_line(fd, answer, CONTROL_ANSWER_MAX);
	if (n < 0)
		return (int)n;
	*ret_answer = json_loadb(answer, (size_t)n, JSON_REJECT_DUPLICATES, &error);
	return *ret_answer ? 0 : -EPROTO;
}
