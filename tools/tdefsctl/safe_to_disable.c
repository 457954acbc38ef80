/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl safe-to-disable: does anything that was found need this key? In doubt, yes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "closest_key.h"
#include "key_facts.h"
#include "key_name.h"
#include "survey.h"
#include "tdefs/bytes.h"

struct inquiry {
	struct call *call;
	struct survey survey;
	struct key_name key;
	struct key_facts facts;
	struct closest_key closest;
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

static void compare_slot(struct inquiry *q, const struct key_slot *slot)
{
	char thumbprint[HEX_LEN(THUMBPRINT_LEN)];

	if (q->key.kid)
		closest_key_offer(&q->closest, q->key.kid, slot->kid);
	else
		closest_key_offer(&q->closest, q->call->args[0],
				  hex_encode(slot->thumbprint, THUMBPRINT_LEN, thumbprint));
}

static int look_at_slots(struct inquiry *q, const struct survey_header *h,
			 const struct key_slot *slots, size_t n, const char *state)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		compare_slot(q, &slots[i]);
		if (key_name_is_of(&q->key, slots[i].kid, slots[i].thumbprint))
			r = add(q->depends,
				json_pack("{s:o, s:o, s:s, s:o, s:I}", "path", text_json(h->path),
					  "volume", volume_json(h->volume), "slot",
					  state ? state : slot_state_text(slots[i].state), "kid",
					  text_json(slots[i].kid), "since",
					  (json_int_t)slots[i].created));
	}
	return r;
}

static int look_at_header(struct inquiry *q, const struct survey_header *h)
{
	int r = h->error ? note_unknown(q, h->path, h->error) : look_at_copies(q, h);

	if (r == 0)
		r = look_at_slots(q, h, h->slots, h->nslots, NULL);
	return r < 0 ? r : look_at_slots(q, h, h->kept, h->nkept, "kept");
}

/* Settings that may need the key: a volume's, or [server]'s. */
struct subject {
	struct key_asker asker;
	const char *protector, *secondary, *linked;
	const struct key_slot *slot; /* the active one; NULL: it is not known */
};

static int note_setting(struct inquiry *q, const struct subject *s, const char *setting,
			const char *kid)
{
	json_t *volume = s->asker.volume ? json_string(s->asker.volume) : json_null();

	return add(q->depends, json_pack("{s:o, s:s, s:o}", "volume", volume, "setting", setting,
					 "kid", text_json(kid)));
}

static int note_unknown_setting(struct inquiry *q, const struct subject *s, const char *setting,
				const char *kid, const struct errmsg *error)
{
	char what[VOLUME_KID_MAX + 128];

	(void)snprintf(what, sizeof(what), "%s = %s of %s%s", setting, kid,
		       s->asker.volume ? "volume " : "[server]",
		       s->asker.volume ? s->asker.volume : "");
	return note_unknown(q, what, error);
}

/* Which version a setting without one stands for is its vault's to say. */
static int look_at_setting(struct inquiry *q, const struct subject *s, const char *setting,
			   const char *kid)
{
	const bool linked = strcmp(setting, "linked") == 0;
	const bool secondary = strcmp(setting, "secondary") == 0;
	const struct key_fact *fact;

	if (kid && q->key.kid)
		closest_key_offer(&q->closest, q->key.kid, kid);
	if (!kid || key_name_rules_out(&q->key, kid, linked))
		return 0;
	if (key_name_is_of(&q->key, kid, NULL))
		return note_setting(q, s, setting, kid);
	fact = key_facts_ask(&q->facts, &s->asker, kid, secondary ? s->slot : NULL);
	if (!fact)
		return -ENOMEM;
	if (fact->verdict != VAULT_GRANTED)
		return note_unknown_setting(q, s, setting, kid, &fact->error);
	return key_name_is_of(&q->key, fact->key.kid, fact->key.thumbprint)
		       ? note_setting(q, s, setting, kid)
		       : 0;
}

static int look_at_settings(struct inquiry *q, const struct subject *s)
{
	const char *at = s->linked;
	char kid[KID_MAX + 1];
	int r = look_at_setting(q, s, "protector", s->protector);

	if (r == 0)
		r = look_at_setting(q, s, "secondary", s->secondary);
	while (r == 0 && at && settings_next_linked(&at, kid))
		r = look_at_setting(q, s, "linked", kid);
	return r;
}

