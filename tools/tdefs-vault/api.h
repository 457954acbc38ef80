/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of Key Vault: a table from method and path to what is needed
 * and what does it. api_call() is the one way in, for HTTP and local commands.
 */
#ifndef TDEFS_VAULT_API_H
#define TDEFS_VAULT_API_H

#include "keys.h"

/* Index of an api-version, or -1. They are ordered by age. */
int api_version_index(const char *version);
bool api_at_least(int api, const char *version);
int api_newest(void);

/*
 * Find the operation, check token, firewall, policy and version, do it. Writes
 * nothing to the audit log: the caller does, when it knows how it ended.
 * Always leaves an answer.
 */
void api_call(struct request *rq, struct answer *a);

/* Each operation, by the table. */
int op_list_keys(struct request *rq, struct answer *a);
int op_list_versions(struct request *rq, struct answer *a);
int op_list_deleted(struct request *rq, struct answer *a);
int op_get(struct request *rq, struct answer *a);
int op_create(struct request *rq, struct answer *a);
int op_import(struct request *rq, struct answer *a);
int op_update(struct request *rq, struct answer *a);
int op_rotate(struct request *rq, struct answer *a);
int op_get_policy(struct request *rq, struct answer *a);
int op_set_policy(struct request *rq, struct answer *a);
int op_delete(struct request *rq, struct answer *a);
int op_get_deleted(struct request *rq, struct answer *a);
int op_recover(struct request *rq, struct answer *a);
int op_purge(struct request *rq, struct answer *a);
int op_backup(struct request *rq, struct answer *a);
int op_restore(struct request *rq, struct answer *a);
int op_wrap(struct request *rq, struct answer *a);
int op_unwrap(struct request *rq, struct answer *a);
int op_encrypt(struct request *rq, struct answer *a);
int op_decrypt(struct request *rq, struct answer *a);
int op_sign(struct request *rq, struct answer *a);
int op_verify(struct request *rq, struct answer *a);

/* Steps that operations share: 0 go on, ANSWERED, or a negative errno. */

/* The version that the request names, of a key that is not deleted. */
int step_find(struct request *rq, struct answer *a, struct key_version *ret_kv) WARN_UNUSED;
/* The name is free to be written to: a 409 when it is deleted but recoverable. */
int step_writable(struct request *rq, struct answer *a, struct key_state *ret_state) WARN_UNUSED;
/* Take enabled, nbf, exp, key_ops and tags from the body where it has them. */
int step_attributes(struct request *rq, struct answer *a, const json_t *ops,
		    struct key_version *kv) WARN_UNUSED;
/* Make a next version of a key whose newest is `old`: rotation, by hand or by policy. */
int rotate_key(const struct vault *v, sqlite3 *db, int64_t now, const struct key_version *old,
	       struct key_version *ret_kv) WARN_UNUSED;

#endif
