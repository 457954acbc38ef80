/* SPDX-License-Identifier: Apache-2.0 */
/* Of a build with a sanitizer: its runtime makes calls of its own (ptrace, personality). */
#include "syscall_filter.h"

int syscall_filter_load(enum syscall_filter which)
{
	(void)which;
	return 0;
}

const char *syscall_filter_lacks(void)
{
	return "this build has a sanitizer";
}
