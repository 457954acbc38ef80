/* SPDX-License-Identifier: Apache-2.0 */
/* application/x-www-form-urlencoded and Basic credentials (RFC 6749 2.3.1). Pure. */
#ifndef TDEFS_VAULT_FORM_H
#define TDEFS_VAULT_FORM_H

#include <stdbool.h>
#include <stddef.h>

/* The first field of that name, decoded; false when it is absent, empty or does not fit. */
bool form_get(const char *raw, size_t len, const char *name, char *out, size_t out_len);

/* "Basic base64(id:secret)", each form-encoded; `authorization` may be NULL. */
bool form_basic(const char *authorization, char *id, size_t id_len, char *secret,
		size_t secret_len);

#endif
