/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl status */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "security.h"
#include "status.h"

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "?";
}

int state_exit_code(const char *state)
{
	static const struct {
		const char *state;
		int code;
	} codes[] = {
		{ "online", EXIT_CODE_DONE },
		{ "read-only", EXIT_CODE_READ_ONLY },
		{ "inaccessible", EXIT_CODE_INACCESSIBLE },
		{ "starting", EXIT_CODE_WAITING },
		{ "waiting", EXIT_CODE_WAITING },
	};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (strcmp(codes[i].state, state) == 0)
			return codes[i].code;
	return EXIT_CODE_FAILED;
}

json_t *status_of_state(const struct volume_config *vc, const char *state)
{
	return json_pack("{s:i, s:s, s:s}", "schema", CONTROL_SCHEMA, "name", vc->name, "state",
			 state);
}

/* Its daemon could not be asked: to standard error, and into the answer. */
static json_t *unknown_status(struct call *call, const struct volume_config *vc, int r,
			      const json_t *answer)
{
	json_t *status = status_of_state(vc, "unknown"), *error;

	errmsg_next(&call->err, r == -EACCES ? "be root or in the group " CONTROL_GROUP
					     : "see the daemon's log");
	(void)errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "volume %s: cannot ask its daemon: %s",
			  vc->name, r < 0 ? errno_text(r) : text_of(answer, "error"));
	error = error_json(call);
	(void)errmsg_print(&call->err, PROGRAM);
	if (status && error && json_object_update(status, error) < 0) {
		json_decref(status);
		status = NULL;
	}
	json_decref(error);
	return status;
}

/* What keeps it from being mounted, as far as can be seen without its key; NULL: nothing, or nobody knows. */
static json_t *obstacle(struct call *call, const struct volume_config *vc)
{
	json_t *what;
	struct target t;
	struct stat st;

	/* A daemon that was killed leaves its mount: whoever looks into it gets ENOTCONN. */
	if (stat(vc->mount, &st) < 0 && errno == ENOTCONN)
		return json_sprintf(
			"tdefs unmount %s: its daemon is gone, and its dead mount is in the way",
			vc->name);
	if (geteuid() != 0)
		return NULL;
	if (target_open(call, vc->name, &t) == 0) {
		target_close(&t);
		return NULL;
	}
	text_escape_message(&call->err);
	what = json_sprintf("%s (%s)", call->err.next, call->err.text);
	memset(&call->err, 0, sizeof(call->err));
	return what;
}

static json_t *not_mounted_status(struct call *call, const struct volume_config *vc)
{
	json_t *status = status_of_state(vc, "not mounted");
	json_t *next = obstacle(call, vc);

	if (status && next)
		IGNORE_RESULT(json_object_set(status, "next_step", next),
			      "left out without memory");
	json_decref(next);
	return status;
}

/* One volume's status (NULL: no memory), and the exit code that it means. */
static json_t *ask(struct call *call, const struct volume_config *vc, int *ret_code)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "status");
	CLEANUP_JSON json_t *answer = NULL;
	int r = request ? control_call(call->config->runtime_dir, vc->name, request, &answer)
			: -ENOMEM;

	if (r == 0 && !json_object_get(answer, "error")) {
		*ret_code = state_exit_code(text_of(answer, "target"));
		return TAKE_PTR(answer);
	}
	*ret_code = EXIT_CODE_NOT_MOUNTED;
	if (r == -ENOENT || r == -ECONNREFUSED)
		return not_mounted_status(call, vc);
	*ret_code = EXIT_CODE_FAILED;
	return unknown_status(call, vc, r, answer);
}

/* Into the status of a volume that has a daemon. */
static int add_security(const struct volume_config *vc, json_t *status)
{
	if (!json_object_get(status, "pid"))
		return 0;
	return json_object_set_new(status, "security", security_of(vc, status));
}

int worse_exit_code(int a, int b)
{
	if (a == EXIT_CODE_FAILED || b == EXIT_CODE_FAILED)
		return EXIT_CODE_FAILED;
	return a > b ? a : b;
}

static int collect(struct call *call, const char *name, json_t *volumes)
{
	int worst = EXIT_CODE_DONE;

	for (size_t i = 0; i < call->config->nvolumes; i++) {
		const struct volume_config *vc = &call->config->volumes[i];
		json_t *status;
		int code;

		if (name && strcmp(vc->name, name) != 0)
			continue;
		status = ask(call, vc, &code);
		if ((call->security && add_security(vc, status) < 0) ||
		    json_array_append(volumes, status) < 0)
			code = EXIT_CODE_FAILED;
		json_decref(status);
		worst = worse_exit_code(worst, code);
	}
	return worst;
}

static void print(const struct call *call, const json_t *volume)
{
	if (!call->security) {
		status_print(stdout, volume);
		return;
	}
	status_print_head(stdout, volume);
	putchar('\n');
	security_print(stdout, json_object_get(volume, "security"));
}

int verb_status(struct call *call)
{
	const char *name = call->nargs ? call->args[0] : NULL;
	CLEANUP_JSON json_t *volumes = json_array();
	const struct volume_config *vc;
	json_t *v;
	size_t i;
	int code;

	if (name && config_volume(call->config, name, &vc, &call->err) < 0)
		return call_failed(call);
	if (call->watch && !name)
		return usage_error(call, "--watch needs a NAME");
	if (call->watch && call->security)
		return usage_error(call, "--security is looked at once, not watched");
	if (call->watch)
		return status_watch(call, vc);
	code = collect(call, name, volumes);
	if (call->json)
		return print_json(json_pack("{s:O}", "volumes", volumes), code);
	json_array_foreach(volumes, i, v) print(call, v);
	return code;
}
