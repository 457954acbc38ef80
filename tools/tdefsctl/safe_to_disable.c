/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl safe-to-disable: does anything that was found need this key? In doubt, yes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "key_name.h"
#include "survey.h"
#include "tdefs/bytes.h"
#include "tdefs/secondary.h"

struct inquiry {
	struct call *call;
	struct survey survey;
	struct key_name key;
	json_t *depends; /* of {"path", "volume", "slot", "kid", "since"} or {"volume", "setting", "kid"} */
	json_t *unknown; /* of {"what", "why", "next"} */
};

static int add(json_t *list, json_t *entry)
{
	return json_array_append_new(list, entry) < 0 ? -ENOMEM : 0;
}

static json_t *volume_json(const struct volume_config *vc)
{
	return vc ? json_string(vc->name) : json_null();
}

static int note_unknown(struct inquiry *q, const char *what, const struct errmsg *error)
{
	struct errmsg e = *error;

	text_escape_message(&e);
	return add(q->unknown, json_pack("{s:o, s:s, s:s}", "what", text_json(what), "why", e.text,
					 "next", e.next));
}

/* Each copy of the header opens the volume, should the other be lost. */
static int look_at_copies(struct inquiry *q, const struct survey_header *h)
{
	struct errmsg error = { 0 };

	for (int i = 0; h->nslots && i < HEADER_COPIES; i++) {
		if (h->state[i] == HEADER_COPY_GOOD || h->state[i] == HEADER_COPY_MISSING)
			continue;
		errmsg_next(&error, "mount it, or tdefsctl rotate it again: that repairs the copy");
		(void)errmsg_fail(&error, -EBADMSG, EXIT_CODE_FAILED, STORE_HEADER_DIR "/%s is %s",
				  header_copy_names[i], header_copy_state_text(h->state[i]));
		return note_unknown(q, h->path, &error);
	}
	return 0;
}

static int look_at_header(struct inquiry *q, const struct survey_header *h)
{
	int r = h->error ? note_unknown(q, h->path, h->error) : look_at_copies(q, h);

	for (size_t i = 0; r == 0 && i < h->nslots; i++)
		if (key_name_is_of(&q->key, h->slots[i].kid, h->slots[i].thumbprint))
			r = add(q->depends,
				json_pack("{s:o, s:o, s:s, s:o, s:I}", "path", text_json(h->path),
					  "volume", volume_json(h->volume), "slot",
					  slot_state_text(h->slots[i].state), "kid",
					  text_json(h->slots[i].kid), "since",
					  (json_int_t)h->slots[i].created));
	return r;
}

/* Which version a setting without one stands for is its vault's to say. */
static enum vault_verdict ask(struct inquiry *q, const struct survey_header *h, bool secondary,
			      const char *kid, struct vault_key *ret_key,
			      struct vault_report *report)
{
	const struct volume_config *vc = h->volume;
	const struct vault_watch watch = call_watch(q->call, "safe-to-disable", vc->name, vc->name);
	CLEANUP_WATCHED_VAULT struct watched_vault *vault = NULL;
	struct vault *v;

	*report = (struct vault_report){ .verdict = VAULT_BROKEN };
	if (watched_vault_open(&watch, kid, &vc->settings, &clock_kernel, &vault, &report->error) <
	    0)
		return report->verdict;
	v = watched_vault_of(vault);
	if (secondary && h->nslots) {
		memcpy(ret_key->thumbprint, h->slots[0].thumbprint, THUMBPRINT_LEN);
		return secondary_find(v, kid, &h->slots[0], vc->name, &clock_kernel,
				      VAULT_PROBE_TIMEOUT_MS, ret_key->kid, report);
	}
	return v->ops->get(v, kid, VAULT_PROBE_TIMEOUT_MS, ret_key, report);
}

static int note_setting(struct inquiry *q, const struct volume_config *vc, const char *setting,
			const char *kid)
{
	return add(q->depends, json_pack("{s:s, s:s, s:o}", "volume", vc->name, "setting", setting,
					 "kid", text_json(kid)));
}

