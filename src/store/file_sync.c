/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durability of an encrypted file: fsync, and the errors that must not be lost.
 * The kernel reports a write-back error once for each descriptor and then calls
 * the pages clean; a file remembers it (DESIGN.md, durability, 2).
 */
#include <errno.h>

#include "file_internal.h"

/* Hold the first error; later ones add nothing. Under state_lock. */
static void hold_error(struct file *f, int error)
{
	if (f->error)
		return;
	f->error = error;
	f->error_reported = false;
	counter_add(f->context->counters, COUNTER_ERRORS_LATCHED, 1);
}

void file_latch(struct file *f, int error)
{
	{
		LOCK_SCOPE(&f->state_lock);
		hold_error(f, error);
	}
	file_raise(f->context, FILE_EVENT_ERROR_LATCHED, f->ino);
}

void file_lose_page(struct file *f)
{
	atomic_store(&f->page_lost, true);
}

int file_sync(struct file *f, bool datasync)
{
	const struct sysio *sys = f->context->sys;
	uint64_t writes = atomic_load(&f->writes);
	int r;

	atomic_store(&f->never_synced, false); /* pairs with file_need_key() */
	r = datasync ? sys->fdatasync(f->fd) : sys->fsync(f->fd);

	counter_add(f->context->counters, COUNTER_SYNCS, 1);
	if (r < 0)
		IGNORE_RESULT(file_io_error(f, r), "held below");
	LOCK_SCOPE(&f->state_lock);
	if (r < 0)
		hold_error(f, r);
	else if (writes > f->synced)
		f->synced = writes;
	if (f->error)
		f->error_reported = true;
	return f->error;
}

static void mark_synced(struct file *f, uint64_t writes)
{
	LOCK_SCOPE(&f->state_lock);
	if (writes > f->synced)
		f->synced = writes;
}

void file_settle(struct file *f)
{
	const unsigned flags =
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	uint64_t writes = atomic_load(&f->writes);
	int r = f->context->sys->sync_file_range(f->fd, 0, 0, flags);

	if (r < 0) {
		file_latch(f, file_io_error(f, r));
		return;
	}
	mark_synced(f, writes);
}

void file_secure(struct file *f)
{
	uint64_t writes = atomic_load(&f->writes);
	int r;

	if (file_rest(f) != FILE_DIRTY)
		return;
	atomic_store(&f->never_synced, false); /* pairs with file_need_key() */
	r = f->context->sys->fdatasync(f->fd);
	if (r < 0) {
		file_latch(f, file_io_error(f, r));
		return;
	}
	mark_synced(f, writes);
}

enum file_rest file_rest(struct file *f)
{
	LOCK_SCOPE(&f->state_lock);
	if (f->error)
		return FILE_LATCHED;
	return f->synced == atomic_load(&f->writes) ? FILE_CLEAN : FILE_DIRTY;
}

void file_last_close(struct file *f)
{
	LOCK_SCOPE(&f->state_lock);
	atomic_store(&f->page_lost, false);
	if (!f->error_reported)
		return;
	f->error = 0;
	f->error_reported = false;
	counter_add(f->context->counters, COUNTER_ERRORS_RELEASED, 1);
}
