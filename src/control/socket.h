/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends of the control socket share. Private to src/control. */
#ifndef TDEFS_CONTROL_SOCKET_H
#define TDEFS_CONTROL_SOCKET_H

#include <stdint.h>
#include <sys/un.h>

#include "tdefs/control.h"

/* A whole connection: the server gives a peer less time than a client gives the server. */
#define CONTROL_TIMEOUT_S 10
#define CONTROL_SERVE_S	  4

/* One connection, and what ends it before its time. Owns nothing. */
struct control_link {
	int fd;
	int stop_fd;	     /* readable: give up; -1: there is none */
	int64_t deadline_ms; /* CLOCK_MONOTONIC, for all reading and writing together */
};

struct control_link control_link(int fd, int stop_fd, int timeout_s);

/* -ENAMETOOLONG when the path does not fit sun_path. */
int control_address(const char *runtime_dir, const char *volume,
		    struct sockaddr_un *ret_address) WARN_UNUSED;

/* What there is of at most `max` bytes; -EPIPE at the end. And all of `len`. */
ssize_t control_receive(const struct control_link *l, char *buf, size_t max) WARN_UNUSED;
int control_send(const struct control_link *l, const char *buf, size_t len) WARN_UNUSED;

/*
 * One line, without its newline: the length, -EMSGSIZE when longer than max,
 * -EPIPE when cut. All: -ETIMEDOUT after the deadline, -ECANCELED when stopped.
 */
ssize_t control_read_line(const struct control_link *l, char *buf, size_t max) WARN_UNUSED;
int control_write_line(const struct control_link *l, const char *line) WARN_UNUSED;

#endif
