/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key as an operator names it: by key identifier, with a version or (all its
 * versions) without, or by thumbprint. Asks no vault; of a file, which one it is.
 */
#ifndef TDEFSCTL_KEY_NAME_H
#define TDEFSCTL_KEY_NAME_H

#include "tdefs/protector.h"

struct key_name {
	const char *kid; /* NULL: it is a thumbprint */
	uint8_t thumbprint[THUMBPRINT_LEN];
};

/* -EINVAL: neither. `text` outlives the name. */
int key_name_parse(const char *text, struct key_name *ret_name) WARN_UNUSED;

/* Whether this key is meant, for sure; `thumbprint` NULL: not known. */
bool key_name_is_of(const struct key_name *name, const char *kid, const uint8_t *thumbprint);

/* Has this the form of a key identifier, or of a file's? KEY_NAME_NEXT says what that is. */
bool key_name_is_kid(const char *text);
#define KEY_NAME_NEXT                                                                              \
	"give https://VAULT/keys/NAME, with /VERSION or without (tdefsctl protectors lists "       \
	"those in use), or file:/PATH"

/*
 * Whether a setting of this kid cannot stand for the key. A linked key without a version
 * does not: it needs what a header does, and those are looked at.
 */
bool key_name_rules_out(const struct key_name *name, const char *kid, bool linked);

#endif
