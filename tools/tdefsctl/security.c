/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. The list as a whole, and how it is printed. */
#include "security.h"

#include <stdarg.h>
#include <string.h>

static const char *const verdicts[] = {
	[SECURITY_GOOD] = "good",
	[SECURITY_BAD] = "bad",
	[SECURITY_UNKNOWN] = "unknown",
};

void security_add(struct security *s, const char *name, enum security_verdict verdict,
		  const char *next, const char *value, ...)
{
	char text[512];
	json_t *fact;
	va_list ap;

	va_start(ap, value);
	(void)vsnprintf(text, sizeof(text), value, ap);
	va_end(ap);
	fact = json_pack("{s:s, s:o, s:s, s:s?}", "name", name, "value", text_json(text), "verdict",
			 verdicts[verdict], "next", verdict == SECURITY_GOOD ? NULL : next);
	if (json_array_append_new(s->facts, fact) < 0)
		s->failed = true;
}

bool security_read_line(const char *path, char *out, size_t len)
{
	CLEANUP_FCLOSE FILE *f = fopen(path, "re");

	if (!f || !fgets(out, (int)len, f))
		return false;
	out[strcspn(out, "\n")] = '\0';
	return true;
}

json_t *security_of(const struct volume_config *vc, const json_t *status)
{
	struct security s = { .vc = vc, .status = status, .facts = json_array() };

	if (!s.facts)
		return NULL;
	s.daemon = (pid_t)json_integer_value(json_object_get(status, "pid"));
	security_of_processes(&s);
	security_of_host(&s);
	if (!s.failed)
		return s.facts;
	json_decref(s.facts);
	return NULL;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "?";
}

void security_print(FILE *out, const json_t *facts)
{
	const json_t *fact;
	size_t i;

	json_array_foreach(facts, i, fact)
	{
		const char *next = json_string_value(json_object_get(fact, "next"));

		fprintf(out, "  %-7s  %-24s %s\n", text_of(fact, "verdict"), text_of(fact, "name"),
			text_of(fact, "value"));
		if (next)
			fprintf(out, "           next: %s\n", next);
	}
}
