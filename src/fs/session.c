/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount and its request threads. The loop is ours, on libfuse's receive and
 * process calls, so that we know every buffer a request passes through.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs_internal.h"
#include "ring.h"
#include "tdefs/log.h"

/* What is not here answers ENOSYS once and is not asked again (DESIGN.md, durability, 4). */
static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.create = op_create,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	.tmpfile = op_tmpfile,
#endif
};

/* The request threads of one fs: started as they are needed, ended by the unmount. */
struct pool {
	struct fuse_session *session;
	struct fs *fs;
	unsigned max;
	_Atomic unsigned idle; /* waiting for a request */
	_Atomic int error;     /* what ended the session, when it was not an unmount */
	pthread_mutex_t lock;  /* guards what follows; innermost */
	pthread_cond_t ended;
	unsigned running;
	unsigned started;
};

static int start_thread(struct pool *pool);

enum served { SERVED, SESSION_OVER, NO_MEMORY };

static enum served serve_one(struct pool *pool, struct fuse_buf *buf)
{
	int r;

	atomic_fetch_add(&pool->idle, 1);
	r = fuse_session_receive_buf(pool->session, buf);
	if (atomic_fetch_sub(&pool->idle, 1) == 1 && r > 0 && !fuse_session_exited(pool->session))
		IGNORE_RESULT(start_thread(pool), "those that run will do, if more slowly");
	if (r == -EINTR)
		return SERVED;
	if (r == -ENOMEM) /* for the buffer, at a thread's first request: none was taken yet */
		return NO_MEMORY;
	if (r <= 0) {
		if (r < 0 && r != -ENODEV)
			atomic_store(&pool->error, r);
		return SESSION_OVER;
	}
	serve_request(pool->fs, buf, (size_t)r);
	/* A request may have brought plaintext. An idle thread's buffer cannot be wiped by others. */
	explicit_bzero(buf->mem, (size_t)r);
	return fuse_session_exited(pool->session) ? SESSION_OVER : SERVED;
}

/* Without memory a thread does no work: it ends, unless it is the only one; then it tries again. */
static bool may_end(struct pool *pool)
{
	static const struct timespec pause = { .tv_nsec = 10000000 };

	{
		LOCK_SCOPE(&pool->lock);
		if (pool->running > 1) {
			pool->started--;
			pool->running--;
			return true;
		}
	}
	nanosleep(&pause, NULL);
	return false;
}

static void thread_ended(struct pool *pool)
{
	LOCK_SCOPE(&pool->lock);
	pool->running--;
	pthread_cond_signal(&pool->ended);
}

struct thread_start {
	struct pool *pool;
	struct file_room room;
};

static void release_buffers(struct fuse_buf *buf, struct file_room room)
{
	if (buf->mem) /* libfuse allocated it, it is ours, and it held plaintext */
		explicit_bzero(buf->mem, malloc_usable_size(buf->mem));
	free(buf->mem);
	explicit_bzero(room.bytes, room.len);
	free(room.bytes);
}

static void *request_thread(void *arg)
{
	const struct thread_start start = *(struct thread_start *)arg;
	struct fuse_buf buf = { 0 };
	enum served served;
	bool spare = false;

	free(arg);
	serve_set_room(start.room);
	do {
		served = serve_one(start.pool, &buf);
		spare = served == NO_MEMORY && may_end(start.pool);
	} while (served != SESSION_OVER && !spare);
	release_buffers(&buf, start.room);
	if (spare)
		return NULL;
	fuse_session_exit(start.pool->session);
	thread_ended(start.pool);
	return NULL;
}

static struct thread_start *thread_start_new(struct pool *pool)
{
	struct thread_start *start = malloc(sizeof(*start));

	if (!start)
		return NULL;
	*start = (struct thread_start){ pool, { malloc(FS_ROOM_LEN), FS_ROOM_LEN } };
	if (start->room.bytes)
		return start;
	free(start);
	return NULL;
}

/* Its room is there before it starts, so that nothing it lacks can end the session. */
static int start_thread(struct pool *pool)
{
	struct thread_start *start;
	pthread_t thread;
	int r;
	LOCK_SCOPE(&pool->lock);

	if (pool->started == pool->max)
		return 0;
	start = thread_start_new(pool);
	if (!start)
		return -ENOMEM;
	r = -pthread_create(&thread, NULL, request_thread, start);
	if (r < 0) {
		free(start->room.bytes);
		free(start);
		return r;
	}
	pthread_detach(thread);
	pool->started++;
	pool->running++;
	return 0;
}

