/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl lock, resume, extend, safe-to-restart: what a guard is told and asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "tdefs/secret.h"

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

/* It is online by the vault's last answer: else a restart takes away what there is. */
static int check_online(struct call *call, const json_t *status)
{
	const char *verdict = text_at(json_object_get(key_access(status), "last_answer"), "class");
	const char *state = text_at(status, "state");

	if (strcmp(verdict, "granted") == 0 && strcmp(state, "online") == 0)
		return 0;
	errmsg_next(&call->err, "do not restart; see tdefsctl status %s", call->args[0]);
	return errmsg_fail(&call->err, -ENOKEY, EXIT_CODE_TRY_AGAIN,
			   "volume %s: not safe to restart: it is %s, and the vault's last answer "
			   "was: %s",
			   call->args[0], state, verdict[0] ? verdict : "none");
}

/* Where it is, and of what, as tdefs.conf says by now. */
static int check_place(struct call *call, const json_t *status, const struct volume_config *vc)
{
	const struct {
		const char *key, *value;
	} places[] = { { "backing", vc->backing }, { "mount", vc->mount } };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const char *now = text_at(status, places[i].key);

		if (strcmp(now, places[i].value) == 0)
			continue;
		errmsg_next(&call->err, "put \"%s = %s\" back in %s, or restart it knowingly",
			    places[i].key, now, call->config->path);
		return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG,
				   "volume %s: not safe to restart: its %s is %s, but %s says %s",
				   vc->name, places[i].key, now, call->config->path,
				   places[i].value);
	}
	return 0;
}

/* The DEK by the volume's own settings and secrets as they are by now, as the next mount gets it. */
static int check_key(struct call *call)
{
	CLEANUP_SECRET struct secret *dek = NULL;
	struct target t;
	int r = target_open(call, call->args[0], &t);

	if (r < 0)
		return r;
	secret_lock_memory(t.volume->settings.lock_memory);
	const struct vault_watch watch =
		call_watch(call, "safe-to-restart", t.label, t.volume->name);

	r = volume_dek_by(&t.volume->settings, &watch, &t.header.header, &dek, &call->err);
	target_close(&t);
	return r;
}

static int check_root(struct call *call)
{
	if (geteuid() == 0)
		return 0;
	errmsg_next(&call->err, "run it as root");
	return errmsg_fail(&call->err, -EPERM, EXIT_CODE_FAILED,
			   "volume %s: only root can read what the next mount would read",
			   call->args[0]);
}

/* A restart drops the DEK: only a mount that would get it again is safe. */
int verb_safe_to_restart(struct call *call)
{
	CLEANUP_JSON json_t *status = NULL;
	const struct volume_config *vc;

	if (check_root(call) < 0 ||
	    config_volume(call->config, call->args[0], &vc, &call->err) < 0 ||
	    call_look(call, &status) < 0 || check_online(call, status) < 0 ||
	    check_place(call, status, vc) < 0 || check_key(call) < 0)
		return call_failed(call);
	if (call->json)
		return print_json(TAKE_PTR(status), EXIT_CODE_DONE);
	printf("%s: safe to restart\n", call->args[0]);
	return EXIT_CODE_DONE;
}
