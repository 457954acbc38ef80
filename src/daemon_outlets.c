/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the daemon's events go to beside the log: on_event's command, and the webhook. */
#include "daemon_internal.h"
#include "hook_helper.h"

int daemon_fork_hook(struct daemon *d, struct errmsg *reterr)
{
	const struct settings *s = &d->request->volume->settings;
	int r;

	d->hook_link = -1;
	if (!s->on_event)
		return 0;
	r = hook_check_command(s->on_event, reterr);
	return r < 0 ? r : hook_helper_fork(s->hook_user, &d->hook_link, reterr);
}

int daemon_open_outlets(struct daemon *d, struct errmsg *reterr)
{
	const struct volume_config *vc = d->request->volume;
	const struct hook_options hook = { .volume = vc->name,
					   .command = vc->settings.on_event,
					   .link = TAKE_FD(d->hook_link) };
	const struct webhook_options webhook = { .volume = vc->name,
						 .file = vc->settings.webhook_file,
						 .ca_file = vc->settings.webhook_ca_file };
	int r = hook_open(&hook, &d->hook, reterr);

	IGNORE_RESULT(audit_journal_open(vc->name, NULL, &d->journal),
		      "events go there if there is one");
	return r < 0 ? r : webhook_open(&webhook, &d->webhook, reterr);
}

void daemon_sinks(const struct daemon *d, struct audit_sink ret_sinks[static DAEMON_SINKS])
{
	ret_sinks[0] = (struct audit_sink){ hook_send, d->hook };
	ret_sinks[1] = (struct audit_sink){ webhook_send, d->webhook };
	ret_sinks[2] = (struct audit_sink){ audit_journal_send, d->journal };
}

int daemon_reload_outlets(void *arg, const struct settings *now, const struct settings *was,
			  struct errmsg *reterr)
{
	const struct daemon *d = arg;
	const struct webhook_options webhook = { .volume = d->request->volume->name,
						 .file = now->webhook_file,
						 .ca_file = now->webhook_ca_file };
	struct errmsg ignored = { 0 };
	int r = now->on_event ? hook_check_command(now->on_event, reterr) : 0;

	if (r == 0)
		r = hook_replace(d->hook, now->on_event, reterr);
	if (r < 0)
		return r;
	r = webhook_replace(d->webhook, &webhook, reterr);
	if (r < 0)
		IGNORE_RESULT(hook_replace(d->hook, was->on_event, &ignored), "it was that");
	return r;
}

static void hook_lost(void *arg)
{
	const struct daemon *d = arg;

	audit_record(d->audit, AUDIT_MAJOR, "hook_lost", NULL);
}

void daemon_watch_hook(struct daemon *d, bool watch)
{
	if (d->hook)
		hook_watch(d->hook, watch ? hook_lost : NULL, d);
}

void daemon_close_outlets(struct daemon *d)
{
	hook_stop(d->hook);
	webhook_stop(d->webhook);
	if (d->left_behind)
		return;
	hook_close(d->hook);
	webhook_close(d->webhook);
	audit_journal_close(d->journal);
}
