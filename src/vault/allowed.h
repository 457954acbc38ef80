/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/vault. */
#ifndef TDEFS_VAULT_ALLOWED_H
#define TDEFS_VAULT_ALLOWED_H

#include "tdefs/vault.h"

/* -EKEYREJECTED unless the host of `kid` is among `allowed_vaults`. */
int vault_check_allowed(const char *kid, const struct settings *settings,
			struct errmsg *reterr) WARN_UNUSED;

#endif
