/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node table: one struct node for each inode the kernel has looked up or
 * that has work left. Private to src/store.
 *
 * A node knows its inode by file handle (name_to_handle_at(2)), not by name and
 * not by a descriptor, so that looking up is not bounded by descriptors and
 * renaming changes nothing here. After the last unlink no handle opens an inode
 * any more: a directory, for one, that somebody stands in gets a descriptor
 * before; a regular file has one while it is open.
 */
#ifndef TDEFS_STORE_NODE_H
#define TDEFS_STORE_NODE_H

#include <pthread.h>
#include <stdatomic.h>
#define HASH_NONFATAL_OOM 1 /* else uthash calls exit(3) */
#include <uthash.h>

#include "tdefs/idtable.h"
#include "tdefs/store.h"

#define NODE_HANDLE_MAX 64 /* bytes: ext4 8, XFS up to 24, btrfs up to 40 */

union node_handle {
	struct file_handle fh;
	uint8_t room[sizeof(struct file_handle) + NODE_HANDLE_MAX];
};

struct node {
	/* constant */
	uint64_t id;
	uint64_t generation;
	uint64_t ino;		  /* st_ino of the backing, and ours */
	mode_t type;		  /* S_IFMT bits */
	bool direct;		  /* store_is_direct() */
	bool is_memory;		  /* what engines share in it can be made anew (kind.c) */
	union node_handle handle; /* the hash's key: an inode number alone may be used again */

	/* guarded by store.table_lock */
	uint64_t nlookup;
	unsigned holds; /* reasons besides nlookup to keep the node: `file`, the settle queue */
	UT_hash_handle hh;

	pthread_mutex_t lock;	  /* guards what follows, but for its atomics */
	struct file *file;	  /* NULL: not open; holds the node; constant while `opens` > 0 */
	unsigned opens;		  /* handles, and the settling thread */
	_Atomic unsigned writers; /* handles open for writing */
	bool unlinked;		  /* its last name is gone */
	bool read_only;		  /* `file` could be opened for reading only */
	unsigned unlinking;	  /* unlinks and renames under way that may take its last name */
	int path_fd;		  /* O_PATH of what loses, or has lost, its last name; else -1 */
	bool space_expected;	  /* counted in store.space_expected */
	bool mtime_pushed;	  /* and not yet on the backing (times.c) */
	struct timespec pushed_mtime;

	/* guarded by store.settle_lock */
	struct node *settle_next;
	bool settle_queued;
	int64_t settle_at_ms; /* CLOCK_MONOTONIC */
};

/* What a handle stands for: numbers, but for what a directory stream has read. */
struct open_handle {
	uint64_t node;
	bool writing;
	struct open_dir *dir; /* NULL: a file's (dir.c) */
};

struct store {
	struct store_options options;
	dev_t dev;
	int proc_fd; /* /proc/self/fd, for chmod(2) of an O_PATH descriptor */

	struct idtable *nodes;
	struct idtable *handles; /* struct open_handle */
	struct node *root;
	_Atomic uint64_t open_files; /* nodes whose `file` is open */

	pthread_mutex_t table_lock; /* rank: locks.h */
	struct node *by_handle;	    /* uthash */

	pthread_mutex_t settle_lock; /* rank: locks.h */
	pthread_cond_t settle_wake;
	pthread_t settle_thread;
	struct node *settle_oldest, *settle_newest;
	size_t settle_count, settle_most;
	bool settle_stop;

	pthread_mutex_t space_lock; /* rank: locks.h */
	pthread_cond_t space_back;
	unsigned
		space_expected; /* nodes of regular files without a name, not open, not forgotten */
};

static inline const struct sysio *store_sys(const struct store *s)
{
	return s->options.files.sys;
}

bool name_is_hidden(const struct store *s, const struct node *dir, const char *name);

/* The node of an id the kernel uses; NULL would be the kernel's error. */
struct node *node_of(struct store *s, uint64_t id);

