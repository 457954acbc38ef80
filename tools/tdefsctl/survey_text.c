/* SPDX-License-Identifier: Apache-2.0 */
/* What a survey is told with: how far it went, and what its slots say. */
#include <stdio.h>

#include "survey.h"

uint64_t survey_slot_until(const struct survey_header *h, size_t slot)
{
	return slot == 0 ? 0 : h->slots[slot - 1].created;
}

static int append(json_t *list, json_t *value)
{
	return json_array_append_new(list, value);
}

json_t *survey_searched_json(const struct survey *s)
{
	CLEANUP_JSON json_t *directories = json_array();

	for (size_t i = 0; directories && i < s->nsearched; i++)
		if (append(directories, text_json(s->searched[i])) < 0)
			return NULL;
	return json_pack("{s:o, s:O}", "volumes_of", text_json(s->call->config->path),
			 "directories", directories);
}

json_t *survey_missed_json(const struct survey *s)
{
	CLEANUP_JSON json_t *list = json_array();

	for (size_t i = 0; list && i < s->nmissed; i++)
		if (append(list, json_pack("{s:o, s:s}", "path", text_json(s->missed[i].path),
					   "why", s->missed[i].why)) < 0)
			return NULL;
	return json_incref(list);
}

void survey_print_searched(const struct survey *s)
{
	CLEANUP_FREE char *config = text_new(s->call->config->path);

	for (size_t i = 0; i < s->nmissed; i++) {
		CLEANUP_FREE char *path = text_new(s->missed[i].path);

		printf("NOT SEARCHED %s: %s\n", path ? path : "?", s->missed[i].why);
	}
	printf("searched: the volumes of %s", config ? config : "?");
	for (size_t i = 0; i < s->nsearched; i++) {
		CLEANUP_FREE char *path = text_new(s->searched[i]);

		printf(", %s", path ? path : "?");
	}
	puts("; nothing else (--in DIR searches more)");
}
