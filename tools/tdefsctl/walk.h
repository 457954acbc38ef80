/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every directory beneath one that was asked for: through no symbolic link, into
 * no other file system, whoever moves directories meanwhile. Memory does not grow
 * with what is found. What was not looked at is told: nothing is passed over in silence.
 */
#ifndef TDEFSCTL_WALK_H
#define TDEFSCTL_WALK_H

#include <stddef.h>
#include <sys/types.h>

#include "tdefs/cleanup.h"

#define WALK_DEPTH_MAX 200

/* Which directory it is, whatever it is called. */
struct directory_id {
	dev_t dev;
	ino_t ino;
};
int directory_id_of(int fd, struct directory_id *ret_id) WARN_UNUSED;

struct walk_ops {
	/* A directory, open. 0: go on beneath it; above 0: not beneath it; below: end the walk. */
	int (*visit)(void *arg, int fd, const char *path);
	/* A file of another kind than a directory, by its name in one that is open. Below 0: end the walk. */
	int (*file)(void *arg, int dirfd, const char *name, const char *path);
	/* Something beneath which was not searched, and why. Below 0: end the walk. */
	int (*missed)(void *arg, const char *path, const char *why);
	void *arg;
};

/*
 * From the directory `path` on. Where another file system is mounted is missed, unless it
 * is one of `roots`, which have walks of their own. What `visit` or `missed` ended it with, or 0.
 */
int walk(const char *path, const struct directory_id *roots, size_t nroots,
	 const struct walk_ops *ops) WARN_UNUSED;

#endif
