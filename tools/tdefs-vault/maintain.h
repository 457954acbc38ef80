/* SPDX-License-Identifier: Apache-2.0 */
/* What a running vault does by itself: purge, rotate, renew its certificate. */
#ifndef TDEFS_VAULT_MAINTAIN_H
#define TDEFS_VAULT_MAINTAIN_H

#include "vault.h"

/* One round; logs what it did and what failed, and goes on. */
void maintain(const struct vault *v, sqlite3 *db, const char *cert_names);

#endif
