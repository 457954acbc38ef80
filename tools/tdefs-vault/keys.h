/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and their versions as rows of the database. Names are unique without
 * regard to case. Callers that change something hold a transaction. Times are
 * seconds since 1970.
 */
#ifndef TDEFS_VAULT_KEYS_H
#define TDEFS_VAULT_KEYS_H

#include "request.h"
#include "rsakey.h"

#define TIME_UNSET INT64_MIN

/* Key Vault's key_ops, a bit each, in the order in which it lists them. */
enum key_op {
	OP_ENCRYPT = 1 << 0,
	OP_DECRYPT = 1 << 1,
	OP_SIGN = 1 << 2,
	OP_VERIFY = 1 << 3,
	OP_WRAP = 1 << 4,
	OP_UNWRAP = 1 << 5,
	OP_IMPORT = 1 << 6,
	OP_EXPORT = 1 << 7,
};
#define OPS_DEFAULT 0x3fU
extern const char *const key_op_names[8];

struct key_version {
	char name[KEY_NAME_LEN], version[VERSION_LEN];
	int64_t seq;
	bool enabled;
	int64_t nbf, exp; /* TIME_UNSET: none */
	int64_t created, updated;
	unsigned ops;
	char *tags; /* JSON, or NULL */
	struct rsa_public public;
	uint8_t *sealed;
	size_t sealed_len;
};

struct key_state {
	char name[KEY_NAME_LEN]; /* as it was first written */
	bool exists;
	bool deleted;
	int64_t deleted_at, purge_at;
};

/* What is known of a name, keys whose retention is over not counted. */
int key_state(const struct request *rq, const char *name, struct key_state *ret) WARN_UNUSED;

/* 1: found, release it; 0: not. `version` empty: the newest. Deleted keys are found too. */
int key_lookup(sqlite3 *db, const char *name, const char *version,
	       struct key_version *ret) WARN_UNUSED;
/* The row of a statement made of KEY_COLUMNS; 1 or a negative errno. */
int key_read_row(sqlite3_stmt *stmt, struct key_version *ret) WARN_UNUSED;
#define KEY_COLUMNS                                                                                \
	"name, version, seq, enabled, nbf, exp, created, updated, ops, tags, n, e, sealed "

/* Add a version, and the key when it is the first. `kv->version` and seq are set. */
int key_insert(sqlite3 *db, struct key_version *kv) WARN_UNUSED;
/* Attributes, ops and tags of an existing version. */
int key_update(sqlite3 *db, const struct key_version *kv) WARN_UNUSED;

int key_mark_deleted(sqlite3 *db, const char *name, int64_t now, int64_t purge_at) WARN_UNUSED;
int key_mark_recovered(sqlite3 *db, const char *name) WARN_UNUSED;
/* All versions, for ever. */
int key_purge(sqlite3 *db, const char *name) WARN_UNUSED;
/* Purge what is past its retention; the count. In a transaction of its own. */
int key_purge_expired(sqlite3 *db, int64_t now) WARN_UNUSED;

void key_version_release(struct key_version *kv);

/* The private key of a version, opened with the vault's master key. */
int key_private(const struct vault *v, const struct key_version *kv,
		EVP_PKEY **ret_key) WARN_UNUSED;
/* Set public and sealed parts of `kv`, whose name and version stand. */
int key_seal(const struct vault *v, const EVP_PKEY *key, struct key_version *kv) WARN_UNUSED;
/* A new version identifier: 32 hexadecimal digits. */
int key_new_version(char out[static VERSION_LEN]) WARN_UNUSED;

/* JSON shapes; NULL without memory. */
json_t *key_bundle(const struct request *rq, const struct key_version *kv);
json_t *key_item(const struct request *rq, const struct key_version *kv, bool with_version);
/* Add recoveryId, deletedDate and scheduledPurgeDate in front of `object`'s members. */
json_t *key_deleted(const struct request *rq, const struct key_state *state, json_t *object);
/* Also the audit log's. */
void key_kid(const struct request *rq, const char *name, const char *version, char *out,
	     size_t len);

static inline void cleanup_key_version_(struct key_version *kv)
{
	key_version_release(kv);
}
#define CLEANUP_KEY_VERSION CLEANUP(cleanup_key_version_)

#endif
