/* SPDX-License-Identifier: Apache-2.0 */
/* An import or export as it goes: a line on a terminal, warnings, and caches dropped for it. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tdefs/clock.h"
#include "transfer.h"

#define SHOW_EACH_MS 200
#define NOTICES_MAX  20

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static void show(struct transfer_display *d, const struct transfer_progress *p, uint64_t now_ms)
{
	const double seconds = (double)(now_ms - d->began_ms + 1) / 1000;
	const double rate = (double)(p->bytes - p->skipped_bytes) / seconds;
	const uint64_t done = p->bytes < p->total_bytes ? p->bytes : p->total_bytes;
	/* What was copied is read again: both are to come. */
	const uint64_t left =
		p->total_bytes - done + (p->phase == TRANSFER_COPY ? p->total_bytes : 0);

	d->shown = true;
	if (p->phase == TRANSFER_SCAN) {
		fprintf(stderr, "\rlooking: %ju names\033[K", (uintmax_t)p->entries);
		return;
	}
	fprintf(stderr, "\r%s %3d%% (%.0f of %.0f MiB), %.0f MiB/s",
		p->phase == TRANSFER_COPY ? "copying" : "verifying",
		p->total_bytes ? (int)(done * 100 / p->total_bytes) : 100, mib(done),
		mib(p->total_bytes), rate / (1 << 20));
	if (rate >= 1) {
		const uint64_t s = (uint64_t)((double)left / rate);

		fprintf(stderr, ", %ju:%02ju:%02ju left", (uintmax_t)(s / 3600),
			(uintmax_t)(s / 60 % 60), (uintmax_t)(s % 60));
	}
	fputs("\033[K", stderr);
}

static void show_progress(void *arg, const struct transfer_progress *p)
{
	struct transfer_display *d = arg;
	const uint64_t now_ms = clock_kernel.boot_ms();
	bool whole;

	if (!d->terminal)
		return;
	if (d->phase != p->phase || d->began_ms == 0) {
		d->phase = p->phase;
		d->began_ms = now_ms;
		d->shown_ms = 0;
		d->whole = false;
	}
	/* The end of a phase is shown, however soon it comes. */
	whole = p->total_bytes && p->bytes >= p->total_bytes;
	if (now_ms - d->shown_ms < SHOW_EACH_MS && (!whole || d->whole))
		return;
	d->whole = whole;
	d->shown_ms = now_ms;
	show(d, p, now_ms);
}

static void show_notice(void *arg, const char *path, const char *what)
{
	struct transfer_display *d = arg;
	CLEANUP_FREE char *text = text_new(path);

	if (d->notices++ >= NOTICES_MAX)
		return;
	fprintf(stderr, "%s" PROGRAM ": note: %s: %s\n", d->shown ? "\r\033[K" : "",
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

void transfer_display_end(struct transfer_display *d)
{
	if (d->shown)
		fputs("\r\033[K", stderr);
	d->shown = false;
}
