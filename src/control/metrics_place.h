/* SPDX-License-Identifier: Apache-2.0 */
/* Where the metrics server listens. Private to src/control. */
#ifndef TDEFS_CONTROL_METRICS_PLACE_H
#define TDEFS_CONTROL_METRICS_PLACE_H

#include <sys/socket.h>
#include <sys/un.h>

#include "tdefs/cleanup.h"

struct metrics_place {
	char text[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct sockaddr_storage address;
	socklen_t len;
};

/* As settings.metrics_listen has it. -EINVAL. */
int metrics_place_parse(const char *text, struct metrics_place *ret_place) WARN_UNUSED;

/* A descriptor that listens and does not block. -EADDRINUSE: somebody else is there. */
int metrics_place_listen(const struct metrics_place *place) WARN_UNUSED;
/* Take a local socket's name away. */
void metrics_place_leave(const struct metrics_place *place);

#endif
