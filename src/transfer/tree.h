/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over the source's directories, and the target's beside them. */
#ifndef TDEFS_TRANSFER_TREE_H
#define TDEFS_TRANSFER_TREE_H

#include <limits.h>

#include "tdefs/transfer.h"

struct tree {
	const struct transfer_options *o;
	bool scan_only;	     /* the target does not exist yet */
	char path[PATH_MAX]; /* of where the walk is, from the root */
	struct errmsg *err;
};

struct tree_entry {
	const char *path, *name;
	int source_dir, target_dir; /* target_dir: -1 with scan_only */
	struct stat st;		    /* the source's; a symbolic link's own */
};

/* Names come in the order of their bytes, so that each run meets the same first. */
struct tree_visitor {
	int (*visit)(void *arg, const struct tree_entry *e); /* a directory: before its names */
	int (*leave)(void *arg, const struct tree_entry *e, int target_fd); /* after them */
	void *arg;
};

/* Every name but the root. A name that only the target has is an error. */
int tree_walk(struct tree *t, const struct tree_visitor *visitor) WARN_UNUSED;

/* Whether the target has names, TRANSFER_DIR aside. */
int tree_has_names(struct tree *t, int fd, bool *ret_some) WARN_UNUSED;

/* The source's file, if it still is what `e` says; -ESTALE: it is another. */
int tree_open_source(const struct tree *t, const struct tree_entry *e, int flags) WARN_UNUSED;

/* What went wrong with `path` of the source (or target) and what to do; returns `r`. */
int tree_fail(struct tree *t, int r, const char *path, const char *what);
int tree_fail_target(struct tree *t, int r, const char *path, const char *what);

/* The same contents as far as attributes tell: what a finished copy has. */
bool tree_same_attributes(const struct stat *a, const struct stat *b);

/* Files with several names: by the source's inode, where the first of them is. */
struct tree_links {
	void *root, *by_target;
};
struct tree_link {
	ino_t source, target;
	char path[];
};
/* NULL: not met yet. */
const struct tree_link *tree_links_find(const struct tree_links *links, ino_t source);
/* Has the target's file a name that, in the source, is another file's? */
bool tree_links_shared(const struct tree_links *links, const struct stat *source,
		       const struct stat *target);
int tree_links_add(struct tree_links *links, ino_t source, ino_t target,
		   const char *path) WARN_UNUSED;
void tree_links_release(struct tree_links *links);

#endif
