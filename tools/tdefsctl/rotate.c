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
	return json_pack("{s:s, s:o, s:b, s:b, s:b}", "command", "rotate", "to", text_json(r->to),
			 "retire", (int)r->retire, "unpin", (int)r->unpin, "key_is_backed_up",
			 (int)r->key_is_backed_up);
}

/* What came of the rotation that we began; nobody else's. */
static int await_outcome(struct call *call, json_int_t number, json_t **ret_rotation)
{
	CLEANUP_JSON json_t *status = NULL;
	const json_t *rotation;
	int r = wait_while(call, is_rotating);

	if (r == 0)
		r = call_look(call, &status);
	if (r < 0)
		return r;
	rotation = rotation_of(status);
	if (json_integer_value(json_object_get(rotation, "number")) != number) {
		errmsg_next(&call->err, "see tdefsctl events %s", call->args[0]);
		return errmsg_fail(&call->err, -EAGAIN, EXIT_CODE_TRY_AGAIN,
				   "volume %s: another rotation came after this one",
				   call->args[0]);
	}
	if (text_at(rotation, "error")[0]) {
		errmsg_next(&call->err, "%s", text_at(rotation, "next"));
		return errmsg_fail(&call->err, -EIO,
				   (enum exit_code)json_integer_value(
					   json_object_get(rotation, "exit_code")),
				   "%s", text_at(rotation, "error"));
	}
	*ret_rotation = json_pack("{s:O, s:O, s:O, s:O, s:O}", "rotated",
				  json_object_get(rotation, "rotated"), "retired",
				  json_object_get(rotation, "retired"), "pinned",
				  json_object_get(rotation, "pinned"), "before",
				  json_object_get(rotation, "before"), "after",
				  json_object_get(rotation, "after"));
	return *ret_rotation ? 0
			     : errmsg_fail(&call->err, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
}

/* By this process: of what nobody has mounted, or to see what its daemon would do. */
static int rotate_offline(struct call *call, const struct rotation_request *request,
			  json_t **ret_rotation)
{
	struct target t;
	int r;

	call->err = (struct errmsg){ 0 };
	r = target_open(call, call->args[0], &t);
	if (r < 0)
		return r;
	r = rewrap_target(call, "rotate", &t, request, ret_rotation);
	target_close(&t);
	return r;
}

int rotate_volume(struct call *call, const struct rotation_request *request, json_t **ret_rotation)
{
	CLEANUP_JSON json_t *answer = NULL;
	CLEANUP_JSON json_t *asked = request_json(request);
	const struct volume_config *vc;
	int r = config_volume(call->config, call->args[0], &vc, &call->err);

	if (r < 0)
		return r;
	if (request->dry_run)
		return rotate_offline(call, request, ret_rotation);
	r = call_ask(call, asked, &answer);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return rotate_offline(call, request, ret_rotation);
	return r < 0 ? r
		     : await_outcome(call, json_integer_value(json_object_get(answer, "rotation")),
				     ret_rotation);
}

int verb_rotate(struct call *call)
{
	CLEANUP_JSON json_t *rotation = NULL;
	struct rotation_request request;

	if (rotation_request_of(call, &request) < 0)
		return call_failed(call);
	if (call->all)
		return rotate_all(call, &request);
	if (call->nargs == 0)
		return usage_error(call, "rotate takes a NAME or --all");
	if (rotate_volume(call, &request, &rotation) < 0)
		return call_failed(call);
	return rotation_report(call, rotation);
}
