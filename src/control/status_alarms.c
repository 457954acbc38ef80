/* SPDX-License-Identifier: Apache-2.0 */
/* The "alarms" of a status: what an operator must look at though the volume may be online. */
#include "status.h"

#include <unistd.h>

#include "tdefs/metrics_server.h"

static bool state_not_kept(const struct status_source *s)
{
	return s->view.persist_failed;
}

static bool credential(const struct status_source *s)
{
	return s->view.answered && s->view.report.credential_alarm;
}

static bool broken(const struct status_source *s)
{
	return s->view.answered && s->view.report.verdict == VAULT_BROKEN;
}

static bool ha_broken(const struct status_source *s)
{
	return s->has_secondary && s->secondary.ha_broken;
}

static bool secondary_serves(const struct status_source *s)
{
	return s->view.guard.secondary_serves;
}

static bool newest_unknown(const struct status_source *s)
{
	return s->newest.unknown;
}

static bool rotation_failed(const struct status_source *s)
{
	return s->by_itself.failures > 0;
}

static bool rotation_held(const struct status_source *s)
{
	return s->by_itself.held;
}

static bool expiry(const struct status_source *s)
{
	return s->expiry.soon;
}

static bool metrics_place(const struct status_source *s)
{
	return metrics_server_error(s->context->metrics) < 0;
}

static bool keeper(const struct status_source *s)
{
	return s->context->keeper && getppid() != s->context->keeper;
}

static bool latched(const struct status_source *s)
{
	return s->latched > 0;
}

static bool event_log(const struct status_source *s)
{
	return s->event_log.failing;
}

static bool hook(const struct status_source *s)
{
	return s->hook.lost || s->hook.error[0];
}

static bool webhook(const struct status_source *s)
{
	return s->webhook.error[0];
}

/* Names are user-visible and stable. */
const struct status_alarm status_alarm_table[] = {
	{ "state_not_kept", state_not_kept,
	  ".tdefs/state cannot be written: a restart may forget a lock or a denial; look at the "
	  "backing file system" },
	{ "credential", credential,
	  "our credential has expired or is refused: renew it, the outage clock runs" },
	{ "broken", broken,
	  "the vault's answer is about our request or our bytes, and no denial: the outage clock "
	  "runs" },
	{ "ha_broken", ha_broken,
	  "the secondary vault would not do in an outage of the primary: see \"secondary\" of the "
	  "status, and tdefsctl check --ha" },
	{ "secondary_serves", secondary_serves,
	  "the primary vault cannot be reached, the secondary serves: without that one the outage "
	  "clock runs" },
	{ "newest_unknown", newest_unknown,
	  "whether the protector's key has a newer version could not be learnt, several times in a "
	  "row: see protector.newest_error in status --json; what is in use is not affected" },
	{ "rotation_failed", rotation_failed,
	  "the newer version of the protector's key could not be taken: it is tried again, what is "
	  "in use is not affected; see auto_rotation in status --json" },
	{ "rotation_held", rotation_held,
	  "the protector's key has a newer version that the secondary vault does not have: bring "
	  "it "
	  "there, then it is taken" },
	{ "expiry", expiry,
	  "the protector expires soon, or has: it goes on opening the volume, but nothing new can "
	  "be "
	  "wrapped with it; make a new version, and rotate" },
	{ "event_log", event_log,
	  "the event log cannot be written: what happens waits to be recorded; look at event_dir "
	  "and state_dir" },
	{ "hook", hook,
	  "on_event's last command failed, or the process that runs it has ended (\"lost\": until "
	  "the next mount): its error is in status --json and in the log" },
	{ "webhook", webhook,
	  "the webhook's receiver does not take events: its error is in status --json and in the "
	  "log" },
	{ "latched_errors", latched,
	  "a write failed after it had been acknowledged: the next fsync of that file reports it; "
	  "look at the backing disk" },
	{ "metrics_place", metrics_place,
	  "metrics cannot be served at metrics_listen: the place is taken or cannot be had; it is "
	  "tried again" },
	{ "keeper", keeper,
	  "the daemon's parent has ended, which drops every cached page should the daemon be "
	  "killed: "
	  "unmount and mount again when engines may stop" },
};

const size_t status_nalarms = ARRAY_SIZE(status_alarm_table);

json_t *status_alarms(const struct status_source *s)
{
	CLEANUP_JSON json_t *array = json_array();

	for (size_t i = 0; i < status_nalarms; i++) {
		const struct status_alarm *a = &status_alarm_table[i];

		if (a->raised(s) &&
		    json_array_append_new(array, json_pack("{s:s, s:s}", "name", a->name, "text",
							   a->text)) < 0)
			return NULL;
	}
	return TAKE_PTR(array);
}
