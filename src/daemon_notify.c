/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd is told of the daemon: its state in words, and that its guard is alive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon_internal.h"
#include "notify.h"
#include "tdefs/text.h"

#define STATUS_MAX	400 /* of what systemctl status shows in a line */
#define STOP_WITHIN_SEC 1800

static const char *state_text(const struct guard_view *view)
{
	if (view->guard.state == GUARD_STARTING)
		return "asking its vault for ";
	if (view->guard.state == GUARD_WAITING)
		return "waiting for its vault";
	return guard_state_name(view->guard.state);
}

/* "inaccessible (denied): the vault's words; next: ..." */
static char *status_text(const struct daemon *d, char out[static STATUS_MAX])
{
	char reasons[64], next[CONTROL_NEXT_STEP_MAX], *text = NULL;
	struct volume_header header;
	struct guard_view view;
	const char *kid;
	bool granted, any;

	guard_runner_view(volume_guard(d->volume), &view);
	volume_header(d->volume, &header);
	kid = volume_header_active_slot(&header)->kid;
	control_next_step(&view, d->request->volume, kid, next, sizeof(next));
	granted = !view.answered || view.report.verdict == VAULT_GRANTED;
	any = guard_reasons_text(view.guard.reasons, reasons, sizeof(reasons))[0];
	if (asprintf(&text, "%s%s%s%s%s%s%s%s%s", state_text(&view),
		     view.guard.state == GUARD_STARTING ? kid : "", any ? " (" : "", reasons,
		     any ? ")" : "", granted ? "" : ": ", granted ? "" : view.report.error.text,
		     next[0] ? "; next: " : "", next) < 0)
		text = NULL;
	text_escape(text ? text : "out of memory", out, STATUS_MAX);
	free(text);
	return out;
}

/* On the guard's thread, so that it is silent when that hangs; no lock is held. */
static void beat(void *arg)
{
	struct daemon *d = arg;
	char status[STATUS_MAX], text[STATUS_MAX + 32];

	status_text(d, status);
	if (!d->told || strcmp(d->told, status) != 0) {
		free(d->told);
		d->told = strdup(status);
		(void)snprintf(text, sizeof(text), "STATUS=%s", status);
		keeper_tell(&d->keeper, text);
	}
	if (d->watchdog_ms)
		keeper_tell(&d->keeper, "WATCHDOG=1");
}

void daemon_notify_start(struct daemon *d)
{
	const struct guard_pulse pulse = { .beat = beat, .arg = d, .every_ms = d->watchdog_ms };

	if (d->notified)
		guard_runner_set_pulse(volume_guard(d->volume), &pulse);
}

void daemon_notify_ready(const struct daemon *d)
{
	if (d->notified)
		keeper_tell(&d->keeper, "READY=1");
}

/* The guard ends first and beats no more; a slow disk is no reason to be killed. */
void daemon_notify_stopping(const struct daemon *d)
{
	char text[160];

	if (!d->notified)
		return;
	(void)snprintf(text, sizeof(text),
		       "STOPPING=1\nWATCHDOG_USEC=0\nEXTEND_TIMEOUT_USEC=%u000000\n"
		       "STATUS=writing everything to the disk",
		       STOP_WITHIN_SEC);
	keeper_tell(&d->keeper, text);
}
