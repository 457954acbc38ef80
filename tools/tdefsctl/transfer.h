/* SPDX-License-Identifier: Apache-2.0 */
/* What tdefsctl import and export share: a mounted volume, and a directory of plain files. */
#ifndef TDEFSCTL_TRANSFER_H
#define TDEFSCTL_TRANSFER_H

#include "progress.h"
#include "tdefs/transfer.h"
#include "tdefsctl.h"

struct transfer_sides {
	const struct volume_config *volume;
	char plain_path[PATH_MAX]; /* as the kernel names it */
	char uuid[64];		   /* the volume's */
	char kid[KID_MAX + 1];	   /* its protector */
	int plain_fd, mount_fd, backing_fd;
};
#define TRANSFER_SIDES_NONE                                                                        \
	((struct transfer_sides){ .plain_fd = -1, .mount_fd = -1, .backing_fd = -1 })

/*
 * Open the volume `name`, mounted and in a state that the transfer can use
 * (`to_volume`: online), and `plain`, neither in the other. An error is in call->err.
 */
int transfer_sides_open(struct call *call, const char *name, const char *plain, bool to_volume,
			struct transfer_sides *ret_sides) WARN_UNUSED;
void transfer_sides_close(struct transfer_sides *s);

/* Who watches, and what was said. */
struct transfer_display {
	int backing_fd; /* beneath which what is read again is dropped from the cache */
	unsigned notices;
	struct progress progress;
};
/* An observer whose `arg` is a struct transfer_display. */
extern const struct transfer_observer transfer_on_terminal;

#endif
