/* SPDX-License-Identifier: Apache-2.0 */
/* The "rotation" of a status: the last in this mount, and what came of it; and the "auto_rotation". */
#include "status.h"

#include "tdefs/bytes.h"

static json_t *key(const struct rotation_key *k)
{
	char thumbprint[HEX_LEN(THUMBPRINT_LEN)];

	if (!k->kid[0])
		return json_null();
	return json_pack("{s:o, s:s}", "kid", text_json(k->kid), "thumbprint",
			 hex_encode(k->thumbprint, THUMBPRINT_LEN, thumbprint));
}

json_t *status_rotation(const struct status_source *s)
{
	const struct rotation_view *v = &s->rotation;
	const struct rotation_outcome *o = &v->outcome;
	struct errmsg message = o->message;

	if (v->number == 0)
		return json_null();
	if (o->error == 0)
		message = (struct errmsg){ 0 };
	return json_pack("{s:I, s:s, s:b, s:o, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:i}", "number",
			 (json_int_t)v->number, "by", v->by_itself ? "auto_rotate" : "operator",
			 "busy", (int)v->busy, "at", status_time(v->at), "rotated", (int)o->rotated,
			 "retired", (int)o->retired, "pinned", (int)o->pinned, "before",
			 key(&o->before), "after", key(&o->after), "error",
			 status_text(message.text), "next", status_text(message.next), "exit_code",
			 (int)message.exit_code);
}

json_t *status_auto_rotation(const struct status_source *s)
{
	const struct auto_rotation_view *a = &s->by_itself;

	return json_pack("{s:b, s:o, s:b, s:b, s:I, s:o, s:o}", "enabled", (int)a->enabled, "at",
			 status_time(a->at), "held", (int)a->held, "left", (int)a->left, "failures",
			 (json_int_t)a->failures, "error", status_text(a->why.text), "next",
			 status_text(a->why.next));
}
