/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of Azure's clouds: vaults by suffix, and the authorities that may see a secret. */
#ifndef TDEFS_VAULT_CLOUD_H
#define TDEFS_VAULT_CLOUD_H

#include <stdbool.h>

struct cloud {
	const char *suffix;	    /* of the vault's host, with its dot */
	const char *resource;	    /* what a token is asked for */
	const char *authority_host; /* where it is asked for */
};

/* By the host of a vault or Managed HSM; NULL: none of Azure's. */
const struct cloud *cloud_of_host(const char *host);

/* Whether a credential may be sent to this authority without its being configured. */
bool cloud_is_authority(const char *host);

#endif
