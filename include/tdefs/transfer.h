/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree of files is moved between two directories: of plain files into a
 * volume's mount, or out of one. Owner, mode, times, hard links, symbolic links,
 * FIFOs, sockets and holes are kept. It knows nothing of volumes.
 *
 * Until all is done the target's root belongs to root alone (0700), and holds
 * TRANSFER_DIR: the journal, and the one file that is being copied. A file gets
 * its name only when its contents and attributes are durable. After a crash at
 * any instant the same call goes on: a name whose attributes are the source's is
 * not copied again, a large file goes on at its last checkpoint. Then both sides
 * are read again, from the disk, and compared. Only after that TRANSFER_DIR goes, and
 * then the root gets the source's attributes. A TRANSFER_DIR not root's alone is refused.
 *
 * The source is never changed, its access times included (but of symbolic links,
 * which cannot be read without). Nobody else may change it meanwhile: what is
 * seen to change is an error. Its directories may belong to anybody: nothing
 * follows a symbolic link, and a name that is exchanged for another between two
 * looks is refused.
 */
#ifndef TDEFS_TRANSFER_H
#define TDEFS_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "tdefs/errmsg.h"
#include "tdefs/sysio.h"

#define TRANSFER_DIR	    ".tdefs-transfer"
#define TRANSFER_DEPTH_MAX  256 /* directories in one another; two descriptors each */
#define TRANSFER_CHECKPOINT (256u << 20)

enum transfer_phase { TRANSFER_SCAN, TRANSFER_COPY, TRANSFER_VERIFY };

struct transfer_progress {
	enum transfer_phase phase;
	uint64_t bytes, total_bytes; /* of data; the total is an estimate, 0 while scanning */
	uint64_t skipped_bytes;	     /* of them: what was there already */
	uint64_t entries;
};

struct transfer_observer {
	void (*progress)(void *arg, const struct transfer_progress *progress);
	/* Something worth knowing of a name of the source; no error. */
	void (*notice)(void *arg, const char *path, const char *what);
	/* Drop what is cached of the file `path` beneath a mount: 0, or an errno; NULL: nothing is. */
	int (*drop_beneath)(void *arg, const char *path);
	void *arg;
};

struct transfer_options {
	const struct sysio *sys;
	int source_fd, target_fd;	       /* directories, open for reading; borrowed */
	const char *source_path, *target_path; /* for messages */
	bool source_is_mount, target_is_mount; /* a file system's root: lost+found is not data */
	const char *identity;		       /* one line: what must be the same to go on */
	bool dry_run;			       /* look at both, and whether it fits; copy nothing */
	bool without_xattrs;		       /* leave what cannot be kept, and count it */
	uint64_t checkpoint;		       /* TRANSFER_CHECKPOINT, but for tests */
	const struct transfer_observer *observer; /* NULL: nobody */
};

struct transfer_result {
	uint64_t files, directories, symlinks, others; /* names; the root is none */
	uint64_t hard_links;			       /* further names of files */
	uint64_t bytes;				       /* of data: holes are none */
	uint64_t xattrs_left;			       /* extended attributes that were not taken */
	uint64_t links_outside; /* symbolic links that lead out of the source */
	bool resumed;		/* some was there from an earlier call */
};

/*
 * Do all of it, or, of a dry run, say how much there is. Blocks; one transfer
 * into a target at a time (-EBUSY). On error what was copied stays for the next
 * call, unless the target was not ours.
 */
int transfer_run(const struct transfer_options *options, struct transfer_result *ret_result,
		 struct errmsg *reterr) WARN_UNUSED;

#endif
