/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations share. Private to src/fs. */
#ifndef TDEFS_FS_INTERNAL_H
#define TDEFS_FS_INTERNAL_H

#include <stdatomic.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "tdefs/fs.h"
#include "tdefs/store.h"
#include "tdefs/volume_freeze.h"

/* Largest request, and so the room each request thread has. */
#define FS_MAX_WRITE (1u << 20)

struct ring;

struct fs {
	struct fs_options options;
	struct store *store;
	const struct settings *settings;
	struct fuse_session *session;
	struct gate *gate;
	struct volume_cache cache;
	struct freeze *freeze;
	struct counters *counters;
	struct freeze_server freeze_server;
	struct file_room held_room;   /* its own, once something was held */
	struct ring *ring;	      /* NULL: all requests come by /dev/fuse */
	uint32_t offered;	      /* by the kernel in INIT: flags2 */
	_Atomic uint64_t init_unique; /* of INIT, until it is answered */
	bool failed;		      /* fs_serve() ended by an error of ours */
};

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct store *store_of(fuse_req_t req)
{
	return fs_of(req)->store;
}

/* Room of the request thread that calls (serve.c). */
struct file_room fs_room(void);

/* Memory each request thread has. */
#define FS_ROOM_LEN (FS_MAX_WRITE + FILE_ROOM_SLACK)

/*
 * The threads of FUSE over io_uring (ring.h), if the volume wants them: before
 * the mount; they wait until INIT has come to an agreement.
 */
int device_make_ring(struct fs *fs, struct errmsg *reterr) WARN_UNUSED;
/* Between libfuse and the kernel from now on: once it is mounted, before it serves. */
int device_attend(struct fs *fs, struct errmsg *reterr) WARN_UNUSED;

/* The calling thread's room from now on. */
void serve_set_room(struct file_room room);
/* Hand a request of /dev/fuse to libfuse; or keep a copy of it, when a freeze holds it back. */
void serve_request(struct fs *fs, const struct fuse_buf *buf, size_t len);
/* One of the ring, on the thread that has it, in its room (struct ring_server); `arg` is the fs. */
void serve_on_ring(void *arg, uint8_t *request, size_t len, uint8_t *room);
/* Of struct freeze_server; `arg` is the fs. */
void serve_prepare_to_hold(void *arg);
void serve_held(void *arg, void *request, size_t len);

/* Count a request, as the kernel sent it: each once, when it comes. */
void fs_count(struct fs *fs, const void *request, size_t len);

/* Would this request, as the kernel sent it, change the backing? */
bool hold_concerns(const void *request, size_t len);
/* Answer one that nobody can carry out: -ENOMEM. */
void hold_refuse(int device_fd, const void *request, size_t len);

/* May this request be served now? 0, or what to answer. */
int fs_gate(fuse_req_t req, enum gate_request request);

/* Each replies once. `r` is 0 or a negative errno. */
void fs_reply_status(fuse_req_t req, int r);
void fs_reply_entry(fuse_req_t req, int r, const struct entry *e);
void fs_reply_attr(fuse_req_t req, int r, const struct stat *st);
void fs_reply_attr_once(fuse_req_t req, const struct stat *st); /* not to be kept */
void fs_reply_open(fuse_req_t req, int r, struct fuse_file_info *fi, uint64_t handle, bool direct);
void fs_reply_create(fuse_req_t req, int r, const struct entry *e, struct fuse_file_info *fi,
		     uint64_t handle);
struct fuse_entry_param fs_entry_param(const struct entry *e);

/* Who asked; the groups are looked up only when they matter. */
#define FS_GROUPS_MAX 1024
struct fs_caller {
	struct caller caller;
	gid_t groups[FS_GROUPS_MAX];
};
void fs_caller_init(struct fs_caller *c, fuse_req_t req, mode_t mode);

/* Operations, by file. */
void op_init(void *userdata, struct fuse_conn_info *conn);

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned int flags);

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);

#endif