static int look_at_setting(struct inquiry *q, const struct survey_header *h, const char *setting,
			   const char *kid)
{
	const bool linked = strcmp(setting, "linked") == 0;
	CLEANUP_FREE struct vault_report *report = NULL;
	char what[VOLUME_KID_MAX + 128];
	struct vault_key key = { 0 };
	int r = 0;

	if (!kid || key_name_rules_out(&q->key, kid, linked))
		return 0;
	if (key_name_is_of(&q->key, kid, NULL))
		return note_setting(q, h->volume, setting, kid);
	report = malloc(sizeof(*report));
	if (!report)
		return -ENOMEM;
	if (ask(q, h, strcmp(setting, "secondary") == 0, kid, &key, report) != VAULT_GRANTED) {
		(void)snprintf(what, sizeof(what), "%s = %s of volume %s", setting, kid,
			       h->volume->name);
		r = note_unknown(q, what, &report->error);
	} else if (key_name_is_of(&q->key, key.kid, key.thumbprint))
		r = note_setting(q, h->volume, setting, kid);
	call_close_log(q->call);
	return r;
}

static int look_at_settings(struct inquiry *q, const struct survey_header *h)
{
	const struct settings *s = &h->volume->settings;
	const char *at = s->linked;
	char kid[KID_MAX + 1];
	int r = look_at_setting(q, h, "protector", s->protector);

	if (r == 0)
		r = look_at_setting(q, h, "secondary", s->secondary);
	while (r == 0 && at && settings_next_linked(&at, kid))
		r = look_at_setting(q, h, "linked", kid);
	return r;
}

static int look(struct inquiry *q)
{
	int r = q->depends && q->unknown ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < q->survey.count; i++) {
		r = look_at_header(q, &q->survey.headers[i]);
		if (r == 0 && q->survey.headers[i].volume)
			r = look_at_settings(q, &q->survey.headers[i]);
	}
	return r < 0 ? errmsg_fail(&q->call->err, r, EXIT_CODE_FAILED, "cannot look: %s",
				   errno_text(r))
		     : 0;
}

static const char *text_of(const json_t *entry, const char *key)
{
	const char *text = json_string_value(json_object_get(entry, key));

	return text ? text : "";
}

static void print_dependent(const json_t *d)
{
	const uint64_t since = (uint64_t)json_integer_value(json_object_get(d, "since"));
	char when[32];

	if (text_of(d, "setting")[0])
		printf("  %s = %s of volume %s\n", text_of(d, "setting"), text_of(d, "kid"),
		       text_of(d, "volume"));
	else
		printf("  %s: %s slot, %s, since %s\n", text_of(d, "path"), text_of(d, "slot"),
		       text_of(d, "kid"), time_text(since, when));
}

static void print_answer(const struct inquiry *q, bool safe)
{
	const json_t *entry;
	size_t i;

	printf("%s to disable: %s\n", safe ? "safe" : "NOT safe", q->call->args[0]);
	if (json_array_size(q->depends))
		puts("needed by");
	json_array_foreach(q->depends, i, entry) print_dependent(entry);
	json_array_foreach(q->unknown, i, entry)
		printf("NOT KNOWN %s: %s\n  next: %s\n", text_of(entry, "what"),
		       text_of(entry, "why"), text_of(entry, "next"));
	if (json_array_size(q->depends))
		puts("  next: tdefsctl rotate NAME --retire, tdefsctl rewrap DIR --to KID "
		     "--retire; "
		     "settings: edit tdefs.conf, tdefsctl unlink");
	survey_print_searched(&q->survey);
}

static int answer(const struct inquiry *q)
{
	const bool safe = !json_array_size(q->depends) && !json_array_size(q->unknown) &&
			  q->survey.nmissed == 0;
	const int code = safe ? EXIT_CODE_DONE : EXIT_CODE_FAILED;

	if (q->call->json)
		return print_json(json_pack("{s:i, s:o, s:b, s:O, s:O, s:o, s:o}", "schema",
					    CONTROL_SCHEMA, "key", text_json(q->call->args[0]),
					    "safe", (int)safe, "depends", q->depends, "unknown",
					    q->unknown, "not_searched",
					    survey_missed_json(&q->survey), "searched",
					    survey_searched_json(&q->survey)),
				  code);
	print_answer(q, safe);
	return code;
}

int verb_safe_to_disable(struct call *call)
{
	struct inquiry q = { .call = call };
	int code;

	if (key_name_parse(call->args[0], &q.key) < 0)
		return usage_error(call, "give a key identifier, with or without a version, or a "
					 "thumbprint of 64 hexadecimal digits");
	q.depends = json_array();
	q.unknown = json_array();
	code = survey_take(call, &q.survey) < 0 || look(&q) < 0 ? call_failed(call) : answer(&q);
	json_decref(q.depends);
	json_decref(q.unknown);
	survey_release(&q.survey);
	return code;
}
