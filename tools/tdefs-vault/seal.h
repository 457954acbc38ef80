/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The master key and what is kept under it. It lives outside the vault's
 * directory: in a 0600 file, a systemd credential, or as a passphrase from
 * which scrypt derives it. Sealing is AES-256-GCM with a random nonce; the
 * label, what the sealed bytes are, is authenticated, so that nobody can put
 * one key's blob in another's place.
 */
#ifndef TDEFS_VAULT_SEAL_H
#define TDEFS_VAULT_SEAL_H

#include "tdefs/errmsg.h"
#include "tdefs/secret.h"

#define MASTER_KEY_LEN	    32
#define MASTER_SALT_LEN	    16
#define MASTER_DEFAULT_PATH "/etc/tdefs/vault-master.key"
#define MASTER_CREDENTIAL   "tdefs-vault-master-key"
#define SEAL_OVERHEAD	    (12 + 16)

struct master_source {
	const char *key_path;	     /* --master-key, or NULL for the default */
	const char *passphrase_path; /* --passphrase-file, or NULL */
};

enum master_mode { MASTER_EXISTING, MASTER_CREATE };

/*
 * Read the master key, or with MASTER_CREATE make the file when it is missing.
 * `dir` is where the vault lives: a key inside it is refused. `salt` is used
 * with a passphrase.
 */
int master_load(const struct master_source *source, enum master_mode mode, const char *dir,
		const uint8_t salt[static MASTER_SALT_LEN], struct secret **ret_key,
		struct errmsg *reterr) WARN_UNUSED;

/* Where master_load() looks; static or the caller's string. */
const char *master_path(const struct master_source *source);

/* `ret_sealed` is new, of len + SEAL_OVERHEAD bytes. */
int seal(const struct secret *master, const char *label, const void *data, size_t len,
	 uint8_t **ret_sealed, size_t *ret_len) WARN_UNUSED;

/* -EBADMSG when it was not sealed under this key with this label. */
int unseal(const struct secret *master, const char *label, const void *sealed, size_t sealed_len,
	   struct secret **ret_data) WARN_UNUSED;

#endif
