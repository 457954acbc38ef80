/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/exposition.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/cleanup.h"

static void __attribute__((format(printf, 2, 3))) put(struct exposition *e, const char *fmt, ...)
{
	size_t room = sizeof(e->text) - e->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(e->text + e->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		e->cut = true;
	else
		e->len += (size_t)n;
}

/* Backslash and newline; in a label's value, quotes, too. */
static void put_escaped(struct exposition *e, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\n')
			put(e, "\\n");
		else if (*text == '\\' || (*text == '"' && quotes))
			put(e, "\\%c", *text);
		else
			put(e, "%c", *text);
	}
}

void exposition_family(struct exposition *e, const char *name, const char *type, const char *help)
{
	e->family = name;
	put(e, "# HELP %s ", name);
	put_escaped(e, help, false);
	put(e, "\n# TYPE %s %s\n", name, type);
}

static void put_series(struct exposition *e, const char *suffix,
		       const struct exposition_label *labels)
{
	put(e, "%s%s", e->family, suffix);
	for (const struct exposition_label *l = labels; l->name; l++) {
		put(e, "%s%s=\"", l == labels ? "{" : ",", l->name);
		put_escaped(e, l->value, true);
		put(e, "\"");
	}
	put(e, labels->name ? "} " : " ");
}

void exposition_count(struct exposition *e, const char *suffix,
		      const struct exposition_label *labels, uint64_t value)
{
	put_series(e, suffix, labels);
	put(e, "%llu\n", (unsigned long long)value);
}

#define SECONDS_TEXT_LEN 32

/* Without needless zeros: 0.25, 10. */
static const char *seconds_text(uint64_t ms, char out[static SECONDS_TEXT_LEN])
{
	char *end;

	if (ms == UINT64_MAX)
		return "+Inf";
	(void)snprintf(out, SECONDS_TEXT_LEN, "%llu.%03u", (unsigned long long)(ms / 1000),
		       (unsigned)(ms % 1000));
	for (end = out + strlen(out); end[-1] == '0'; end--)
		end[-1] = '\0';
	if (end[-1] == '.')
		end[-1] = '\0';
	return out;
}

void exposition_seconds(struct exposition *e, const char *suffix,
			const struct exposition_label *labels, uint64_t ms)
{
	char text[SECONDS_TEXT_LEN];

	put_series(e, suffix, labels);
	put(e, "%s\n", seconds_text(ms, text));
}

void exposition_histogram(struct exposition *e, const struct exposition_label *label,
			  const struct exposition_histogram *h)
{
	uint64_t total = 0;

	for (size_t i = 0; i <= h->n; i++) {
		uint64_t bound = i < h->n ? h->bounds_ms[i] : UINT64_MAX;
		char text[SECONDS_TEXT_LEN];

		total += h->counts[i];
		exposition_count(e, "_bucket",
				 EXPOSITION_LABELS(*label, { "le", seconds_text(bound, text) }),
				 total);
	}
	exposition_seconds(e, "_sum", EXPOSITION_LABELS(*label), h->sum_ms);
	exposition_count(e, "_count", EXPOSITION_LABELS(*label), total);
}
