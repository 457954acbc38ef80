/* SPDX-License-Identifier: Apache-2.0 */
/* An import or export as it goes: a line on a terminal, warnings, and caches dropped for it. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "transfer.h"

#define NOTICES_MAX 20

static void show_progress(void *arg, const struct transfer_progress *p)
{
	struct transfer_display *d = arg;
	const bool scan = p->phase == TRANSFER_SCAN, copy = p->phase == TRANSFER_COPY;
	const struct progress_step names = { "looking", "names", .done = p->entries };
	const struct progress_step data = {
		.doing = copy ? "copying" : "verifying",
		.unit = "MiB",
		.per = 1 << 20,
		.done = p->bytes,
		.total = p->total_bytes,
		.skipped = p->skipped_bytes,
		/* What was copied is read again: both are to come. */
		.further = copy ? p->total_bytes : 0,
	};

	progress_show(&d->progress, scan ? &names : &data);
}

static void show_notice(void *arg, const char *path, const char *what)
{
	struct transfer_display *d = arg;
	CLEANUP_FREE char *text = text_new(path);

	if (d->notices++ >= NOTICES_MAX)
		return;
	fprintf(stderr, "%s" PROGRAM ": note: %s: %s\n", d->progress.shown ? "\r\033[K" : "",
		text ? text : "?", what);
	if (d->notices == NOTICES_MAX)
		fputs(PROGRAM ": note: there may be more of them\n", stderr);
}

static int drop_beneath(void *arg, const char *path)
{
	const struct transfer_display *d = arg;
	CLEANUP_CLOSE int fd = open_regular(d->backing_fd, path, O_RDONLY | O_NOATIME);

	return fd < 0 ? fd : -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

const struct transfer_observer transfer_on_terminal = { show_progress, show_notice, drop_beneath,
							NULL };
