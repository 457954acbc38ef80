/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may call, and what each may do: identities with their credentials, and
 * access policies as permissions on a key or on all ('*'). Read per request, so
 * that a change binds the next one.
 */
#ifndef TDEFS_VAULT_IDENTITY_H
#define TDEFS_VAULT_IDENTITY_H

#include "tdefs/bytes.h"
#include "tdefs/crypto.h"

#include "db.h"

struct identity {
	char name[128];
	char client_id[UUID_TEXT_LEN], oid[UUID_TEXT_LEN];
	bool has_secret;
	uint8_t secret_hash[SHA256_LEN];
	int64_t secret_expires;	       /* 0: never */
	char *certificate;	       /* PEM, or NULL */
	char *issuer, *subject, *jwks; /* a federated credential, or NULL */
};

/* 1 found, 0 not. Release after 1. */
int identity_by_client_id(sqlite3 *db, const char *client_id, struct identity *ret) WARN_UNUSED;
int identity_by_name(sqlite3 *db, const char *name, struct identity *ret) WARN_UNUSED;
void identity_release(struct identity *id);

/* Key Vault's names of permissions, in one table; a bit each. */
extern const char *const permission_names[];
#define PERMISSION_ALL UINT32_C(0x3ffff)

/* The bit, or 0 when there is no such permission. Case is ignored, as Azure does. */
uint32_t permission_bit(const char *name);
/* "get,wrapKey" or "all": the bits, or 0 with `bad` naming the first unknown word. */
uint32_t permissions_parse(const char *text, char *bad, size_t bad_len);
/* Comma-separated names. Returns `out`. */
char *permissions_format(uint32_t bits, char *out, size_t len);

/* What `client_id` may do with `key` (NULL: with the vault as a whole). */
int permissions_of(sqlite3 *db, const char *client_id, const char *key, uint32_t *ret_bits,
		   bool *ret_any) WARN_UNUSED;

/*
 * Whether an address may call. Without a firewall everybody may.
 * `ret_allowed` is set when the answer is 0.
 */
int firewall_allows(sqlite3 *db, const char *address, bool *ret_allowed) WARN_UNUSED;
/* ADDRESS or ADDRESS/BITS, IPv4 or IPv6; -EINVAL. */
int firewall_parse(const char *text, uint8_t ret_address[static 16],
		   unsigned *ret_bits) WARN_UNUSED;

static inline void cleanup_identity_(struct identity *id)
{
	identity_release(id);
}
#define CLEANUP_IDENTITY CLEANUP(cleanup_identity_)

#endif
