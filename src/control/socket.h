/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends of the control socket share. Private to src/control. */
#ifndef TDEFS_CONTROL_SOCKET_H
#define TDEFS_CONTROL_SOCKET_H

#include <sys/un.h>

#include "tdefs/control.h"

#define CONTROL_TIMEOUT_S 10

/* -ENAMETOOLONG when the path does not fit sun_path. */
int control_address(const char *runtime_dir, const char *volume,
		    struct sockaddr_un *ret_address) WARN_UNUSED;

/* Give up on a silent peer. */
int control_set_timeout(int fd) WARN_UNUSED;

/* One line, without its newline: the length, -EMSGSIZE when longer than max, -EPIPE when cut. */
ssize_t control_read_line(int fd, char *buf, size_t max) WARN_UNUSED;
int control_write_line(int fd, const char *line) WARN_UNUSED;

#endif
