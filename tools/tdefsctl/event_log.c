/* SPDX-License-Identifier: Apache-2.0 */
/* What a verb adds to a volume's event log: its use of keys, and what it did. */
#include <stdio.h>
#include <unistd.h>

#include "tdefs/protector.h"
#include "tdefsctl.h"

#define WRITE_WAIT_MS 5000

/* A log that cannot be had keeps nobody from working: users without rights have none. */
struct vault_watch call_watch(struct call *call, const char *verb, const char *label,
			      const char *volume)
{
	struct vault_watch watch = { .volume = label, .by = verb };
	struct audit_options options;

	if (geteuid() != 0 || call->audit || !volume)
		return watch;
	options = audit_options_of(call->config, volume);
	options.anchor_interval_ms = 0; /* the daemon's */
	if (audit_open(&options, &call->audit, &call->err) < 0)
		fprintf(stderr, PROGRAM ": warning: %s: this is not recorded\n", call->err.text);
	watch.audit = call->audit;
	return watch;
}

const char *call_volume_of(const struct call *call, const char *kid)
{
	for (size_t i = 0; i < call->config->nvolumes; i++)
		if (protector_covers(call->config->volumes[i].settings.protector, kid))
			return call->config->volumes[i].name;
	return NULL;
}

void call_close_log(struct call *call)
{
	struct audit_view view;

	if (!call->audit)
		return;
	if (!volume_event_log_settle(call->audit, WRITE_WAIT_MS, &view))
		fprintf(stderr, PROGRAM ": warning: %s: this is not recorded\n",
			view.error[0] ? view.error : "event log: it does not answer");
	audit_close(call->audit);
	call->audit = NULL;
}
