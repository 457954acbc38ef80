/* SPDX-License-Identifier: Apache-2.0 */
/* The "key_access" of a status: what the vault said, and what comes of it. */
#include "status.h"

#include <time.h>

/* null: never, by itself. */
static json_t *seconds(uint64_t ms)
{
	return ms == GUARD_NEVER ? json_null() : json_integer((json_int_t)((ms + 999) / 1000));
}

/* What the last answer of the vault was. */
static json_t *last_answer(const struct status_source *s)
{
	const struct vault_report *r = &s->view.report;

	if (!s->view.answered)
		return json_null();
	return json_pack("{s:s, s:o, s:I, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:b}", "class",
			 vault_verdict_name(r->verdict), "at", status_time(s->view.report_at),
			 "latency_ms", (json_int_t)volume_probe_ms(s->context->volume), "error",
			 status_text(r->error.text), "next", status_text(r->error.next),
			 "http_status", r->http_status, "code", status_text(r->code), "inner_code",
			 status_text(r->inner_code), "message", status_text(r->message),
			 "request_id", status_text(r->request_id), "network_info",
			 status_text(r->network_info), "credential_alarm",
			 (int)r->credential_alarm);
}

/* The vault in use: where the last grant came from. */
static json_t *vault(const struct status_source *s)
{
	const char *kid = s->view.guard.secondary_serves
				  ? s->vc->settings.secondary
				  : volume_header_active_slot(&s->header)->kid;
	char address[KID_VAULT_MAX];
	struct kid parsed;

	return json_pack("{s:o, s:s}", "address",
			 text_json(kid_parse(kid, &parsed) == 0 ? kid_vault(&parsed, address)
								: kid),
			 "serving", s->view.guard.secondary_serves ? "secondary" : "primary");
}

static json_t *identity(const struct status_source *s)
{
	struct vault_identity id;

	volume_describe_vault(s->context->volume, &id);
	return json_pack("{s:s, s:o, s:o, s:o}", "kind", id.kind, "tenant", status_text(id.tenant),
			 "client_id", status_text(id.client_id), "token_until",
			 status_time(id.token_until));
}

static json_t *last_grant(const struct status_source *s)
{
	return status_time(s->view.guard.granted_at);
}

static json_t *trouble(const struct status_source *s)
{
	const struct guard *g = &s->view.guard;

	return json_boolean(g->silent_ms || g->denials || g->reasons & GUARD_DENIED);
}

/* When the first answer came that was no grant; wall clock. */
static json_t *trouble_since(const struct status_source *s)
{
	const struct guard *g = &s->view.guard;
	uint64_t since = g->denials || g->reasons & GUARD_DENIED ? g->denied_at : 0;
	uint64_t silent =
		g->silent_ms ? (uint64_t)time(NULL) - (s->view.now_ms - g->silent_ms) / 1000 : 0;

	return status_time(silent && (!since || silent < since) ? silent : since);
}

static json_t *seconds_until_read_only(const struct status_source *s)
{
	return seconds(guard_until_read_only(&s->view.policy, &s->view.guard, s->view.now_ms));
}

static json_t *seconds_until_denied(const struct status_source *s)
{
	return seconds(guard_until_denied(&s->view.policy, &s->view.guard, s->view.now_ms));
}

static json_t *cache_purged(const struct status_source *s)
{
	return json_boolean(s->view.guard.state == GUARD_INACCESSIBLE && s->view.cache_purged);
}

static json_t *resuming(const struct status_source *s)
{
	return json_boolean(s->view.resuming);
}

static json_t *state_not_kept(const struct status_source *s)
{
	return json_boolean(s->view.persist_failed);
}

static json_t *state_being_kept(const struct status_source *s)
{
	return json_boolean(s->view.persisting);
}

static json_t *refused(const struct status_source *s)
{
	return json_integer((json_int_t)atomic_load(&volume_gate(s->context->volume)->refused));
}

static json_t *next_step(const struct status_source *s)
{
	char next[CONTROL_NEXT_STEP_MAX];

	control_next_step(&s->view, s->vc, volume_header_active_slot(&s->header)->kid, next,
			  sizeof(next));
	return status_text(next);
}

static json_t *probes(const struct status_source *s)
{
	const uint64_t *n = s->view.probes;

	return json_pack("{s:I, s:I, s:I, s:I}", "granted", (json_int_t)n[VAULT_GRANTED], "denied",
			 (json_int_t)n[VAULT_DENIED], "unreachable",
			 (json_int_t)n[VAULT_UNREACHABLE], "broken", (json_int_t)n[VAULT_BROKEN]);
}

json_t *status_key_access(const struct status_source *s)
{
	static const struct status_fact facts[] = {
		{ "vault", vault },
		{ "identity", identity },
		{ "last_answer", last_answer },
		{ "last_grant", last_grant },
		{ "trouble", trouble },
		{ "trouble_since", trouble_since },
		{ "seconds_until_read_only", seconds_until_read_only },
		{ "seconds_until_denied", seconds_until_denied },
		{ "cache_purged", cache_purged },
		{ "resuming", resuming },
		{ "state_not_kept", state_not_kept },
		{ "refused", refused },
		{ "state_being_kept", state_being_kept },
		{ "next_step", next_step },
		{ "probes", probes },
	};

	return status_object(facts, ARRAY_SIZE(facts), s);
}
