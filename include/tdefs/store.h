/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume's tree of files, by numbers: node ids for what the kernel has looked
 * up, handles for what it has open. Names and attributes pass through to the
 * backing directory; contents are encrypted files (file.h).
 *
 * Node ids and handles are numbers of this store's tables, so that a successor
 * can be told of them. The kernel's promise is ours too: a node id is used only
 * between the look-up that returned it and its last forget, a handle between
 * open and release.
 *
 * Results are values >= 0 or negative errno. All functions are thread-safe.
 * `name` is one path component. Nothing ever follows a symbolic link.
 */
#ifndef TDEFS_STORE_H
#define TDEFS_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "tdefs/file.h"

#define STORE_ROOT_NODE	 1
#define STORE_HEADER_DIR ".tdefs"
#define STORE_LOST_FOUND "lost+found"

struct store;

struct store_options {
	struct file_context files;
	int root_fd;	      /* the backing directory; borrowed, outlives the store */
	bool hide_lost_found; /* the backing directory is the root of its file system */
	/* Is a file of this name to pass the page cache by? NULL: none is. Asked of new nodes. */
	bool (*is_direct)(const void *arg, const char *name);
	const void *is_direct_arg;
	/* No node id is or was above this number; NULL: nobody wants to know. */
	_Atomic uint64_t *highest_node;
};

int store_open(const struct store_options *options, struct store **ret_store) WARN_UNUSED;

/*
 * Everything written becomes durable, then all is closed and freed; the store
 * is gone in any case. An error says that something may not be on disk.
 */
int store_close(struct store *s) WARN_UNUSED;

/* For whom a name is created: it will belong to this user. */
struct caller {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary; they decide whether S_ISGID is kept */
	size_t ngroups;
};

/* What a look-up or a creation found; counts as one look-up of `node`. */
struct entry {
	uint64_t node;
	uint64_t generation;
	bool direct;	/* see store_is_direct() */
	struct stat st; /* st_size is the plaintext size, st_blocks the backing's */
};

int store_lookup(struct store *s, uint64_t parent, const char *name,
		 struct entry *ret_entry) WARN_UNUSED;
void store_forget(struct store *s, uint64_t node, uint64_t nlookup);

int store_getattr(struct store *s, uint64_t node, struct stat *ret_st) WARN_UNUSED;

/* Which attributes to change, and to what; times are as utimensat(2) takes them. */
struct attr_change {
	bool mode_set, uid_set, gid_set, size_set, times_set;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint64_t size;
	struct timespec times[2];
};
int store_setattr(struct store *s, uint64_t node, const struct attr_change *change,
		  struct stat *ret_st) WARN_UNUSED;

/*
 * The kernel says when an open node's contents were last changed, as it sees it. No system call:
 * shown from now on, on the backing by the next store_sync() that is not a datasync, by
 * store_secure(), or when it is closed. Times that are set meanwhile count at once, and instead.
 */
int store_push_mtime(struct store *s, uint64_t node, const struct timespec *mtime) WARN_UNUSED;

/* The target's length; it fits or the answer is -ENAMETOOLONG. */
ssize_t store_readlink(struct store *s, uint64_t node, char *buf, size_t len) WARN_UNUSED;

int store_mkdir(struct store *s, const struct caller *caller, uint64_t parent, const char *name,
		mode_t mode, struct entry *ret_entry) WARN_UNUSED;
/* Regular files, FIFOs and sockets; device nodes are -EPERM. */
int store_mknod(struct store *s, const struct caller *caller, uint64_t parent, const char *name,
		mode_t mode, struct entry *ret_entry) WARN_UNUSED;
int store_symlink(struct store *s, const struct caller *caller, const char *target, uint64_t parent,
		  const char *name, struct entry *ret_entry) WARN_UNUSED;
int store_link(struct store *s, uint64_t node, uint64_t parent, const char *name,
	       struct entry *ret_entry) WARN_UNUSED;
int store_unlink(struct store *s, uint64_t parent, const char *name) WARN_UNUSED;
int store_rmdir(struct store *s, uint64_t parent, const char *name) WARN_UNUSED;
/* `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE. */
int store_rename(struct store *s, uint64_t parent, const char *name, uint64_t new_parent,
		 const char *new_name, unsigned flags) WARN_UNUSED;

