/* SPDX-License-Identifier: Apache-2.0 */
/* The event log of the daemon, and whom its events go to besides. */
#include "daemon_internal.h"

#include "tdefs/volume_event.h"

#define SETTLE_MS 2000

int daemon_open_events(struct daemon *d, struct errmsg *reterr)
{
	struct audit_options options =
		audit_options_of(d->request->config, d->request->volume->name);
	struct audit_sink sinks[DAEMON_SINKS];
	int r;

	daemon_sinks(d, sinks);
	options.sinks = sinks;
	options.nsinks = DAEMON_SINKS;
	r = audit_open(&options, &d->audit, reterr);
	if (r == 0)
		daemon_watch_hook(d, true);
	return r;
}

void daemon_close_events(struct daemon *d)
{
	struct audit_view view;

	daemon_watch_hook(d, false);
	if (d->left_behind) /* a thread may still tell of what its vault answers */
		(void)volume_event_log_settle(d->audit, SETTLE_MS, &view);
	else
		audit_close(d->audit);
	daemon_close_outlets(d); /* after the last event */
}
