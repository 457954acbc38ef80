/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key identifiers of Key Vault's form, taken apart as URLs:
 * https://HOST[:PORT]/keys/NAME[/VERSION]. Pure.
 */
#ifndef TDEFS_KID_H
#define TDEFS_KID_H

#include <stdbool.h>

#define KID_MAX		768 /* characters: room in a key slot (FORMAT.md) */
#define KID_HOST_MAX	253
#define KID_NAME_MAX	127
#define KID_VERSION_LEN 32
#define HTTPS_PORT	443

struct kid {
	char host[KID_HOST_MAX + 1]; /* lower case */
	unsigned port;
	char name[KID_NAME_MAX + 1];	   /* [0-9A-Za-z-] */
	char version[KID_VERSION_LEN + 1]; /* lower-case hexadecimal; "": the newest */
};

/* -EINVAL: not of that form. A final slash is ignored. */
int kid_parse(const char *text, struct kid *ret_kid) __attribute__((warn_unused_result));

/* Whether both name the same key version: hosts and names without regard to case. */
bool kid_equal(const struct kid *a, const struct kid *b);

/* "https://HOST" or "https://HOST:PORT". Returns `out`. */
#define KID_VAULT_MAX (KID_HOST_MAX + 16)
char *kid_vault(const struct kid *k, char out[static KID_VAULT_MAX]);

#endif
