/* SPDX-License-Identifier: Apache-2.0 */
/* The "freeze" of a status: the last sync or freeze in this mount, and what came of it. */
#include "status.h"

json_t *status_freeze(const struct status_source *s)
{
	const struct freeze_view *v = &s->freeze;

	if (v->number == 0)
		return json_null();
	return json_pack("{s:I, s:s, s:b, s:b, s:b, s:o, s:o, s:I, s:o, s:o, s:o, s:i}", "number",
			 (json_int_t)v->number, "kind", v->freeze ? "freeze" : "sync", "working",
			 (int)v->working, "busy", (int)v->busy, "frozen", (int)v->frozen, "at",
			 status_time(v->at), "until", status_time(v->until), "held",
			 (json_int_t)v->held, "ended_by", status_text(freeze_end_name(v->ended)),
			 "error", status_text(v->message.text), "next",
			 status_text(v->message.next), "exit_code", (int)v->message.exit_code);
}
