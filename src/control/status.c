/* SPDX-License-Identifier: Apache-2.0 */
/* A volume's status as JSON. Names are user-visible and stable. */
#include "status.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tdefs/bytes.h"

static json_t *counters_json(const struct counters *c)
{
	json_t *object = json_object();

	for (int i = 0; object && i < COUNTER_MAX; i++)
		if (json_object_set_new(object, counter_names[i],
					json_integer(
						(json_int_t)counter_read(c, (enum counter)i)))) {
			json_decref(object);
			return NULL;
		}
	return object;
}

static json_t *protector_json(const struct key_slot *slot)
{
	char thumbprint[HEX_LEN(32)];

	return json_pack("{s:o, s:s, s:I}", "kid", text_json(slot->kid), "thumbprint",
			 hex_encode(slot->thumbprint, 32, thumbprint), "slot_created",
			 (json_int_t)slot->created);
}

/* null: never, by itself. */
static json_t *seconds_json(uint64_t ms)
{
	return ms == GUARD_NEVER ? json_null() : json_integer((json_int_t)((ms + 999) / 1000));
}

static json_t *time_json(uint64_t at)
{
	return at ? json_integer((json_int_t)at) : json_null();
}

static json_t *text_or_null(const char *text)
{
	return text[0] ? text_json(text) : json_null();
}

/* What the last answer of the vault was. */
static json_t *answer_json(const struct guard_view *view)
{
	const struct vault_report *r = &view->report;

	if (!view->answered)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:b}", "class",
			 vault_verdict_name(r->verdict), "at", time_json(view->report_at), "error",
			 text_or_null(r->error.text), "next", text_or_null(r->error.next),
			 "http_status", r->http_status, "code", text_or_null(r->code), "inner_code",
			 text_or_null(r->inner_code), "message", text_or_null(r->message),
			 "request_id", text_or_null(r->request_id), "network_info",
			 text_or_null(r->network_info), "credential_alarm",
			 (int)r->credential_alarm);
}

static json_t *probes_json(const struct guard_view *view)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "granted", (json_int_t)view->probes[VAULT_GRANTED],
			 "denied", (json_int_t)view->probes[VAULT_DENIED], "unreachable",
			 (json_int_t)view->probes[VAULT_UNREACHABLE], "broken",
			 (json_int_t)view->probes[VAULT_BROKEN]);
}

static json_t *reasons_json(unsigned reasons)
{
	char text[64], *rest, *word;
	json_t *array = json_array();

	guard_reasons_text(reasons, text, sizeof(text));
	for (word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		IGNORE_RESULT(json_array_append_new(array, json_string(word)),
			      "without memory the answer is none");
	return array;
}

void control_next_step(const struct guard_view *view, const struct volume_config *vc, char *out,
		       size_t len)
{
	const struct guard *g = &view->guard;
	uint64_t heals_until = g->denied_at + vc->settings.guard.heal_window_ms / 1000;
	const char *fix = view->answered && view->report.verdict != VAULT_GRANTED
				  ? view->report.error.next
				  : "grant the key again";

	out[0] = '\0';
	if (g->reasons & GUARD_LOCKED)
		(void)snprintf(out, len, "tdefsctl resume %s, when it is to be used again",
			       vc->name);
	else if (g->reasons & GUARD_DENIED && view->report_at > heals_until)
		(void)snprintf(out, len,
			       "%s, then tdefsctl resume %s: the denial is too old to heal by "
			       "itself",
			       fix, vc->name);
	else if (g->reasons & GUARD_DENIED)
		(void)snprintf(out, len, "%s; then it heals by itself, or by tdefsctl resume %s",
			       fix, vc->name);
	else if (g->silent_ms || g->denials)
		(void)snprintf(out, len, "%s; then it heals by itself", fix);
	else if (g->reasons & GUARD_DRILL)
		(void)snprintf(out, len, "nothing: this is a drill, and it ends by itself");
}

static json_t *key_access_json(const struct guard_view *view, const struct volume_config *vc)
{
	const struct guard_policy *p = &vc->settings.guard;
	const struct guard *g = &view->guard;
	bool trouble = g->silent_ms || g->denials || g->reasons & GUARD_DENIED;
	char next[CONTROL_NEXT_STEP_MAX];

	control_next_step(view, vc, next, sizeof(next));
	return json_pack("{s:o, s:o, s:b, s:o, s:o, s:b, s:b, s:b, s:o, s:o}", "last_answer",
			 answer_json(view), "last_grant", time_json(g->granted_at), "trouble",
			 (int)trouble, "seconds_until_read_only",
			 seconds_json(guard_until_read_only(p, g, view->now_ms)),
			 "seconds_until_denied",
			 seconds_json(guard_until_denied(p, g, view->now_ms)), "cache_purged",
			 g->state == GUARD_INACCESSIBLE && view->cache_purged, "resuming",
			 (int)view->resuming, "state_not_kept", (int)view->persist_failed,
			 "next_step", text_or_null(next), "probes", probes_json(view));
}

json_t *control_status(const struct control_context *context)
{
	const struct volume_config *vc = volume_config(context->volume);
	const struct volume_header *h = volume_header(context->volume);
	const struct counters *c = volume_counters(context->volume);
	char uuid[UUID_TEXT_LEN];
	struct guard_view view;
	struct store_usage usage;
	uint64_t latched =
		counter_read(c, COUNTER_ERRORS_LATCHED) - counter_read(c, COUNTER_ERRORS_RELEASED);

	store_usage(volume_store(context->volume), &usage);
	guard_runner_view(volume_guard(context->volume), &view);
	return json_pack(
		"{s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:i, s:I, s:s, s:I, s:o, s:s, s:s, "
		"s:I, s:I, s:I, s:o}",
		"schema", CONTROL_SCHEMA, "name", vc->name, "state",
		guard_state_name(view.guard.state), "target", guard_state_name(view.guard.target),
		"reasons", reasons_json(view.guard.reasons), "key_access",
		key_access_json(&view, vc), "backing", text_json(vc->backing), "mount",
		text_json(vc->mount), "cache", cache_mode_name(vc->settings.cache), "pid",
		(int)getpid(), "mounted_at", (json_int_t)context->mounted_at, "uuid",
		uuid_format(h->uuid, uuid), "header_sequence", (json_int_t)h->sequence, "protector",
		protector_json(volume_header_active_slot(h)), "version", TDEFS_VERSION, "libfuse",
		context->libfuse, "nodes", (json_int_t)usage.nodes, "open_files",
		(json_int_t)usage.open_files, "latched_errors", (json_int_t)latched, "counters",
		counters_json(c));
}
