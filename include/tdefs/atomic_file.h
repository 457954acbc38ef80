/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files that are replaced whole: after a crash at any instant the name
 * holds the old bytes or the new ones.
 */
#ifndef TDEFS_ATOMIC_FILE_H
#define TDEFS_ATOMIC_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "tdefs/sysio.h"

/*
 * Write `name` in the directory `dirfd` with `mode`: "NAME.new" is written and
 * fsynced, renamed over `name`, and the directory fsynced. 0 only when the new
 * bytes are durable under the name; on error the old file stands (or, when the
 * directory could not be synced, either may). Callers serialise writers.
 */
int atomic_file_write(const struct sysio *sys, int dirfd, const char *name, mode_t mode,
		      const void *data, size_t len) WARN_UNUSED;

/* Read a whole file of at most `max` bytes: the length, -EFBIG when longer, or an errno. */
ssize_t atomic_file_read(const struct sysio *sys, int dirfd, const char *name, void *buf,
			 size_t max) WARN_UNUSED;

#endif
