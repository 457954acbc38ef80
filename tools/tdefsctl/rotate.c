/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl rotate: another key for a volume, by its daemon if it is mounted. */
#include "rotate.h"

#include <errno.h>
#include <string.h>

#include "ask.h"

static const json_t *rotation_of(const json_t *status)
{
	return json_object_get(status, "rotation");
}

static bool is_rotating(const json_t *status)
{
	return json_is_true(json_object_get(rotation_of(status), "busy"));
}

static json_t *request_json(const struct rotation_request *r)
{
	return json_pack("{s:s, s:o, s:b, s:b}", "command", "rotate", "to", text_json(r->to),
			 "retire", (int)r->retire, "key_is_backed_up", (int)r->key_is_backed_up);
}

/* What came of the rotation that we began; nobody else's. */
static int outcome(struct call *call, json_int_t number)
{
	CLEANUP_JSON json_t *status = NULL;
	const json_t *rotation;

	if (wait_while(call, is_rotating) < 0 || call_look(call, &status) < 0)
		return call_failed(call);
	rotation = rotation_of(status);
	if (json_integer_value(json_object_get(rotation, "number")) != number) {
		errmsg_next(&call->err, "see tdefsctl events %s", call->args[0]);
		(void)errmsg_fail(&call->err, -EAGAIN, EXIT_CODE_TRY_AGAIN,
				  "volume %s: another rotation came after this one", call->args[0]);
		return call_failed(call);
	}
	if (!text_at(rotation, "error")[0])
		return rotation_report(call, rotation);
	errmsg_next(&call->err, "%s", text_at(rotation, "next"));
	(void)errmsg_fail(&call->err, -EIO,
			  (enum exit_code)json_integer_value(
				  json_object_get(rotation, "exit_code")),
			  "%s", text_at(rotation, "error"));
	return call_failed(call);
}

static int rotate_offline(struct call *call, const struct rotation_request *request)
{
	struct target t;
	int code;

	call->err = (struct errmsg){ 0 };
	if (target_open(call, call->args[0], &t) < 0)
		return call_failed(call);
	code = rewrap_target(call, "rotate", &t, request);
	target_close(&t);
	return code;
}

int verb_rotate(struct call *call)
{
	CLEANUP_JSON json_t *answer = NULL;
	CLEANUP_JSON json_t *asked = NULL;
	struct rotation_request request;
	int r;

	if (rotation_request_of(call, &request) < 0)
		return call_failed(call);
	asked = request_json(&request);
	r = call_ask(call, asked, &answer);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		const struct volume_config *vc;

		if (config_volume(call->config, call->args[0], &vc, &call->err) < 0)
			return call_failed(call);
		return rotate_offline(call, &request);
	}
	if (r < 0)
		return call_failed(call);
	return outcome(call, json_integer_value(json_object_get(answer, "rotation")));
}
