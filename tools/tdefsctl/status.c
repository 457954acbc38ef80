/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl status */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tdefsctl.h"

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "?";
}

static json_int_t number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *when(json_int_t at, char out[static 32])
{
	time_t t = (time_t)at;
	struct tm tm;

	if (at == 0 || !gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		(void)snprintf(out, 32, "never");
	return out;
}

/* A line about what may come: nothing, when it will not come by itself. */
static void print_countdown(const json_t *access, const char *key, const char *what)
{
	json_t *seconds = json_object_get(access, key);

	if (json_is_integer(seconds) && json_integer_value(seconds) > 0)
		printf("  %-10s in %lld s unless the key is granted\n", what,
		       (long long)json_integer_value(seconds));
}

static void print_key_access(const json_t *access)
{
	const json_t *answer = json_object_get(access, "last_answer");
	const char *next = json_string_value(json_object_get(access, "next_step"));
	const char *error = json_string_value(json_object_get(answer, "error"));
	char text[32];

	if (json_is_object(answer))
		printf("  vault      %s at %s%s%s\n", text_of(answer, "class"),
		       when(number_of(answer, "at"), text), error ? ": " : "", error ? error : "");
	printf("  last grant %s\n", when(number_of(access, "last_grant"), text));
	if (json_is_true(json_object_get(access, "trouble"))) {
		print_countdown(access, "seconds_until_read_only", "read-only");
		print_countdown(access, "seconds_until_denied", "denied");
	}
	if (json_is_true(json_object_get(access, "state_not_kept")))
		puts("  warning    .tdefs/state cannot be written: a restart may forget this");
	if (next)
		printf("  next       %s\n", next);
}

static void print_state(const json_t *v)
{
	const json_t *reason;
	size_t i;

	printf("%s: %s", text_of(v, "name"), text_of(v, "state"));
	json_array_foreach(json_object_get(v, "reasons"), i, reason)
		printf("%s%s", i ? ", " : " (", json_string_value(reason));
	puts(json_array_size(json_object_get(v, "reasons")) ? ")" : "");
}

static void print_volume(const json_t *v)
{
	const json_t *protector = json_object_get(v, "protector");
	char since[32];

	print_state(v);
	if (!protector)
		return;
	print_key_access(json_object_get(v, "key_access"));
	printf("  mount      %s\n  backing    %s\n  since      %s\n  pid        %lld\n"
	       "  cache      %s\n  protector  %s\n  thumbprint %s\n  open files %lld\n",
	       text_of(v, "mount"), text_of(v, "backing"), when(number_of(v, "mounted_at"), since),
	       (long long)number_of(v, "pid"), text_of(v, "cache"), text_of(protector, "kid"),
	       text_of(protector, "thumbprint"), (long long)number_of(v, "open_files"));
	if (number_of(v, "latched_errors") > 0)
		printf("  errors     %lld write errors wait for an fsync to report them\n",
		       (long long)number_of(v, "latched_errors"));
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

static json_t *state_json(const struct volume_config *vc, const char *state)
{
	return json_pack("{s:i, s:s, s:s}", "schema", CONTROL_SCHEMA, "name", vc->name, "state",
			 state);
}

/* Its daemon could not be asked: to standard error, and into the answer. */
static json_t *unknown_status(struct call *call, const struct volume_config *vc, int r,
			      const json_t *answer)
{
	json_t *status = state_json(vc, "unknown"), *error;

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
		return state_json(vc, "not mounted");
	*ret_code = EXIT_CODE_FAILED;
	return unknown_status(call, vc, r, answer);
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
		int code;

		if (name && strcmp(vc->name, name) != 0)
			continue;
		if (json_array_append_new(volumes, ask(call, vc, &code)) < 0)
			code = EXIT_CODE_FAILED;
		worst = worse_exit_code(worst, code);
	}
	return worst;
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
	code = collect(call, name, volumes);
	if (call->json)
		return print_json(json_pack("{s:i, s:O}", "schema", CONTROL_SCHEMA, "volumes",
					    volumes),
				  code);
	json_array_foreach(volumes, i, v) print_volume(v);
	return code;
}
