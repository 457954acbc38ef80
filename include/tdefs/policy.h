/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [policy] customer_managed_key: what a protector is, by its key identifier, and
 * whether an act may make it a volume's. Pure; nobody is asked. Who records the
 * answer: volume_event.h, volume_policy_check().
 */
#ifndef TDEFS_POLICY_H
#define TDEFS_POLICY_H

#include "tdefs/config.h"

enum protector_kind {
	PROTECTOR_CUSTOMER_MANAGED, /* in a vault or Managed HSM of one of Azure's clouds */
	/*
	 * In a key vault elsewhere, such as tdefs-vault: customer-managed, too. Told by the name
	 * of the vault's host, which TLS proves: nobody else has one of Azure's.
	 */
	PROTECTOR_LOCAL_VAULT,
	PROTECTOR_PLATFORM, /* a file of this host: nobody can take it away from here */
};

enum protector_kind protector_kind_of(const char *kid);
const char *protector_kind_name(enum protector_kind kind); /* as users read it */
bool protector_is_customer_managed(const char *kid);
/* How such a key is backed up, in a few words; static. */
const char *protector_backup_way(const char *kid);

/* What is done with a protector. A mount is only ever noted: no policy keeps a database down. */
enum policy_act { POLICY_ROTATE, POLICY_REWRAP, POLICY_FORMAT, POLICY_IMPORT, POLICY_MOUNT };
enum policy_answer { POLICY_ALLOWED, POLICY_NOTED, POLICY_REFUSED };

const char *policy_act_name(enum policy_act act);

enum policy_answer policy_answer(const struct policy *policy, enum policy_act act,
				 enum protector_kind kind);

/* -EPERM, EXIT_CODE_POLICY: the act is refused. `what` names the volume or directory in messages. */
int policy_check(const struct policy *policy, enum policy_act act, const char *kid,
		 const char *what, struct errmsg *reterr) WARN_UNUSED;

#endif
