/* SPDX-License-Identifier: Apache-2.0 */
/* "hook" and "webhook" of a status: what became of the events they were to tell of. */
#include "status.h"

static json_t *outlet(const struct outlet_view *v)
{
	if (!v->on)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:b}", "sent",
			 (json_int_t)v->sent, "failed", (json_int_t)v->failed, "retried",
			 (json_int_t)v->retried, "dropped", (json_int_t)v->dropped, "waiting",
			 (json_int_t)v->waiting, "last_sent", status_time(v->sent_at), "error",
			 status_text(v->error), "error_at", status_time(v->error_at), "lost",
			 (int)v->lost);
}

json_t *status_hook(const struct status_source *s)
{
	return outlet(&s->hook);
}

json_t *status_webhook(const struct status_source *s)
{
	return outlet(&s->webhook);
}
