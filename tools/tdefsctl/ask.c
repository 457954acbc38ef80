/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the daemon of the volume that a verb is about. */
#include "ask.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What a daemon refuses. A message of its own may begin with the volume. */
static int refused(struct call *call, const json_t *answer, const char *error)
{
	const char *next = json_string_value(json_object_get(answer, "next"));
	const json_int_t code = json_integer_value(json_object_get(answer, "exit_code"));
	const bool named = strncmp(error, "volume ", strlen("volume ")) == 0;

	if (next)
		errmsg_next(&call->err, "%s", next);
	return errmsg_fail(&call->err, -EPERM,
			   code > EXIT_CODE_DONE && code <= EXIT_CODE_TRY_AGAIN
				   ? (enum exit_code)code
				   : EXIT_CODE_FAILED,
			   "%s%s%s%s", named ? "" : "volume ", named ? "" : call->args[0],
			   named ? "" : ": ", error);
}

/* Hand a request to the volume's daemon; an error is in call->err. */
int call_ask(struct call *call, const json_t *request, json_t **ret_answer)
{
	const char *name = call->args[0], *error;
	const struct volume_config *vc;
	int r = config_volume(call->config, name, &vc, &call->err);

	if (r < 0)
		return r;
	r = request ? control_call(call->config->runtime_dir, name, request, ret_answer) : -ENOMEM;
	if (r == -ENOENT || r == -ECONNREFUSED) {
		errmsg_next(&call->err, "tdefs mount %s", name);
		return errmsg_fail(&call->err, r, EXIT_CODE_NOT_MOUNTED, "volume %s: not mounted",
				   name);
	}
	if (r == -EACCES)
		errmsg_next(&call->err, "be root");
	else
		errmsg_next(&call->err, "see tdefsctl status %s", name);
	if (r < 0)
		return errmsg_fail(&call->err, r, EXIT_CODE_FAILED,
				   "volume %s: cannot ask its daemon: %s", name, errno_text(r));
	error = json_string_value(json_object_get(*ret_answer, "error"));
	return error ? refused(call, *ret_answer, error) : 0;
}

int call_tell(struct call *call, json_t *request)
{
	CLEANUP_JSON json_t *taken = request;
	CLEANUP_JSON json_t *answer = NULL;

	return call_ask(call, taken, &answer);
}

int call_look(struct call *call, json_t **ret_status)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "status");

	return call_ask(call, request, ret_status);
}

const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

const json_t *key_access(const json_t *status)
{
	return json_object_get(status, "key_access");
}

void pause_briefly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = LOOK_AGAIN_MS * 1000000L }, NULL);
}

/* Until the daemon is no longer busy; at most so many looks. */
int look_while(struct call *call, bool (*busy)(const json_t *status), unsigned looks)
{
	for (;;) {
		CLEANUP_JSON json_t *status = NULL;
		int r = call_look(call, &status);

		if (r < 0 || !busy(status) || looks-- == 0)
			return r;
		pause_briefly();
	}
}

/* On a way down, or with a question to the vault. */
int wait_while(struct call *call, bool (*busy)(const json_t *status))
{
	return look_while(call, busy, UINT_MAX);
}

bool is_draining(const json_t *status)
{
	return strcmp(text_at(status, "state"), "draining") == 0;
}
