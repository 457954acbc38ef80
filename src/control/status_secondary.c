/* SPDX-License-Identifier: Apache-2.0 */
/* The "secondary" of a status: the second vault, and whether it would do. */
#include "status.h"

static json_t *configured(const struct status_source *s)
{
	return text_json(s->vc->settings.secondary);
}

static json_t *kid(const struct status_source *s)
{
	return status_text(s->secondary.kid);
}

static json_t *serving(const struct status_source *s)
{
	return json_boolean(s->view.guard.secondary_serves);
}

static json_t *last_answer(const struct status_source *s)
{
	const struct vault_report *r = &s->secondary.report;

	if (!s->secondary.answered)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "class", vault_verdict_name(r->verdict), "at",
			 status_time(s->secondary.report_at), "error", status_text(r->error.text),
			 "next", status_text(r->error.next), "request_id",
			 status_text(r->request_id));
}

static json_t *primary_error(const struct status_source *s)
{
	return status_text(s->secondary.primary_failed ? s->secondary.primary.text : "");
}

static json_t *ha_broken(const struct status_source *s)
{
	return json_boolean(s->secondary.ha_broken);
}

static json_t *reason(const struct status_source *s)
{
	return status_text(s->secondary.ha_broken ? s->secondary.reason.text : "");
}

static json_t *next(const struct status_source *s)
{
	return status_text(s->secondary.ha_broken ? s->secondary.reason.next : "");
}

static json_t *since(const struct status_source *s)
{
	return status_time(s->secondary.ha_broken ? s->secondary.broken_since : 0);
}

static json_t *proved_at(const struct status_source *s)
{
	return status_time(s->secondary.proved_at);
}

json_t *status_secondary(const struct status_source *s)
{
	static const struct status_fact facts[] = {
		{ "configured", configured },
		{ "kid", kid },
		{ "serving", serving },
		{ "last_answer", last_answer },
		{ "primary_error", primary_error },
		{ "ha_broken", ha_broken },
		{ "reason", reason },
		{ "next", next },
		{ "since", since },
		{ "proved_at", proved_at },
	};

	return s->has_secondary ? status_object(facts, ARRAY_SIZE(facts), s) : json_null();
}
