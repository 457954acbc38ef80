/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/policy.h"

#include <errno.h>

#include "tdefs/vault.h"

enum protector_kind protector_kind_of(const char *kid)
{
	struct kid k;

	if (kid_parse(kid, &k) < 0)
		return PROTECTOR_PLATFORM;
	return vault_is_azure(k.host) ? PROTECTOR_CUSTOMER_MANAGED : PROTECTOR_LOCAL_VAULT;
}

bool protector_is_customer_managed(const char *kid)
{
	return protector_kind_of(kid) != PROTECTOR_PLATFORM;
}

const char *protector_kind_name(enum protector_kind kind)
{
	static const char *const names[] = {
		[PROTECTOR_CUSTOMER_MANAGED] = "customer-managed",
		[PROTECTOR_LOCAL_VAULT] = "local-vault",
		[PROTECTOR_PLATFORM] = "platform",
	};

	return names[kind];
}

const char *protector_backup_way(const char *kid)
{
	return protector_is_customer_managed(kid) ? "az keyvault key backup, tdefs-vault backup"
						  : "copy its file";
}

const char *policy_act_name(enum policy_act act)
{
	static const char *const names[] = {
		[POLICY_ROTATE] = "rotate", [POLICY_REWRAP] = "rewrap", [POLICY_FORMAT] = "format",
		[POLICY_IMPORT] = "import", [POLICY_MOUNT] = "mount",
	};

	return names[act];
}

enum policy_answer policy_answer(const struct policy *policy, enum policy_act act,
				 enum protector_kind kind)
{
	if (kind != PROTECTOR_PLATFORM || policy->customer_managed_key == POLICY_DISABLED)
		return POLICY_ALLOWED;
	if (act == POLICY_MOUNT || policy->customer_managed_key == POLICY_AUDIT)
		return POLICY_NOTED;
	return POLICY_REFUSED;
}

int policy_check(const struct policy *policy, enum policy_act act, const char *kid,
		 const char *what, struct errmsg *reterr)
{
	if (policy_answer(policy, act, protector_kind_of(kid)) != POLICY_REFUSED)
		return 0;
	errmsg_policy(reterr, POLICY_CUSTOMER_MANAGED_KEY);
	errmsg_next(reterr, "name a key in a key vault (https://VAULT/keys/NAME) as \"protector\", "
			    "or have the policy changed");
	return errmsg_fail(reterr, -EPERM, EXIT_CODE_POLICY,
			   "%s: %s refused by the policy customer_managed_key = deny: %s is no key "
			   "of a key vault",
			   what, policy_act_name(act), kid);
}
