/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and their answers. Knows no sockets. */
#include <errno.h>
#include <string.h>

#include "status.h"
#include "tdefs/volume_event.h"
#include "tdefs/volume_freeze.h"
#include "tdefs/volume_rotate.h"

static json_t *error_answer(const char *text)
{
	return json_pack("{s:i, s:s}", "schema", CONTROL_SCHEMA, "error", text);
}

/* One that says what comes next, and what it is to whoever asked. */
static json_t *refusal(const char *text, const char *next, enum exit_code code)
{
	return json_pack("{s:i, s:s, s:s, s:i}", "schema", CONTROL_SCHEMA, "error", text, "next",
			 next, "exit_code", (int)code);
}

static json_t *told(struct errmsg *err)
{
	text_escape_message(err);
	return refusal(err->text, err->next, err->exit_code);
}

static json_t *answer_status(const struct control_context *context, const json_t *request)
{
	(void)request;
	return control_status(context);
}

static json_t *answer_metrics(const struct control_context *context, const json_t *request)
{
	CLEANUP_FREE char *text = control_metrics(context);

	(void)request;
	return text ? json_pack("{s:i, s:s}", "schema", CONTROL_SCHEMA, "metrics", text)
		    : error_answer("no memory for the metrics");
}

static json_t *done_answer(void)
{
	return json_pack("{s:i, s:b}", "schema", CONTROL_SCHEMA, "done", 1);
}

static json_t *command(const struct control_context *context, const struct guard_event *event)
{
	int r = guard_runner_command(volume_guard(context->volume), event);

	if (r == -EAGAIN)
		return refusal("another command is at work", "try again", EXIT_CODE_TRY_AGAIN);
	return r < 0 ? error_answer(errno_text(r)) : done_answer();
}

static json_t *answer_lock(const struct control_context *context, const json_t *request)
{
	(void)request;
	return command(context, &(struct guard_event){ .kind = GUARD_LOCK });
}

static json_t *answer_resume(const struct control_context *context, const json_t *request)
{
	(void)request;
	return command(context, &(struct guard_event){ .kind = GUARD_RESUME });
}

/* How long, in seconds; 0: not said, or no number. */
static uint64_t asked_ms(const json_t *request)
{
	json_int_t seconds = json_integer_value(json_object_get(request, "seconds"));

	return seconds > 0 && seconds < 100000000 ? (uint64_t)seconds * 1000 : 0;
}

static json_t *answer_extend(const struct control_context *context, const json_t *request)
{
	const struct guard_policy p = guard_runner_policy(volume_guard(context->volume));
	struct guard_event e = { .kind = GUARD_EXTEND, .for_ms = asked_ms(request) };

	if (e.for_ms == 0)
		return error_answer("extend needs \"seconds\"");
	if (e.for_ms > p.outage_extend_max_ms)
		return refusal(p.outage_extend_max_ms
				       ? "longer than outage_extend_max allows"
				       : "outage_extend_max is 0: nothing may be extended",
			       "ask for less, or set \"outage_extend_max\" and reload",
			       EXIT_CODE_FAILED);
	return command(context, &e);
}

static json_t *answer_drill(const struct control_context *context, const json_t *request)
{
	const char *kind = json_string_value(json_object_get(request, "kind"));
	struct guard_event e = { .kind = GUARD_DRILL_BEGIN, .for_ms = asked_ms(request) };

	if (kind && strcmp(kind, "end") == 0)
		return command(context, &(struct guard_event){ .kind = GUARD_DRILL_END });
	if (kind && strcmp(kind, "outage") == 0)
		e.drill = GUARD_DRILL_OUTAGE;
	else if (kind && strcmp(kind, "denial") == 0)
		e.drill = GUARD_DRILL_DENIAL;
	else
		return error_answer("drill needs \"kind\": outage, denial or end");
	if (e.for_ms == 0 || e.for_ms > GUARD_DRILL_MAX_MS)
		return error_answer("drill needs \"seconds\", 1 to 300");
	return command(context, &e);
}

static json_t *answer_reload(const struct control_context *context, const json_t *request)
{
	struct config_changes changes;
	struct errmsg err = { 0 };

	(void)request;
	if (volume_reload(context->volume, &changes, &err) < 0)
		return told(&err);
	return json_pack("{s:i, s:s}", "schema", CONTROL_SCHEMA, "taken", changes.live);
}

