/* SPDX-License-Identifier: Apache-2.0 */
/* By which way the requests of a mount come: src/fs tells it, src/control shows it. */
#ifndef TDEFS_TRANSPORT_H
#define TDEFS_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>

struct transport {
	_Atomic bool io_uring;	       /* else all of them by /dev/fuse */
	_Atomic(const char *) why_not; /* static: io_uring = auto, and this is missing */
};

#endif
