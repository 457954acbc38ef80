/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of tdefsctl check. */
#ifndef TDEFSCTL_CHECK_H
#define TDEFSCTL_CHECK_H

#include "tdefs/protector.h"
#include "tdefs/volume_vault.h"
#include "tdefsctl.h"

json_t *report_json(const struct protector_report *r, const char *kid) WARN_UNUSED;
void print_report(const struct protector_report *r, const char *kid);

/* Whether the key that was found is that of the slot, as one requirement more. */
void add_identity(struct protector_report *r, const struct key_slot *slot);

/* The secondary's list; `slot` NULL: the volume is not formatted. The exit code that it means. */
int check_secondary(struct call *call, const struct vault_watch *watch,
		    const struct volume_config *vc, const struct key_slot *slot,
		    struct protector_report *ret_report);

/* check NAME --ha: do both vaults unwrap the same DEK? The exit code. */
int check_ha(struct call *call);

#endif
