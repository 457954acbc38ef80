/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tdefs/clock.h"

#define SHOW_EACH_MS 200

void progress_begin(struct progress *p)
{
	*p = (struct progress){ .terminal = isatty(STDERR_FILENO) };
}

static void print_left(double seconds)
{
	const uint64_t s = (uint64_t)seconds;

	fprintf(stderr, ", %" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " left", s / 3600, s / 60 % 60,
		s % 60);
}

static double rate_of(const struct progress_step *s, uint64_t elapsed_ms)
{
	return (double)(s->done - s->skipped) * 1000 / (double)(elapsed_ms + 1);
}

static void print_rate(const struct progress_step *s, double rate)
{
	const double units = rate / (s->per ? (double)s->per : 1);

	fprintf(stderr, ", %.*f %s/s", units < 10 ? 1 : 0, units, s->unit);
}

static void print_share(const struct progress_step *s, uint64_t elapsed_ms)
{
	const double per = s->per ? (double)s->per : 1;
	const double rate = rate_of(s, elapsed_ms);
	const uint64_t done = s->done < s->total ? s->done : s->total;

	fprintf(stderr, " %3d%% (%.0f of %.0f %s)", (int)(done * 100 / s->total),
		(double)done / per, (double)s->total / per, s->unit);
	print_rate(s, rate);
	if (rate > 0)
		print_left((double)(s->total - done + s->further) / rate);
}

static void print(const struct progress_step *s, uint64_t elapsed_ms)
{
	fprintf(stderr, "\r%s", s->doing);
	if (s->total)
		print_share(s, elapsed_ms);
	else {
		fprintf(stderr, ": %" PRIu64 " %s", s->done / (s->per ? s->per : 1), s->unit);
		if (elapsed_ms >= SHOW_EACH_MS) /* before, it is one of a moment */
			print_rate(s, rate_of(s, elapsed_ms));
	}
	fprintf(stderr, "%s%s\033[K", s->note ? ", " : "", s->note ? s->note : "");
}

void progress_show(struct progress *p, const struct progress_step *s)
{
	const uint64_t now_ms = p->terminal ? clock_kernel.boot_ms() : 0;
	const bool whole = s->total && s->done >= s->total;

	if (!p->terminal)
		return;
	if (strcmp(p->doing, s->doing) != 0) {
		(void)snprintf(p->doing, sizeof(p->doing), "%s", s->doing);
		p->began_ms = now_ms;
		p->shown_ms = 0;
		p->whole = false;
	}
	/* The end is shown, however soon it comes. */
	if (now_ms - p->shown_ms < SHOW_EACH_MS && (!whole || p->whole))
		return;
	p->whole = whole;
	p->shown_ms = now_ms;
	p->shown = true;
	print(s, now_ms - p->began_ms);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
