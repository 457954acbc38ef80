/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a volume, for its event log: one function an event. None of
 * them blocks or fails; a volume without a log (volume_options) tells nobody.
 * Names of events and of their details are user-visible and stable.
 */
#ifndef TDEFS_VOLUME_EVENT_H
#define TDEFS_VOLUME_EVENT_H

#include <sys/types.h>

#include "tdefs/audit.h"
#include "tdefs/policy.h"
#include "tdefs/volume.h"

/* NULL: the volume has none. */
struct audit *volume_audit(const struct volume *v);

/* The log cannot be written: what must not go on unrecorded (a rotation) is refused meanwhile. */
bool volume_event_log_failing(const struct volume *v);

/* Wait until all is written, `wait_ms` at most. False: it is not; the view says why. */
bool volume_event_log_settle(struct audit *audit, uint64_t wait_ms, struct audit_view *ret_view);

/* mount, once it answers: after that volume_close() tells of the unmount. */
void volume_event_mounted(struct volume *v);
/* mount_failed: why there will be no mount. */
void volume_event_mount_failed(struct audit *audit, const struct errmsg *error);

/* An operator's command, before it is carried out. Only root's: others could fill the log. */
struct volume_command {
	const char *name; /* lock, resume, ...: the event's name, too */
	uid_t uid;	  /* who asked */
	const char *kind; /* of a drill; NULL: none */
	uint64_t seconds; /* 0: not said */
};
void volume_event_command(const struct volume *v, const struct volume_command *command);
/* command_refused: it was not carried out after all. */
void volume_event_command_refused(const struct volume *v, const struct volume_command *command,
				  const char *error);

/* format, by tdefsctl. */
void volume_event_formatted(struct audit *audit, const struct volume_config *vc,
			    const struct volume_header *header);

/* policy_refused, where an error names a policy; else nothing. */
void volume_event_policy_refused(struct audit *audit, enum policy_act act, const char *kid,
				 const struct errmsg *err);
/* policy_noted, where the policy lets the act happen and wants it recorded; else nothing. */
void volume_event_policy_noted(struct audit *audit, const struct policy *policy,
			       enum policy_act act, const char *kid);
/* policy_check(), and one of these: for an act of which nothing else tells. `reterr` is needed. */
int volume_policy_check(struct audit *audit, const struct policy *policy, enum policy_act act,
			const char *kid, const char *what, struct errmsg *reterr) WARN_UNUSED;
/* file_accepted_lost, by tdefsctl: a file became zeros. */
void volume_event_accepted_lost(struct audit *audit, const char *path);

#endif
