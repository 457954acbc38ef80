/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text format of Prometheus, version 0.0.4, as it is written: families of
 * samples. Pure. Call exposition_family() first, then its samples.
 */
#ifndef TDEFS_EXPOSITION_H
#define TDEFS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPOSITION_MAX	((size_t)32768)
#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exposition {
	const char *family;
	bool cut; /* something did not fit: the text is of no use */
	size_t len;
	char text[EXPOSITION_MAX]; /* ends with a zero byte; all zero: nothing is written yet */
};

struct exposition_label {
	const char *name;
	const char *value; /* UTF-8, any characters */
};

/* An array of labels, the last without a name: EXPOSITION_LABELS({ "a", x }, { "b", y }). */
#define EXPOSITION_LABELS(...) ((const struct exposition_label[]){ __VA_ARGS__, { NULL, NULL } })

/* `type`: counter, gauge or histogram. */
void exposition_family(struct exposition *e, const char *name, const char *type, const char *help);

/* `suffix` follows the family's name: "", or "_sum" and the like of a histogram. */
void exposition_count(struct exposition *e, const char *suffix,
		      const struct exposition_label *labels, uint64_t value);
/* The same in seconds; UINT64_MAX is +Inf. */
void exposition_seconds(struct exposition *e, const char *suffix,
			const struct exposition_label *labels, uint64_t ms);

/*
 * A histogram of times, with one label beside "le": `counts` are those up to each
 * of `n` bounds but above the one before, and those beyond the last.
 */
struct exposition_histogram {
	const uint64_t *bounds_ms;
	const uint64_t *counts;
	size_t n;
	uint64_t sum_ms;
};
void exposition_histogram(struct exposition *e, const struct exposition_label *label,
			  const struct exposition_histogram *h);

#endif
