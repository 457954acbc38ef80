/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl sync, freeze, thaw: a mounted volume's backing, made ready to be copied. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "tdefs/volume_freeze.h"

static const json_t *freeze_of(const json_t *status)
{
	return json_object_get(status, "freeze");
}

static bool is_busy(const json_t *status)
{
	return json_is_true(json_object_get(freeze_of(status), "busy"));
}

static bool is_at_work(const json_t *status)
{
	return json_is_true(json_object_get(freeze_of(status), "working"));
}

static int another_came(struct call *call)
{
	errmsg_next(&call->err, "try again, and see tdefsctl events %s", call->args[0]);
	(void)errmsg_fail(&call->err, -EAGAIN, EXIT_CODE_TRY_AGAIN,
			  "volume %s: another sync or freeze came after this one", call->args[0]);
	return call_failed(call);
}

static int not_done(struct call *call, const json_t *freeze)
{
	errmsg_next(&call->err, "%s", text_at(freeze, "next"));
	(void)errmsg_fail(&call->err, -EIO,
			  (enum exit_code)json_integer_value(json_object_get(freeze, "exit_code")),
			  "%s", text_at(freeze, "error"));
	return call_failed(call);
}

/* It was, and was ended before anybody could begin with a snapshot. */
static int not_frozen_any_more(struct call *call, const json_t *freeze)
{
	errmsg_next(&call->err, "try again, and see tdefsctl events %s", call->args[0]);
	(void)errmsg_fail(&call->err, -EAGAIN, EXIT_CODE_TRY_AGAIN,
			  "volume %s: it is not frozen any more: ended by %s", call->args[0],
			  text_at(freeze, "ended_by"));
	return call_failed(call);
}

static int report(struct call *call, const json_t *freeze)
{
	const time_t until = (time_t)json_integer_value(json_object_get(freeze, "until"));
	char when[32];
	struct tm tm;

	if (call->json)
		return print_json(json_pack("{s:s, s:O, s:O, s:O}", "name", call->args[0], "at",
					    json_object_get(freeze, "at"), "frozen",
					    json_object_get(freeze, "frozen"), "until",
					    json_object_get(freeze, "until")),
				  EXIT_CODE_DONE);
	if (until && gmtime_r(&until, &tm) && strftime(when, sizeof(when), "%H:%M:%S UTC", &tm))
		printf("%s: frozen until %s, or tdefsctl thaw\n", call->args[0], when);
	else
		printf("%s: synced\n", call->args[0]);
	return EXIT_CODE_DONE;
}

/* What came of it: of ours, nobody else's. */
static int outcome(struct call *call, json_int_t number)
{
	CLEANUP_JSON json_t *status = NULL;
	const json_t *freeze;

	if (wait_while(call, is_busy) < 0 || call_look(call, &status) < 0)
		return call_failed(call);
	freeze = freeze_of(status);
	if (json_integer_value(json_object_get(freeze, "number")) != number)
		return another_came(call);
	if (text_at(freeze, "error")[0])
		return not_done(call, freeze);
	if (strcmp(text_at(freeze, "kind"), "freeze") == 0 &&
	    !json_is_true(json_object_get(freeze, "frozen")))
		return not_frozen_any_more(call, freeze);
	return report(call, freeze);
}

static int begin(struct call *call, json_t *request)
{
	CLEANUP_JSON json_t *asked = request;
	CLEANUP_JSON json_t *answer = NULL;

	if (call_ask(call, asked, &answer) < 0)
		return call_failed(call);
	return outcome(call, json_integer_value(json_object_get(answer, "number")));
}

int verb_sync(struct call *call)
{
	return begin(call, json_pack("{s:s}", "command", "sync"));
}

int verb_freeze(struct call *call)
{
	if (call->for_ms < 1000 || call->for_ms > FREEZE_MOST_MS)
		return usage_error(call, "freeze needs --for T, 1s to 5m");
	return begin(call, json_pack("{s:s, s:I}", "command", "freeze", "seconds",
				     (json_int_t)(call->for_ms / 1000)));
}

/* 0 only when it was frozen until now: else no snapshot of it is known to be of one moment. */
int verb_thaw(struct call *call)
{
	CLEANUP_JSON json_t *status = NULL;
	const json_t *freeze;

	if (call_tell(call, json_pack("{s:s}", "command", "thaw")) < 0 ||
	    wait_while(call, is_at_work) < 0 || call_look(call, &status) < 0)
		return call_failed(call);
	freeze = freeze_of(status);
	if (call->json)
		return print_json(json_pack("{s:s, s:O}", "name", call->args[0], "frozen_at",
					    json_object_get(freeze, "at")),
				  EXIT_CODE_DONE);
	printf("%s: thawed; it was frozen until now\n", call->args[0]);
	return EXIT_CODE_DONE;
}