int node_table_init(struct store *s) WARN_UNUSED;
void node_table_release(struct store *s);

/* Find or make the node of `name` in the directory `dirfd`, and count one look-up. */
int node_lookup(struct store *s, int dirfd, const char *name, struct entry *ret_entry) WARN_UNUSED;
/* The same for an inode that has a descriptor; `name` NULL: it has none. */
int node_lookup_fd(struct store *s, int fd, const char *name, struct entry *ret_entry) WARN_UNUSED;

/* The node of an inode, held, or NULL when nobody has looked it up. `flags`: AT_EMPTY_PATH. */
int node_find(struct store *s, int dirfd, const char *name, int flags,
	      struct node **ret_node) WARN_UNUSED;

void node_forget(struct store *s, struct node *n, uint64_t nlookup);

/* Keep a node, or no longer; the last to let go frees it. */
void node_hold(struct store *s, struct node *n);
void node_unhold(struct store *s, struct node *n);

/*
 * A new O_PATH descriptor of the inode, for operations on its names and
 * attributes; the caller closes it. -ESTALE when the inode is gone.
 */
int node_path(struct store *s, struct node *n) WARN_UNUSED;

/* Open the inode's contents anew with open(2) flags; under node.lock. */
int node_open_fd(struct store *s, struct node *n, int flags) WARN_UNUSED;

/*
 * Around an unlink of `name`, or a rename onto it. Before: its node, if the
 * kernel knows it, is held and gets a descriptor (*ret_node may be NULL).
 * After: the descriptor stays only if the last name is gone.
 */
int node_before_unlink(struct store *s, int dirfd, const char *name,
		       struct node **ret_node) WARN_UNUSED;
void node_after_unlink(struct store *s, struct node *n);

/* By the name that it is first seen under; NULL: by none. */
void node_set_kind(const struct store *s, struct node *n, const char *name);

/* Attributes of the backing as the mount shows them: st_size is the plaintext size. */
void node_show(struct node *n, struct stat *st);

/* Times that the kernel pushed; under node.lock: shown, and put on the backing of an open file. */
void times_show(const struct node *n, struct stat *st);
int times_apply(struct store *s, struct node *n) WARN_UNUSED;
/* Somebody sets times as utimensat(2) has them: what was pushed before is over. */
void times_are_set(struct node *n, const struct timespec times[static 2]);

/* Handles; the number is given up and the handle freed by handle_free(). */
int handle_new(struct store *s, struct open_handle handle, uint64_t *ret_number) WARN_UNUSED;
void handle_free(struct store *s, uint64_t number);
void dir_free(struct store *s, struct open_dir *d); /* accepts NULL */

/*
 * Count one opener of the node's file, opening it for the first (`fd` -1: by
 * handle; else an O_RDWR descriptor, which is taken over in any case).
 * `discard` truncates it to 0. -EROFS when it is to be written and cannot be.
 * Until node_file_put(), n->file is there and stays.
 */
int node_file_get(struct store *s, struct node *n, int fd, bool writing, bool discard) WARN_UNUSED;
void node_file_put(struct store *s, struct node *n, bool writing);

/* Close it. Under node.lock; true: the caller drops the hold it had. */
bool node_file_close(struct store *s, struct node *n);

/* Under node.lock: whether the space of `n` comes back when the kernel forgets it (space.c). */
void space_expect(struct store *s, struct node *n, bool expected);
/* Wait until what is expected has come back, or too long. */
void space_wait(struct store *s);
void space_init(struct store *s);
void space_release(struct store *s);

/*
 * Files that were closed with something not yet safe (settle.c). The queue
 * holds its nodes.
 */
int settle_start(struct store *s) WARN_UNUSED;
void settle_stop(struct store *s);
void settle_queue(struct store *s, struct node *n);
/* So many wait that their descriptors may be missed elsewhere. */
bool settle_is_full(struct store *s);

#endif
