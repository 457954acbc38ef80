/* SPDX-License-Identifier: Apache-2.0 */
/* The event log of the daemon, and whom its events go to besides. */
#include "daemon_internal.h"

#include "tdefs/volume_event.h"

#define SETTLE_MS 2000

int daemon_open_events(struct daemon *d, struct errmsg *reterr)
{
	const struct audit_options options =
		audit_options_of(d->request->config, d->request->volume->name);

	return audit_open(&options, &d->audit, reterr);
}

void daemon_close_events(struct daemon *d)
{
	struct audit_view view;

	if (d->left_behind) /* a thread may still tell of what its vault answers */
		(void)volume_event_log_settle(d->audit, SETTLE_MS, &view);
	else
		audit_close(d->audit);
}