static struct subject subject_of(const struct settings *s, const char *volume)
{
	return (struct subject){ .asker = { s, volume },
				 .protector = s->protector,
				 .secondary = s->secondary,
				 .linked = s->linked };
}

static int look_at_volume(struct inquiry *q, const struct survey_header *h)
{
	struct subject s = subject_of(&h->volume->settings, h->volume->name);

	s.slot = h->nslots ? &h->slots[0] : NULL;
	return look_at_settings(q, &s);
}

static const char *unless_same(const char *text, const char *other)
{
	return text && other && strcmp(text, other) == 0 ? NULL : text;
}

/* By it copies are rewrapped, and volumes made. What a volume took over was told of that. */
static int look_at_server(struct inquiry *q)
{
	const struct config *c = q->call->config;
	struct subject s = subject_of(&c->server, NULL);

	for (size_t i = 0; i < c->nvolumes; i++) {
		const struct settings *of = &c->volumes[i].settings;

		s.protector = unless_same(s.protector, of->protector);
		s.secondary = unless_same(s.secondary, of->secondary);
		s.linked = unless_same(s.linked, of->linked);
	}
	return look_at_settings(q, &s);
}

static int look(struct inquiry *q)
{
	int r = q->depends && q->unknown ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < q->survey.count; i++) {
		r = look_at_header(q, &q->survey.headers[i]);
		if (r == 0 && q->survey.headers[i].volume)
			r = look_at_volume(q, &q->survey.headers[i]);
	}
	if (r == 0)
		r = look_at_server(q);
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
		printf("  %s = %s of %s%s\n", text_of(d, "setting"), text_of(d, "kid"),
		       text_of(d, "volume")[0] ? "volume " : "[server]", text_of(d, "volume"));
	else
		printf("  %s: %s slot, %s, since %s\n", text_of(d, "path"), text_of(d, "slot"),
		       text_of(d, "kid"), time_text(since, when));
}

static void print_answer(const struct inquiry *q, bool safe)
{
	const json_t *entry;
	size_t i;

	printf("%s to disable: %s\n", safe ? "safe" : "NOT safe", q->call->args[0]);
	if (safe)
		printf("  no volume, header or setting that was found names this key\n");
	if (safe && q->closest.text)
		printf("  the closest that one of them names: %s\n", q->closest.text);
	if (json_array_size(q->depends))
		puts("needed by");
	json_array_foreach(q->depends, i, entry) print_dependent(entry);
	json_array_foreach(q->unknown, i, entry)
		printf("NOT KNOWN %s: %s\n  next: %s\n", text_of(entry, "what"),
		       text_of(entry, "why"), text_of(entry, "next"));
	if (json_array_size(q->depends))
		puts("  next: tdefsctl rotate NAME --retire, tdefsctl rewrap DIR --to KID "
		     "--retire; "
		     "files of\n        headers, and kept ones (.tdefs/header*.kept-*): remove "
		     "them; "
		     "settings: tdefsctl unlink");
	survey_print_searched(&q->survey);
}

static int answer(const struct inquiry *q)
{
	const bool safe = !json_array_size(q->depends) && !json_array_size(q->unknown) &&
			  q->survey.nmissed == 0;
	const int code = safe ? EXIT_CODE_DONE : EXIT_CODE_FAILED;

	if (q->call->json)
		return print_json(
			json_pack("{s:o, s:b, s:o, s:O, s:O, s:o, s:o}", "key",
				  text_json(q->call->args[0]), "safe", (int)safe, "closest",
				  q->closest.text ? text_json(q->closest.text) : json_null(),
				  "depends", q->depends, "unknown", q->unknown, "not_searched",
				  survey_missed_json(&q->survey), "searched",
				  survey_searched_json(&q->survey)),
			code);
	print_answer(q, safe);
	return code;
}

int verb_safe_to_disable(struct call *call)
{
	struct inquiry q = { .call = call, .facts = { .call = call, .verb = "safe-to-disable" } };
	int code;

	if (key_name_parse(call->args[0], &q.key) < 0)
		return usage_error(call, "give a key identifier, with or without a version, or a "
					 "thumbprint of 64 hexadecimal digits");
	q.depends = json_array();
	q.unknown = json_array();
	code = survey_take(call, &q.survey) < 0 || look(&q) < 0 ? call_failed(call) : answer(&q);
	json_decref(q.depends);
	json_decref(q.unknown);
	key_facts_release(&q.facts);
	survey_release(&q.survey);
	closest_key_release(&q.closest);
	return code;
}
