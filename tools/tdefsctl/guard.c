/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl lock, resume, extend, drill, safe-to-restart: what a guard is told and asked. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tdefsctl.h"

#define LOOK_AGAIN_MS  50
#define LOOKS_FOR_DISK (10 * 1000 / LOOK_AGAIN_MS)

/* Hand a request to the volume's daemon; an error is in call->err. */
static int ask(struct call *call, const json_t *request, json_t **ret_answer)
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
	errmsg_next(&call->err, "see tdefsctl status %s", name);
	if (r < 0)
		return errmsg_fail(&call->err, r, EXIT_CODE_FAILED,
				   "volume %s: cannot ask its daemon: %s", name, errno_text(r));
	error = json_string_value(json_object_get(*ret_answer, "error"));
	return error ? errmsg_fail(&call->err, -EPERM, EXIT_CODE_FAILED, "volume %s: %s", name,
				   error)
		     : 0;
}

static int tell(struct call *call, json_t *request)
{
	CLEANUP_JSON json_t *taken = request;
	CLEANUP_JSON json_t *answer = NULL;

	return ask(call, taken, &answer);
}

static int look(struct call *call, json_t **ret_status)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "status");

	return ask(call, request, ret_status);
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static const json_t *key_access(const json_t *status)
{
	return json_object_get(status, "key_access");
}

/* The volume's status after a command; the exit code is that of `expected`, or of what it is. */
static int report(struct call *call, const char *expected)
{
	CLEANUP_JSON json_t *status = NULL;
	const char *state, *next;
	int code;

	if (look(call, &status) < 0)
		return call_failed(call);
	state = text_at(status, "target");
	next = text_at(key_access(status), "next_step");
	code = strcmp(state, expected) == 0 ? EXIT_CODE_DONE : state_exit_code(state);
	if (call->json)
		return print_json(TAKE_PTR(status), code);
	printf("%s: %s\n", call->args[0], state);
	if (code != EXIT_CODE_DONE && next[0])
		fprintf(stderr, "  next: %s\n", next);
	return code;
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = LOOK_AGAIN_MS * 1000000L }, NULL);
}

/* Until the daemon is no longer busy; at most so many looks. */
static int look_while(struct call *call, bool (*busy)(const json_t *status), unsigned looks)
{
	for (;;) {
		CLEANUP_JSON json_t *status = NULL;
		int r = look(call, &status);

		if (r < 0 || !busy(status) || looks-- == 0)
			return r;
		pause_briefly();
	}
}

/* On a way down, or with a question to the vault. */
static int wait_while(struct call *call, bool (*busy)(const json_t *status))
{
	return look_while(call, busy, UINT_MAX);
}

static bool is_draining(const json_t *status)
{
	return strcmp(text_at(status, "state"), "draining") == 0;
}

static bool is_being_kept(const json_t *status)
{
	return json_is_true(json_object_get(key_access(status), "state_being_kept"));
}

static bool is_kept(const json_t *status)
{
	return !is_being_kept(status) &&
	       !json_is_true(json_object_get(key_access(status), "state_not_kept"));
}

static bool is_resuming(const json_t *status)
{
	return json_is_true(json_object_get(key_access(status), "resuming"));
}

int verb_lock(struct call *call)
{
	CLEANUP_JSON json_t *status = NULL;

	if (tell(call, json_pack("{s:s}", "command", "lock")) < 0 ||
	    wait_while(call, is_draining) < 0 ||
	    look_while(call, is_being_kept, LOOKS_FOR_DISK) < 0 || look(call, &status) < 0)
		return call_failed(call);
	if (!is_kept(status)) {
		errmsg_next(&call->err, "look at the backing file system; it is tried again with "
					"every probe");
		(void)errmsg_fail(&call->err, -EIO, EXIT_CODE_FAILED,
				  "volume %s: locked, but a restart would not know: .tdefs/state "
				  "cannot be written",
				  call->args[0]);
		return call_failed(call);
	}
	return report(call, "inaccessible");
}

int verb_resume(struct call *call)
{
	if (tell(call, json_pack("{s:s}", "command", "resume")) < 0 ||
	    wait_while(call, is_resuming) < 0)
		return call_failed(call);
	return report(call, "online");
}

int verb_extend(struct call *call)
{
	if (call->for_ms == 0)
		return usage_error(call, "extend needs --for T");
	if (tell(call, json_pack("{s:s, s:I}", "command", "extend", "seconds",
				 (json_int_t)(call->for_ms / 1000))) < 0)
		return call_failed(call);
	return report(call, "online");
}

int verb_drill(struct call *call)
{
	const char *kind = call->outage ? "outage" : "denial";
	int code;

	if (call->outage == call->denial || call->for_ms == 0)
		return usage_error(call, "drill needs --outage or --denial, and --for T");
	if (!call_confirmed(call, "Engines on this volume may stop, as in a real loss. Go on?")) {
		errmsg_next(&call->err, "answer y, or give --yes");
		(void)errmsg_fail(&call->err, -ECANCELED, EXIT_CODE_FAILED, "drill: not confirmed");
		return call_failed(call);
	}
	if (tell(call, json_pack("{s:s, s:s, s:I}", "command", "drill", "kind", kind, "seconds",
				 (json_int_t)(call->for_ms / 1000))) < 0 ||
	    wait_while(call, is_draining) < 0)
		return call_failed(call);
	code = report(call, "online"); /* read-only or inaccessible is what was asked for */
	return code == EXIT_CODE_FAILED || code == EXIT_CODE_NOT_MOUNTED ? code : EXIT_CODE_DONE;
}

/* A restart drops the DEK: only a vault that grants it now gives it back. */
int verb_safe_to_restart(struct call *call)
{
	CLEANUP_JSON json_t *status = NULL;
	const char *verdict;

	if (look(call, &status) < 0)
		return call_failed(call);
	verdict = text_at(json_object_get(key_access(status), "last_answer"), "class");
	if (strcmp(verdict, "granted") == 0) {
		if (call->json)
			return print_json(TAKE_PTR(status), EXIT_CODE_DONE);
		printf("%s: safe to restart\n", call->args[0]);
		return EXIT_CODE_DONE;
	}
	errmsg_next(&call->err, "do not restart; see tdefsctl status %s", call->args[0]);
	(void)errmsg_fail(&call->err, -ENOKEY, EXIT_CODE_TRY_AGAIN,
			  "volume %s: not safe to restart: the vault's last answer was: %s",
			  call->args[0], verdict[0] ? verdict : "none");
	return call_failed(call);
}
