/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl lock, resume, extend, safe-to-restart: what a guard is told and asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"

#define LOOKS_FOR_DISK (10 * 1000 / LOOK_AGAIN_MS)

/* The volume's status after a command; the exit code is that of `expected`, or of what it is. */
static int report(struct call *call, const char *expected)
{
	CLEANUP_JSON json_t *status = NULL;
	const char *state, *next;
	int code;

	if (call_look(call, &status) < 0)
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

	if (call_tell(call, json_pack("{s:s}", "command", "lock")) < 0 ||
	    wait_while(call, is_draining) < 0 ||
	    look_while(call, is_being_kept, LOOKS_FOR_DISK) < 0 || call_look(call, &status) < 0)
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

/* Nothing but a grant brings it back: say who did not give it. */
static void explain_resume(const struct call *call, const json_t *status)
{
	const json_t *answer = json_object_get(key_access(status), "last_answer");
	const json_t *vault = json_object_get(key_access(status), "vault");

	if (strcmp(text_at(status, "target"), "online") != 0 && text_at(answer, "error")[0])
		fprintf(stderr, PROGRAM ": volume %s: not resumed: vault %s: %s\n", call->args[0],
			text_at(vault, "address"), text_at(answer, "error"));
}

int verb_resume(struct call *call)
{
	CLEANUP_JSON json_t *status = NULL;

	if (call_tell(call, json_pack("{s:s}", "command", "resume")) < 0 ||
	    wait_while(call, is_resuming) < 0 || call_look(call, &status) < 0)
		return call_failed(call);
	explain_resume(call, status);
	return report(call, "online");
}

int verb_extend(struct call *call)
{
	if (call->for_ms == 0)
		return usage_error(call, "extend needs --for T");
	if (call_tell(call, json_pack("{s:s, s:I}", "command", "extend", "seconds",
				      (json_int_t)(call->for_ms / 1000))) < 0)
		return call_failed(call);
	return report(call, "online");
}

/* A restart drops the DEK: only a vault that grants it now gives it back. */
int verb_safe_to_restart(struct call *call)
{
	CLEANUP_JSON json_t *status = NULL;
	const char *verdict, *state;

	if (call_look(call, &status) < 0)
		return call_failed(call);
	verdict = text_at(json_object_get(key_access(status), "last_answer"), "class");
	state = text_at(status, "state");
	if (strcmp(verdict, "granted") == 0 && strcmp(state, "online") == 0) {
		if (call->json)
			return print_json(TAKE_PTR(status), EXIT_CODE_DONE);
		printf("%s: safe to restart\n", call->args[0]);
		return EXIT_CODE_DONE;
	}
	errmsg_next(&call->err, "do not restart; see tdefsctl status %s", call->args[0]);
	(void)errmsg_fail(&call->err, -ENOKEY, EXIT_CODE_TRY_AGAIN,
			  "volume %s: not safe to restart: it is %s, and the vault's last answer "
			  "was: %s",
			  call->args[0], state, verdict[0] ? verdict : "none");
	return call_failed(call);
}
