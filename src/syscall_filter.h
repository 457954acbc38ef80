/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which system calls this process may still make (seccomp). What is not listed
 * answers ENOSYS, as if this kernel did not have it: libraries have an answer to
 * that, so that a call which a later C library makes costs a log line of the
 * kernel's (type=1326), and not the mount. Nothing that is run (execve), traced,
 * mounted or loaded is listed.
 *
 * There is a filter for x86_64 and aarch64, and none in a build with a sanitizer,
 * whose runtime makes calls of its own.
 */
#ifndef TDEFS_SYSCALL_FILTER_H
#define TDEFS_SYSCALL_FILTER_H

#include "tdefs/cleanup.h"

enum syscall_filter {
	SYSCALL_FILTER_DAEMON,	 /* before there is a thread, and a mount */
	SYSCALL_FILTER_IO_URING, /* the same, and rings: what is asked for in one, no filter sees */
	SYSCALL_FILTER_MOUNTED,	 /* on top of that, for all threads: no further mount(2) */
	SYSCALL_FILTER_KEEPER,	 /* waiting, signals, the mount's device, umount2(2) */
};

/* Also sets no_new_privs. For good: there is no way back. 0 where there is no filter. */
int syscall_filter_load(enum syscall_filter which) WARN_UNUSED;

/* Why there is no filter, for a person; NULL: there is one. */
const char *syscall_filter_lacks(void);

#endif