/* open(2) flags: the access mode, O_TRUNC and O_EXCL count; others are the kernel's business. */
int store_create(struct store *s, const struct caller *caller, uint64_t parent, const char *name,
		 mode_t mode, int flags, struct entry *ret_entry, uint64_t *ret_handle) WARN_UNUSED;
/* O_TMPFILE: a file without a name. */
int store_tmpfile(struct store *s, const struct caller *caller, uint64_t parent, mode_t mode,
		  int flags, struct entry *ret_entry, uint64_t *ret_handle) WARN_UNUSED;
int store_open_file(struct store *s, uint64_t node, int flags, uint64_t *ret_handle) WARN_UNUSED;
void store_release_file(struct store *s, uint64_t handle);

/*
 * Whether the node is a file that passes the page cache by, whoever opens it. It is as long as the
 * node lives what it was under the first name that it was seen under; a file without one is not.
 */
bool store_is_direct(struct store *s, uint64_t node);

/*
 * Contents, of a node that is open; see file.h. An error of a write goes to
 * whoever asked: for pages that the kernel pushes that is the kernel, which
 * tells it to the next fsync or close of the file by itself.
 */
ssize_t store_read(struct store *s, uint64_t node, struct file_room room, size_t len, uint64_t off,
		   const uint8_t **ret_data) WARN_UNUSED;
ssize_t store_write(struct store *s, uint64_t node, struct file_room room, const uint8_t *data,
		    size_t len, uint64_t off) WARN_UNUSED;
int store_allocate(struct store *s, uint64_t node, int mode, uint64_t off,
		   uint64_t len) WARN_UNUSED;
/* Holes are exact while nobody has the file open for writing; else all of it is data. */
off_t store_seek(struct store *s, uint64_t node, uint64_t off, int whence) WARN_UNUSED;
int store_sync(struct store *s, uint64_t node, bool datasync) WARN_UNUSED;

/* Directories. */
int store_opendir(struct store *s, uint64_t node, uint64_t *ret_handle) WARN_UNUSED;
void store_releasedir(struct store *s, uint64_t handle);
int store_syncdir(struct store *s, uint64_t handle, bool datasync) WARN_UNUSED;

/* One name of a directory, hidden ones left out. */
struct dir_name {
	const char *name;
	uint64_t ino;
	mode_t type;   /* S_IFMT bits */
	uint64_t next; /* offset at which the next one starts */
};
/*
 * Call `take` for each name from offset `off` (0: the first) on, until it
 * answers false or the directory ends. `take` runs with the handle locked.
 */
int store_readdir(struct store *s, uint64_t handle, uint64_t off,
		  bool (*take)(void *arg, const struct dir_name *name), void *arg) WARN_UNUSED;

/* Look up a name in an open directory, as store_lookup() does; also from within `take`. */
int store_lookup_in(struct store *s, uint64_t handle, const char *name,
		    struct entry *ret_entry) WARN_UNUSED;

int store_statfs(struct store *s, struct statfs *ret_st) WARN_UNUSED;

/*
 * A page that its writer believes written was not: `error` kept it from the
 * disk, and the kernel may drop it at any time. Until the last close reading the
 * node is -EIO, for it would give the old contents; but for a file that is an
 * engine's shared memory. With `latch` the error is held for each fsync of the
 * node, too: the kernel's own reaches some only.
 */
void store_lose_page(struct store *s, uint64_t node, int error, bool latch);

/* Is an error held? Of a node being visited. */
bool store_is_latched(struct store *s, uint64_t node);

/*
 * Every regular file that is known now, or only those with an opener that may
 * write; each stays until it is let go of. The count, or -ENOMEM.
 */
ssize_t store_hold_files(struct store *s, bool only_writable, uint64_t **ret_nodes) WARN_UNUSED;
void store_let_go(struct store *s, uint64_t node);

/* Make durable what was written to a node, if it is open; an error is latched. */
void store_secure(struct store *s, uint64_t node);

/*
 * Everything that was written to any file is durable, and every name. An error: something may not
 * be, or an error of a file is held that nobody was told of yet; it stays held.
 */
int store_sync_all(struct store *s) WARN_UNUSED;

/* What is in the tables now. */
struct store_usage {
	uint64_t nodes;	     /* looked up, or kept for their open file */
	uint64_t open_files; /* backing files held open */
};
void store_usage(struct store *s, struct store_usage *ret_usage);

/* Check the file at a path in the volume, with nothing written meanwhile (file_check()). */
int store_check_path(struct store *s, const char *path, enum file_verdict *ret_verdict) WARN_UNUSED;

#endif
