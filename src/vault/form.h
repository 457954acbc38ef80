/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for a request, built in secret memory of a fixed size: form fields
 * (application/x-www-form-urlencoded) and JSON. What does not fit sets `bad`.
 */
#ifndef TDEFS_VAULT_FORM_H
#define TDEFS_VAULT_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "tdefs/secret.h"

struct form {
	struct secret *bytes;
	size_t len;
	bool bad;
};

/* bytes NULL and bad when there is no memory. */
struct form form_new(size_t room);
void form_release(struct form *f); /* wipes */

void form_text(struct form *f, const char *text);
void form_bytes(struct form *f, const void *bytes, size_t len);
/* Percent-encoded, but for RFC 3986's unreserved characters. */
void form_escaped(struct form *f, const void *bytes, size_t len);
void form_base64url(struct form *f, const void *bytes, size_t len);
/* name=value, after an & unless it is the first. */
void form_field(struct form *f, const char *name, const void *value, size_t len);

/* Exactly what was written, as a secret of that length; NULL: bad, or no memory. */
struct secret *form_take(struct form *f);

#endif
