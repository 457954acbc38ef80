/* SPDX-License-Identifier: Apache-2.0 */
/* The passes of a transfer, which share one run. */
#ifndef TDEFS_TRANSFER_INTERNAL_H
#define TDEFS_TRANSFER_INTERNAL_H

#include "tree.h"

#define TRANSFER_CHUNK (1u << 20)

enum run_state {
	RUN_FRESH,    /* the target is empty */
	RUN_RESUMED,  /* what is in it is a part of this copy */
	RUN_FINISHED, /* all is in it, by its attributes; it need only be verified */
};

struct run {
	const struct transfer_options *o;
	struct tree tree;
	struct transfer_result result;
	struct transfer_progress progress;
	struct tree_links links; /* of the pass that runs */
	enum run_state state;
	int work_fd;	   /* TRANSFER_DIR; -1: there is none */
	bool contents;	   /* verify: also read, not only attributes */
	uint8_t *chunk[2]; /* TRANSFER_CHUNK bytes each */
};

void run_progress(struct run *run, uint64_t bytes);

/* Refuse what cannot be moved, or is in use; count. */
int run_scan(struct run *run) WARN_UNUSED;
int run_copy(struct run *run) WARN_UNUSED;
int run_verify(struct run *run) WARN_UNUSED;

/* Names in TRANSFER_DIR. */
#define WORK_JOURNAL	"journal"
#define WORK_FILE	"file"	     /* the regular file that is being copied */
#define WORK_OTHER	"other"	     /* any other, for an instant */
#define WORK_CHECKPOINT "checkpoint" /* how far WORK_FILE is durable, and of which file it is */

/* A regular file's contents and attributes into WORK_FILE, all durable. */
int copy_file(struct run *run, const struct tree_entry *e) WARN_UNUSED;
/* Owner, mode and times for `name`, which is or will be the target's `path`; told if it fails. */
int copy_attributes(struct run *run, const char *path, int dirfd, const char *name,
		    const struct stat *st) WARN_UNUSED;
/* `source` still is what `e` was when it was looked at. */
int check_unchanged(struct run *run, const struct tree_entry *e, int source) WARN_UNUSED;

#endif