int fs_serve(struct fs *fs)
{
	struct pool pool = { .session = fs->session, .fs = fs, .max = fs->settings->threads };
	int r;

	pthread_mutex_init(&pool.lock, NULL);
	pthread_cond_init(&pool.ended, NULL);
	r = start_thread(&pool);
	pthread_mutex_lock(&pool.lock);
	while (pool.running > 0)
		pthread_cond_wait(&pool.ended, &pool.lock);
	pthread_mutex_unlock(&pool.lock);
	if (fs->ring)
		ring_join(fs->ring);
	pthread_cond_destroy(&pool.ended);
	pthread_mutex_destroy(&pool.lock);
	if (r == 0)
		r = atomic_load(&pool.error);
	fs->failed = r < 0;
	return r;
}

__attribute__((format(printf, 2, 0))) static void log_library(enum fuse_log_level level,
							      const char *fmt, va_list ap)
{
	char line[512];

	(void)vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_write(level <= FUSE_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "libfuse: %s", line);
}

static int mount_failed(const struct volume_config *vc, struct errmsg *reterr)
{
	bool no_device = access("/dev/fuse", R_OK | W_OK) < 0;

	errmsg_next(reterr, no_device ? "load it (modprobe fuse), or give the container /dev/fuse"
				      : "be root, and see the lines above");
	return errmsg_fail(reterr, -ENODEV, EXIT_CODE_FAILED, "volume %s: cannot mount at %s%s",
			   vc->name, vc->mount, no_device ? ": no usable /dev/fuse" : "");
}

static struct fuse_session *new_session(struct fs *fs, const struct volume_config *vc)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;
	char options[256];

	(void)snprintf(options, sizeof(options),
		       "-ofsname=%s,subtype=tdefs,allow_other,default_permissions,nosuid,nodev",
		       vc->name);
	if (fuse_opt_add_arg(&args, "tdefs") == 0 && fuse_opt_add_arg(&args, options) == 0)
		session = fuse_session_new(&args, &operations, sizeof(operations), fs);
	fuse_opt_free_args(&args);
	return session;
}

/* It may know nothing of the node any more, or be gone itself: then nothing is cached. */
static void drop_pages(void *arg, uint64_t node)
{
	const struct fs *fs = arg;
	int r = fuse_lowlevel_notify_inval_inode(fs->session, node, 0, 0);

	if (r < 0 && r != -ENOENT && r != -ENOTCONN && r != -ENODEV)
		log_warning("volume %s: cannot drop cached pages: %s",
			    volume_config(fs->options.volume)->name, errno_text(r));
}

static int mount_session(struct fs *fs, const struct volume_config *vc, struct errmsg *reterr)
{
	int r;

	fs->session = new_session(fs, vc);
	if (!fs->session || fuse_session_mount(fs->session, vc->mount) != 0) {
		if (fs->session)
			fuse_session_destroy(fs->session);
		return mount_failed(vc, reterr);
	}
	r = device_attend(fs, reterr);
	if (r < 0) {
		fuse_session_unmount(fs->session);
		fuse_session_destroy(fs->session);
	}
	return r;
}

int fs_mount(const struct fs_options *options, struct fs **ret_fs, struct errmsg *reterr)
{
	const struct volume_config *vc = volume_config(options->volume);
	struct fs *fs = calloc(1, sizeof(*fs));
	int r;

	if (!fs)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	fs->options = *options;
	fs->store = volume_store(options->volume);
	fs->settings = &vc->settings;
	fs->gate = volume_gate(options->volume);
	fs->freeze = volume_freeze(options->volume);
	fs->counters = volume_counters(options->volume);
	fs->cache = (struct volume_cache){ drop_pages, fs };
	fs->freeze_server = (struct freeze_server){ serve_prepare_to_hold, serve_held, fs };
	fuse_set_log_func(log_library);
	r = device_make_ring(fs, reterr);
	if (r == 0)
		r = mount_session(fs, vc, reterr);
	if (r < 0) {
		ring_free(fs->ring);
		free(fs);
		return r;
	}
	volume_set_cache(options->volume, &fs->cache);
	volume_set_freeze_server(options->volume, &fs->freeze_server);
	*ret_fs = fs;
	return 0;
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	/*
	 * After an error of ours the mount stays, dead: a bare directory in its
	 * place would let an engine go on, in plaintext.
	 */
	if (!fs->failed)
		fuse_session_unmount(fs->session);
	fuse_session_destroy(fs->session);
	ring_free(fs->ring);
	if (fs->held_room.bytes)
		explicit_bzero(fs->held_room.bytes, fs->held_room.len);
	free(fs->held_room.bytes);
	free(fs);
}

int fs_device(const struct fs *fs)
{
	return fuse_session_fd(fs->session);
}

int fs_connection(const char *where, unsigned *ret_connection)
{
	struct statx st;

	/* Without AT_STATX_DONT_SYNC the kernel would ask us, who do not serve yet. */
	if (statx(AT_FDCWD, where, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0)
		return -errno;
	*ret_connection = st.stx_dev_minor;
	return 0;
}

const char *fs_library_version(void)
{
	return fuse_pkgversion();
}
