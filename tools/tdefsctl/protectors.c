/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl protectors: every header found, the keys that open it, and whether they are there. */
#include <stdio.h>
#include <string.h>

#include "key_answers.h"
#include "tdefs/bytes.h"

static json_t *slot_json(const struct survey_header *h, size_t i, const struct key_answers *answers)
{
	const struct key_slot *s = &h->slots[i];
	const struct key_answer *a = key_answer_of(answers, s);
	const uint64_t until = survey_slot_until(h, i);
	char thumbprint[HEX_LEN(THUMBPRINT_LEN)];

	return json_pack("{s:s, s:o, s:s, s:I, s:o, s:s, s:s, s:s}", "state",
			 slot_state_text(s->state), "kid", text_json(s->kid), "thumbprint",
			 hex_encode(s->thumbprint, THUMBPRINT_LEN, thumbprint), "since",
			 (json_int_t)s->created, "until",
			 until ? json_integer((json_int_t)until) : json_null(), "key",
			 key_answer_text(a), "error", a->error ? a->error->text : "", "next",
			 a->error ? a->error->next : "");
}

static json_t *header_json(const struct survey_header *h, const struct key_answers *answers)
{
	CLEANUP_JSON json_t *slots = json_array();
	char uuid[UUID_TEXT_LEN] = "";

	for (size_t i = 0; slots && i < h->nslots; i++)
		if (json_array_append_new(slots, slot_json(h, i, answers)) < 0)
			return NULL;
	if (h->nslots)
		uuid_format(h->uuid, uuid);
	return json_pack("{s:o, s:o, s:b, s:b, s:s, s:I, s:O, s:s, s:s}", "path",
			 text_json(h->path), "volume",
			 h->volume ? json_string(h->volume->name) : json_null(), "mounted",
			 (int)h->mounted, "formatted", (int)(h->error || h->nslots), "uuid", uuid,
			 "sequence", (json_int_t)h->sequence, "slots", slots, "error",
			 h->error ? h->error->text : "", "next", h->error ? h->error->next : "");
}

static json_t *answer_json(const struct survey *s, const struct key_answers *answers)
{
	CLEANUP_JSON json_t *headers = json_array();

	for (size_t i = 0; headers && i < s->count; i++)
		if (json_array_append_new(headers, header_json(&s->headers[i], answers)) < 0)
			return NULL;
	return json_pack("{s:O, s:o, s:o}", "headers", headers, "not_searched",
			 survey_missed_json(s), "searched", survey_searched_json(s));
}

static void print_slot(const struct survey_header *h, size_t i, const struct key_answers *answers)
{
	const struct key_slot *s = &h->slots[i];
	const struct key_answer *a = key_answer_of(answers, s);
	const uint64_t until = survey_slot_until(h, i);
	CLEANUP_FREE char *kid = text_new(s->kid);
	char thumbprint[HEX_LEN(THUMBPRINT_LEN)], from[32], to[32] = "now";

	if (until)
		time_text(until, to);
	printf("  %-9s %s\n            thumbprint %s\n            in use %s to %s; key: %s\n",
	       slot_state_text(s->state), kid ? kid : "?",
	       hex_encode(s->thumbprint, THUMBPRINT_LEN, thumbprint), time_text(s->created, from),
	       to, key_answer_text(a));
	if (a->error)
		printf("            %s\n            next: %s\n", a->error->text, a->error->next);
}

static void print_header(const struct survey_header *h, const struct key_answers *answers)
{
	CLEANUP_FREE char *path = text_new(h->path);

	printf("%s (%s%s%s)\n", path ? path : "?", h->volume ? "volume " : "a copy",
	       h->volume ? h->volume->name : "", h->mounted ? ", mounted" : "");
	if (h->error)
		printf("  NOT READ: %s\n  next: %s\n", h->error->text, h->error->next);
	else if (h->nslots == 0)
		puts("  never formatted");
	for (size_t i = 0; i < h->nslots; i++)
		print_slot(h, i, answers);
}

/* Previous slots open nothing: a key that only they need may be away. */
static int worst_code(const struct survey *s, const struct key_answers *answers)
{
	int code = survey_is_whole(s) ? EXIT_CODE_DONE : EXIT_CODE_FAILED;

	for (size_t i = 0; i < s->count; i++)
		if (s->headers[i].nslots)
			code = worse_exit_code(code, key_answer_code(key_answer_of(
							     answers, &s->headers[i].slots[0])));
	return code;
}

int verb_protectors(struct call *call)
{
	CLEANUP_SURVEY struct survey survey = { 0 };
	CLEANUP_KEY_ANSWERS struct key_answers answers = { 0 };
	int code;

	if (survey_take(call, &survey) < 0 || key_answers_take(&survey, "protectors", &answers) < 0)
		return call_failed(call);
	code = worst_code(&survey, &answers);
	if (call->json)
		return print_json(answer_json(&survey, &answers), code);
	for (size_t i = 0; i < survey.count; i++)
		print_header(&survey.headers[i], &answers);
	survey_print_searched(&survey);
	return code;
}
