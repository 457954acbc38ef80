/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What passes /dev/fuse, on its way from and to libfuse: INIT, in which more is
 * agreed on than libfuse 3.14 knows of, and answers that go over io_uring.
 * Whatever libfuse serves: the transport is ours.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "fs_internal.h"
#include "ring.h"
#include "ring_protocol.h"
#include "tdefs/log.h"

static void note_init(struct fs *fs, const void *request, size_t len)
{
	struct fuse_in_header in;
	struct fuse_init_in init = { 0 };

	memcpy(&in, request, sizeof(in));
	if (in.opcode != FUSE_INIT)
		return;
	if (len >= sizeof(in) + sizeof(init))
		memcpy(&init, (const char *)request + sizeof(in), sizeof(init));
	fs->offered = init.flags & RING_INIT_EXT ? init.flags2 : 0;
	atomic_store(&fs->init_unique, in.unique);
}

static ssize_t device_read(int fd, void *buf, size_t len, void *userdata)
{
	struct fs *fs = userdata;
	ssize_t n = read(fd, buf, len);

	if (n >= (ssize_t)sizeof(struct fuse_in_header))
		note_init(fs, buf, (size_t)n);
	return n;
}

/* The kernel holds every request back from here until the ring is registered. */
static bool agree(const struct fs *fs, const struct iovec *answer, int count)
{
	struct fuse_init_out *init;

	if (!fs->ring || !(fs->offered & RING_INIT_IO_URING))
		return false;
	if (count < 2 || answer[1].iov_len < sizeof(*init))
		return false;
	init = answer[1].iov_base;
	init->flags |= RING_INIT_EXT;
	init->flags2 |= RING_INIT_IO_URING;
	return true;
}

static ssize_t answer_init(struct fs *fs, int fd, struct iovec *answer, int count)
{
	const bool agreed = agree(fs, answer, count);
	ssize_t n = writev(fd, answer, count);

	atomic_store(&fs->init_unique, 0);
	if (agreed && n > 0)
		ring_start(fs->ring, fd);
	return n;
}

static ssize_t device_writev(int fd, struct iovec *answer, int count, void *userdata)
{
	struct fs *fs = userdata;
	struct fuse_out_header out;
	ssize_t n;

	if (ring_answer(answer, count, &n))
		return n;
	memcpy(&out, answer[0].iov_base, sizeof(out));
	if (out.unique && out.unique == atomic_load(&fs->init_unique))
		return answer_init(fs, fd, answer, count);
	return writev(fd, answer, count);
}

static const char *name_of(const struct fs *fs)
{
	return volume_config(fs->options.volume)->name;
}

static void ring_started(void *arg, int error)
{
	struct fs *fs = arg;

	if (error < 0) {
		log_warning("volume %s: requests come by /dev/fuse: io_uring: %s", name_of(fs),
			    errno_text(error));
		atomic_store(&fs->options.transport->why_not, errno_text(error));
		return;
	}
	log_info("volume %s: requests come over io_uring", name_of(fs));
	atomic_store(&fs->options.transport->io_uring, true);
}

static int new_ring(struct fs *fs)
{
	const struct ring_server server = { .threads = fs->settings->threads,
					    .room_len = FS_ROOM_LEN,
					    .serve = serve_on_ring,
					    .started = ring_started,
					    .arg = fs };

	return ring_new(&server, &fs->ring);
}

/* io_uring = auto does without; io_uring = yes does not mount. */
static int no_ring(struct fs *fs, const struct ring_lack *lack, struct errmsg *reterr)
{
	const char *name = name_of(fs);

	if (fs->settings->io_uring == IO_URING_AUTO) {
		log_info("volume %s: requests come by /dev/fuse: %s", name, lack->what);
		atomic_store(&fs->options.transport->why_not, lack->what);
		return 0;
	}
	errmsg_next(reterr, "%s, or set io_uring = no", lack->next);
	return errmsg_fail(reterr, -EOPNOTSUPP, EXIT_CODE_FAILED, "volume %s: io_uring = yes: %s",
			   name, lack->what);
}

int device_make_ring(struct fs *fs, struct errmsg *reterr)
{
	static const struct ring_lack memory = { "there is no memory, or no thread, for it",
						 "free memory or raise the limit of threads" };
	const struct ring_lack *lack;

	if (fs->settings->io_uring == IO_URING_NO)
		return 0;
	lack = ring_lack();
	if (!lack && new_ring(fs) < 0)
		lack = &memory;
	return lack ? no_ring(fs, lack, reterr) : 0;
}

int device_attend(struct fs *fs, struct errmsg *reterr)
{
	static const struct fuse_custom_io io = { .read = device_read, .writev = device_writev };
	static const struct ring_lack library = { "libfuse was built without custom I/O",
						  "use Debian's, or build it with "
						  "-Denable-custom-io=true" };

	if (fuse_session_custom_io(fs->session, &io, fuse_session_fd(fs->session)) == 0)
		return 0;
	if (!fs->ring)
		return 0;
	ring_free(TAKE_PTR(fs->ring));
	return no_ring(fs, &library, reterr);
}
