/* SPDX-License-Identifier: Apache-2.0 */
/* A line for people. */
#include <stdio.h>
#include <string.h>

#include "audit_internal.h"
#include "tdefs/audit_read.h"
#include "tdefs/text.h"

static bool is_for_the_chain(const char *name)
{
	static const char *const names[] = {
		"v", "seq", "time", "volume", "event", "prev", "hash"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* A string that needs no quotes to be told from what is around it. */
static bool is_plain(const char *text)
{
	return text[0] && !strpbrk(text, " \t\n\"'=");
}

static void print_value(FILE *out, const char *name, const json_t *value)
{
	const char *text = json_string_value(value);
	CLEANUP_FREE char *dump = NULL;

	if (text && is_plain(text)) {
		fprintf(out, " %s=%s", name, text);
		return;
	}
	if (text) {
		fprintf(out, " %s=\"", name);
		for (; *text;
		     text++) /* a quote would end it, and what follows look like a detail */
			fputc(*text == '"' ? '\'' : *text, out);
		fputc('"', out);
		return;
	}
	dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	fprintf(out, " %s=%s", name, dump ? dump : "?");
}

static void print_line(FILE *out, json_t *line)
{
	const char *when = json_string_value(json_object_get(line, "time"));
	const char *event = json_string_value(json_object_get(line, "event"));
	const char *name;
	json_t *value;

	fprintf(out, "%s %s", when ? when : "?", event ? event : "?");
	json_object_foreach(line, name, value) if (!is_for_the_chain(name))
		print_value(out, name, value);
}

char *audit_text(const char *line, size_t len)
{
	json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	char *text = NULL, *escaped;
	size_t text_len;
	FILE *out;

	out = json_is_object(json) ? open_memstream(&text, &text_len) : NULL;
	if (out) {
		print_line(out, json);
		if (fclose(out) != 0) {
			free(text);
			text = NULL;
		}
	}
	json_decref(json);
	escaped = text ? text_new(text) : NULL;
	free(text);
	return escaped;
}
