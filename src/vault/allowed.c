/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that says which vaults are contacted at all, whatever a header names. */
#include "tdefs/vault.h"

#include <errno.h>

int vault_check_allowed(const char *kid, const struct settings *settings, struct errmsg *reterr)
{
	char host[KID_VAULT_MAX];

	if (vault_host_of(kid, host) < 0 || settings_allow_host(settings, host))
		return 0; /* of no vault: whoever opens it says what is wrong with it */
	errmsg_policy(reterr, POLICY_ALLOWED_VAULTS);
	errmsg_next(reterr, "if that vault is yours, add %s to \"allowed_vaults\"", host);
	return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_POLICY,
			   "%s: not contacted: %s is not among allowed_vaults", kid, host);
}