static json_t *answer_rotate(const struct control_context *context, const json_t *request)
{
	const char *to = json_string_value(json_object_get(request, "to"));
	struct rotation_request r = {
		.retire = json_is_true(json_object_get(request, "retire")),
		.unpin = json_is_true(json_object_get(request, "unpin")),
		.key_is_backed_up = json_is_true(json_object_get(request, "key_is_backed_up")),
	};
	struct errmsg err = { 0 };
	uint64_t number;

	if (to && strlen(to) >= sizeof(r.to))
		return error_answer("rotate: \"to\" is too long");
	if (to)
		memcpy(r.to, to, strlen(to) + 1);
	if (text_unescape(r.to) < 0)
		return error_answer("rotate: \"to\" is no text");
	if (volume_rotate(context->volume, &r, &number, &err) < 0)
		return told(&err);
	return json_pack("{s:i, s:I}", "schema", CONTROL_SCHEMA, "rotation", (json_int_t)number);
}

static json_t *sync_volume(const struct control_context *context, uint64_t freeze_ms)
{
	struct errmsg err = { 0 };
	uint64_t number;

	if (volume_sync(context->volume, freeze_ms, &number, &err) < 0)
		return told(&err);
	return json_pack("{s:i, s:I}", "schema", CONTROL_SCHEMA, "number", (json_int_t)number);
}

static json_t *answer_sync(const struct control_context *context, const json_t *request)
{
	(void)request;
	return sync_volume(context, 0);
}

static json_t *answer_freeze(const struct control_context *context, const json_t *request)
{
	const uint64_t for_ms = asked_ms(request);

	if (for_ms == 0 || for_ms > FREEZE_MOST_MS)
		return error_answer("freeze needs \"seconds\", 1 to 300");
	return sync_volume(context, for_ms);
}

static json_t *answer_thaw(const struct control_context *context, const json_t *request)
{
	const char *kind = json_string_value(json_object_get(request, "kind"));
	const bool unmount = kind && strcmp(kind, "unmount") == 0;
	struct errmsg err = { 0 };

	if (volume_thaw(context->volume, unmount ? FREEZE_UNMOUNT : FREEZE_THAWED, &err) < 0)
		return told(&err);
	return done_answer();
}

static json_t *answer_recheck(const struct control_context *context, const json_t *request)
{
	const char *text = json_string_value(json_object_get(request, "path"));
	CLEANUP_FREE char *path = text ? strdup(text) : NULL;
	enum file_verdict verdict;
	int r;

	if (!path || !*path || text_unescape(path) < 0)
		return error_answer("recheck needs \"path\", relative to the volume's root");
	r = store_check_path(volume_store(context->volume), path, &verdict);
	if (r < 0)
		return error_answer(errno_text(r));
	return json_pack("{s:i, s:b, s:s}", "schema", CONTROL_SCHEMA, "good",
			 file_verdict_is_good(verdict), "verdict", file_verdict_text(verdict));
}

/* Who may ask what: `anyone` is the socket's group, by its file mode. */
static const struct command {
	const char *name;
	bool anyone;
	json_t *(*answer)(const struct control_context *context, const json_t *request);
} commands[] = {
	{ "status", true, answer_status },    { "metrics", true, answer_metrics },
	{ "recheck", false, answer_recheck }, { "lock", false, answer_lock },
	{ "resume", false, answer_resume },   { "extend", false, answer_extend },
	{ "drill", false, answer_drill },     { "reload", false, answer_reload },
	{ "rotate", false, answer_rotate },   { "sync", false, answer_sync },
	{ "freeze", false, answer_freeze },   { "thaw", false, answer_thaw },
};

/* What anyone may ask, and what changes nothing, is not: it could fill the event log. */
static bool is_recorded(const struct command *command)
{
	return !command->anyone && command->answer != answer_recheck;
}

static json_t *answer_recorded(const struct control_context *context, const json_t *request,
			       const struct command *command, uid_t uid)
{
	const struct volume_command event = {
		.name = command->name,
		.uid = uid,
		.kind = json_string_value(json_object_get(request, "kind")),
		.seconds = asked_ms(request) / 1000,
	};
	const char *error;
	json_t *answer;

	volume_event_command(context->volume, &event);
	answer = command->answer(context, request);
	error = json_string_value(json_object_get(answer, "error"));
	if (error)
		volume_event_command_refused(context->volume, &event, error);
	return answer;
}

static json_t *dispatch(const struct control_context *context, const json_t *request, uid_t uid)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	for (size_t i = 0; name && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (uid != 0 && !commands[i].anyone)
			return refusal("only root may ask this", "be root", EXIT_CODE_FAILED);
		return is_recorded(&commands[i])
			       ? answer_recorded(context, request, &commands[i], uid)
			       : commands[i].answer(context, request);
	}
	return error_answer("no such command");
}

char *control_answer(const struct control_context *context, const char *request, size_t len,
		     uid_t uid)
{
	json_error_t error;
	CLEANUP_JSON
	json_t *parsed = json_loadb(request, len, JSON_REJECT_DUPLICATES, &error);
	CLEANUP_JSON
	json_t *answer = json_is_object(parsed) ? dispatch(context, parsed, uid)
						: error_answer("not a JSON object");

	return answer ? json_dumps(answer, JSON_COMPACT) : NULL;
}
