/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl drill: a loss is rehearsed on a live volume, and what was seen is told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "confirm.h"

#define STATES_MOST	 16
#define WAIT_FOR_MORE_MS 600000u /* after its end, for the way up */

/* What was seen, by the clock of this program. */
struct seen {
	uint64_t began_ms;
	struct reached {
		char state[16];
		uint64_t after_ms;
	} reached[STATES_MOST];
	size_t count;
	bool purged;
	uint64_t purged_ms;
	json_int_t refused_before, refused;
	bool back; /* the drill's own reason is gone, and the volume is online */
};

static bool drills(const json_t *status)
{
	const json_t *reasons = json_object_get(status, "reasons"), *reason;
	size_t i;

	json_array_foreach(reasons, i,
			   reason) if (strcmp(json_string_value(reason), "drill") == 0) return true;
	return false;
}

static json_int_t refused_of(const json_t *status)
{
	return json_integer_value(json_object_get(key_access(status), "refused"));
}

static void see(struct seen *s, const json_t *status)
{
	uint64_t after_ms = clock_kernel.boot_ms() - s->began_ms;
	const char *state = text_at(status, "state");

	s->refused = refused_of(status);
	if (!s->purged && json_is_true(json_object_get(key_access(status), "cache_purged"))) {
		s->purged = true;
		s->purged_ms = after_ms;
	}
	if (s->count == STATES_MOST ||
	    (s->count && strcmp(s->reached[s->count - 1].state, state) == 0))
		return;
	s->reached[s->count].after_ms = after_ms;
	(void)snprintf(s->reached[s->count++].state, sizeof(s->reached[0].state), "%s", state);
}

/* Until the drill is over and the volume is up again, or down for another reason. */
static int watch(struct call *call, struct seen *s)
{
	for (;;) {
		CLEANUP_JSON json_t *status = NULL;
		int r = call_look(call, &status);
		bool over;

		if (r < 0)
			return r;
		see(s, status);
		over = !drills(status);
		s->back = over && strcmp(text_at(status, "state"), "online") == 0;
		if (clock_kernel.boot_ms() > s->began_ms + call->for_ms + WAIT_FOR_MORE_MS)
			return 0;
		if (s->back || (over && json_array_size(json_object_get(status, "reasons")) > 0))
			return 0;
		pause_briefly();
	}
}

static double seconds(uint64_t ms)
{
	return (double)ms / 1000;
}

static json_t *seen_json(const struct seen *s, const char *kind)
{
	json_t *states = json_array();

	for (size_t i = 0; i < s->count; i++)
		IGNORE_RESULT(json_array_append_new(
				      states, json_pack("{s:s, s:f}", "state", s->reached[i].state,
							"after", seconds(s->reached[i].after_ms))),
			      "without memory the answer is none");
	return json_pack("{s:s, s:o, s:o, s:I, s:b}", "drill", kind, "states", states,
			 "cache_purged_after",
			 s->purged ? json_real(seconds(s->purged_ms)) : json_null(), "refused",
			 s->refused - s->refused_before, "online_again", (int)s->back);
}

static void print_seen(const struct call *call, const struct seen *s, const char *kind)
{
	printf("%s: drill of %s\n", call->args[0], kind);
	for (size_t i = 0; i < s->count; i++)
		printf("  %8.1f s  %s\n", seconds(s->reached[i].after_ms), s->reached[i].state);
	if (s->purged)
		printf("  %8.1f s  no page cached any more\n", seconds(s->purged_ms));
	printf("  %lld requests refused meanwhile\n", (long long)(s->refused - s->refused_before));
}

static int not_back(struct call *call)
{
	errmsg_next(&call->err, "see tdefsctl status %s", call->args[0]);
	(void)errmsg_fail(&call->err, -ENOKEY, EXIT_CODE_TRY_AGAIN,
			  "volume %s: the drill is over, but it is not online again",
			  call->args[0]);
	return call_failed(call);
}

static int run_drill(struct call *call, const char *kind)
{
	CLEANUP_JSON json_t *before = NULL;
	struct seen s = { 0 };

	if (call_look(call, &before) < 0)
		return call_failed(call);
	s.refused_before = refused_of(before);
	s.began_ms = clock_kernel.boot_ms();
	if (call_tell(call, json_pack("{s:s, s:s, s:I}", "command", "drill", "kind", kind,
				      "seconds", (json_int_t)(call->for_ms / 1000))) < 0 ||
	    watch(call, &s) < 0)
		return call_failed(call);
	if (!call->json)
		print_seen(call, &s, kind);
	if (!s.back && !call->json)
		return not_back(call);
	return call->json ? print_json(seen_json(&s, kind),
				       s.back ? EXIT_CODE_DONE : EXIT_CODE_TRY_AGAIN)
			  : EXIT_CODE_DONE;
}

int verb_drill(struct call *call)
{
	if (call->outage == call->denial || call->for_ms == 0)
		return usage_error(call, "drill needs --outage or --denial, and --for T");
	if (call->for_ms > GUARD_DRILL_MAX_MS)
		return usage_error(call, "a drill is 5 minutes at most");
	if (!confirm(call->yes, "Engines on this volume may stop, as in a real loss. Go on?")) {
		errmsg_next(&call->err, "answer y, or give --yes");
		(void)errmsg_fail(&call->err, -ECANCELED, EXIT_CODE_FAILED, "drill: not confirmed");
		return call_failed(call);
	}
	return run_drill(call, call->outage ? "outage" : "denial");
}
