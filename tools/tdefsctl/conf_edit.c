/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Lines are read as src/config has inih read them. */
#include "conf_edit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/kid.h"

#define BLANKS	   " \t\r"
#define SEPARATORS " \t\r,"

/* Where we are, line by line. */
struct reader {
	const char *section; /* the one that is looked for */
	const char *line;
	size_t len; /* with its newline */
	bool inside, header;
	bool linked;  /* the line is one of "linked", or goes on with one */
	bool goes_on; /* with the one before it */
};

static bool is_comment(const char *at)
{
	return *at == ';' || *at == '#';
}

static bool is_section(const struct reader *r, const char *at, const char *end)
{
	const size_t len = strlen(r->section);
	const char *close = memchr(at, ']', (size_t)(end - at));

	return close && (size_t)(close - at - 1) == len && memcmp(at + 1, r->section, len) == 0;
}

static bool names_linked(const char *at)
{
	const char *after = at + strlen("linked");

	return strncmp(at, "linked", strlen("linked")) == 0 &&
	       strchr("=:", after[strspn(after, BLANKS)]) && after[strspn(after, BLANKS)];
}

/* False: that was the last line. */
static bool next_line(struct reader *r)
{
	const char *at, *end;

	r->line += r->len;
	if (!*r->line)
		return false;
	r->len = strcspn(r->line, "\n");
	end = r->line + r->len;
	r->len += *end == '\n';
	at = r->line + strspn(r->line, BLANKS);
	r->header = r->goes_on = false;
	if (at >= end || is_comment(at))
		return true;
	if (*at == '[') {
		r->header = true;
		r->inside = is_section(r, at, end);
		r->linked = false;
	} else if (at == r->line || !r->linked)
		r->linked = r->inside && names_linked(at);
	else
		r->goes_on = true;
	return true;
}

static bool is_of_linked(const struct reader *r)
{
	const char *at = r->line + strspn(r->line, BLANKS);

	return r->linked && !r->header && *at != '\n' && *at && !is_comment(at);
}

bool conf_has_linked(const char *text, const char *section)
{
	struct reader r = { .section = section, .line = text };

	while (next_line(&r))
		if (is_of_linked(&r))
			return true;
	return false;
}

bool conf_is_same_kid(const char *a, const char *b)
{
	struct kid one, other;

	return strcmp(a, b) == 0 ||
	       (kid_parse(a, &one) == 0 && kid_parse(b, &other) == 0 && kid_equal(&one, &other));
}

/* Where a new line goes; NULL: there is no such section. */
static const char *place_of(const char *text, const char *section)
{
	struct reader r = { .section = section, .line = text };
	const char *begin = NULL, *last = NULL;

	while (next_line(&r)) {
		if (r.header && r.inside && !begin)
			begin = r.line + r.len;
		if (is_of_linked(&r))
			last = r.line + r.len;
	}
	return last ? last : begin;
}

int conf_link(const char *text, const char *section, const char *kid, char **ret_text)
{
	const char *place = place_of(text, section), *end = text + strlen(text);
	const size_t before = (size_t)((place ? place : end) - text);
	/* The last line of a file may have no newline. */
	const char *newline = before && text[before - 1] != '\n' ? "\n" : "";
	char *out;

	if (asprintf(&out, "%.*s%s%s%s%slinked = %s\n%s", (int)before, text, newline,
		     place ? "" : "\n[", place ? "" : section, place ? "" : "]\n", kid,
		     text + before) < 0)
		return -ENOMEM;
	*ret_text = out;
	return 0;
}

/* Where the kids of a line begin and end; what follows is a comment of its own. */
static void find_value(const struct reader *r, const char **ret_begin, const char **ret_end)
{
	const char *end = r->line + r->len, *at = r->line + strspn(r->line, BLANKS);

	if (names_linked(at))
		at += strcspn(at, "=:") + 1;
	*ret_begin = at;
	for (; at < end && *at != '\n'; at++)
		if (*at == ';' && at > r->line && strchr(BLANKS, at[-1]))
			break;
	*ret_end = at;
}

/* The kids of a line but this one, commas between them; whether it was there. */
static bool kids_without(const char *at, const char *end, const char *kid, FILE *out)
{
	const char *comma = "";
	bool found = false;

	while (at += strspn(at, SEPARATORS), at < end) {
		const size_t len = strcspn(at, SEPARATORS "\n");
		char word[KID_MAX + 1];

		(void)snprintf(word, sizeof(word), "%.*s", (int)len, at);
		at += len;
		if (conf_is_same_kid(word, kid)) {
			found = true;
			continue;
		}
		fprintf(out, "%s%s", comma, word);
		comma = ", ";
	}
	return found;
}

/* How a list began whose first line is gone, up to its "="; empty: it is not. */
struct name {
	const char *text;
	int len;
};

/*
 * The line without the kid; nothing, if it had no other. What goes on with a line that is
 * gone begins as that did: `name`, which moves.
 */
static int copy_without(const struct reader *r, const char *kid, struct name *name, FILE *out)
{
	CLEANUP_FREE char *rest = NULL;
	const char *begin, *end;
	size_t len;
	FILE *f = open_memstream(&rest, &len);
	bool found;

	if (!f)
		return -ENOMEM;
	find_value(r, &begin, &end);
	found = kids_without(begin, end, kid, f);
	if (fclose(f) != 0)
		return -ENOMEM;
	if (!r->goes_on)
		*name = (struct name){ r->line, found && !rest[0] ? (int)(begin - r->line) : 0 };
	if (found && !rest[0])
		return 0;
	fprintf(out, "%.*s", name->len, name->text);
	name->len = 0;
	if (!found)
		fwrite(r->line, 1, r->len, out);
	else
		fprintf(out, "%.*s %s%s%.*s", (int)(begin - r->line), r->line, rest,
			*end == ';' ? " " : "", (int)(r->line + r->len - end), end);
	return 0;
}

int conf_unlink(const char *text, const char *section, const char *kid, char **ret_text)
{
	struct reader r = { .section = section, .line = text };
	struct name name = { .len = 0 };
	size_t len;
	FILE *out = open_memstream(ret_text, &len);
	int e = out ? 0 : -ENOMEM;

	while (e == 0 && next_line(&r)) {
		if (is_of_linked(&r))
			e = copy_without(&r, kid, &name, out);
		else
			fwrite(r.line, 1, r.len, out);
	}
	if (out && fclose(out) != 0)
		e = -ENOMEM;
	if (e < 0 && out) {
		free(*ret_text);
		*ret_text = NULL;
	}
	return e;
}
