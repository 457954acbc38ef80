/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request on its way to libfuse, from whichever way it came: at once, or after
 * a freeze that holds it back.
 */
#include <stdlib.h>

#include "fs_internal.h"
#include "ring.h"

static _Thread_local struct file_room thread_room;

void serve_set_room(struct file_room room)
{
	thread_room = room;
}

struct file_room fs_room(void)
{
	return thread_room;
}

/* While the volume is frozen, what would change it is kept for later, and this thread is free. */
void serve_request(struct fs *fs, const struct fuse_buf *buf, size_t len)
{
	fs_count(fs, buf->mem, len);
	if (!hold_concerns(buf->mem, len)) {
		fuse_session_process_buf(fs->session, buf);
	} else if (freeze_enter(fs->freeze, buf->mem, len)) {
		fuse_session_process_buf(fs->session, buf);
		freeze_leave(fs->freeze);
	}
}

/* There, a request cannot leave its entry: the thread waits with it, or the freeze ends. */
static void enter_on_ring(struct fs *fs)
{
	while (!freeze_try_enter(fs->freeze)) {
		if (ring_keep()) {
			freeze_wait_behind(fs->freeze);
			ring_go_on();
		} else {
			IGNORE_RESULT(freeze_end(fs->freeze, FREEZE_MEMORY), "it may be over");
		}
	}
}

void serve_on_ring(void *arg, uint8_t *request, size_t len, uint8_t *room)
{
	struct fs *fs = arg;
	const struct fuse_buf buf = { .mem = request, .size = len };

	thread_room = (struct file_room){ room, FS_ROOM_LEN };
	fs_count(fs, request, len);
	if (!hold_concerns(request, len)) {
		fuse_session_process_buf(fs->session, &buf);
	} else {
		enter_on_ring(fs);
		fuse_session_process_buf(fs->session, &buf);
		freeze_leave(fs->freeze);
	}
}

/* On the freeze's thread, one at a time: its room is kept for the next. */
void serve_held(void *arg, void *request, size_t len)
{
	struct fs *fs = arg;
	const struct fuse_buf buf = { .mem = request, .size = len };

	if (!fs->held_room.bytes)
		fs->held_room = (struct file_room){ malloc(FS_ROOM_LEN), FS_ROOM_LEN };
	thread_room = fs->held_room;
	if (thread_room.bytes)
		fuse_session_process_buf(fs->session, &buf);
	else
		hold_refuse(fs_device(fs), request, len);
}

void serve_prepare_to_hold(void *arg)
{
	const struct fs *fs = arg;

	if (fs->ring)
		ring_prepare_to_keep(fs->ring);
}
