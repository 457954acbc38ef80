/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/volume. */
#ifndef TDEFS_VOLUME_EVIDENCE_H
#define TDEFS_VOLUME_EVIDENCE_H

#include "volume_internal.h"

/*
 * volume_probe() and volume_unlock(), of both vaults: the primary first, the
 * secondary where that is unreachable. The report is that of the vault that counts.
 */
struct guard_probe volume_probe_vaults(struct volume *v, struct vault_report *ret_report);
struct guard_probe volume_unlock_vaults(struct volume *v, struct vault_report *ret_report);

/* A pause of about that long: so that not all volumes of a vault come at once. */
uint64_t volume_about(uint64_t ms);

#endif
