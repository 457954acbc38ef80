/* SPDX-License-Identifier: Apache-2.0 */
/* The names in a directory, all of them, in order. */
#ifndef TDEFS_TRANSFER_NAMES_H
#define TDEFS_TRANSFER_NAMES_H

#include "tdefs/sysio.h"

struct names {
	char **list; /* in the order of their bytes; "." and ".." are left out */
	size_t count;
};

int names_read(const struct sysio *sys, int fd, struct names *ret_names) WARN_UNUSED;
bool names_have(const struct names *names, const char *name);
void names_release(struct names *names);

#define CLEANUP_NAMES CLEANUP(names_release)

#endif
