/* SPDX-License-Identifier: Apache-2.0 */
/* Events that the volume itself causes; see tdefs/volume_event.h. Private to src/volume. */
#ifndef TDEFS_VOLUME_EVENT_INTERNAL_H
#define TDEFS_VOLUME_EVENT_INTERNAL_H

#include "tdefs/freeze.h"
#include "tdefs/volume_copy.h"
#include "tdefs/volume_event.h"

/* state, denial_pending, probe_failed, probe_granted, secondary_serves, primary_serves: what a step of the guard changed. */
void volume_event_step(const struct volume *v, const struct guard *before,
		       const struct guard *after, const struct vault_report *report);
/* ha_broken, ha_proof: what the secondary would do in an outage of the primary. */
void volume_event_ha_broken(const struct volume *v, const struct vault_report *report);
void volume_event_ha_proof(const struct volume *v, const char *kid);
/* newer_version: the protector's key has one. */
void volume_event_newer_version(const struct volume *v, const struct vault_key *key);
/* rotation_held: the secondary does not have the version that is to be taken. */
void volume_event_rotation_held(const struct volume *v, const char *kid,
				const uint8_t thumbprint[static THUMBPRINT_LEN],
				const struct vault_report *report);
/* protector_expires: in good time, or late. */
void volume_event_protector_expires(const struct volume *v, const char *kid, uint64_t expires,
				    bool expired);
/* persist_failed, persist_recovered; only when it changes. Under the runner's record lock. */
void volume_event_persisted(struct volume *v, int error);
/* state_damaged: what was remembered of the volume cannot be read. */
void volume_event_state_damaged(const struct volume *v);
/* pin_updated: another header than the one last seen is trusted from now on. */
void volume_event_pin_updated(const struct volume *v, const struct pin *now);
/* header_repaired, header_repair_failed. */
void volume_event_header_repaired(const struct volume *v, int error);
/* frozen, thawed, sync_failed: a snapshot's moment, its end, or why there is none. */
void volume_event_frozen(const struct volume *v, uint64_t freeze_ms);
void volume_event_thawed(const struct volume *v, enum freeze_end by, uint64_t held);
void volume_event_sync_failed(const struct volume *v, bool freeze, int error);
/* header_restored, uuid_renewed: a header that somebody put there, or made. */
void volume_event_header_restored(struct audit *audit, const struct volume_header *header,
				  const struct header_restored *what);
void volume_event_uuid_renewed(struct audit *audit, const uint8_t before[static 16],
			       const struct volume_header *header);
/* Named by `name`; users of the volume can cause these. */
void volume_event_file(const struct volume *v, const char *name, uint64_t ino);
/* unmount, if there was a mount. `error`: what could not be made durable. */
void volume_event_unmounted(const struct volume *v, int error);

#endif
