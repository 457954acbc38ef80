/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of tdefs-vault share. */
#ifndef TDEFS_VAULT_CLI_H
#define TDEFS_VAULT_CLI_H

#include "json_answer.h"
#include "request.h"

#define JSON_SCHEMA 1

/* One call of the program, parsed. */
struct call {
	const char *data; /* --data DIR */
	struct master_source master;
	uint64_t given;	  /* options, as bits */
	const char *verb; /* NULL: there is none yet */
	bool json, help, version;
	bool yes; /* --yes */
	bool allow_test_faults;
	int nargs;
	char **args; /* what follows the verb */

	/* serve */
	const char *listen, *names, *resource, *vault_name;
	int64_t token_lifetime, retention_days;
	bool no_purge_protection;
	int64_t max_clients;
	const char *imds, *imds_identity, *imds_uids;

	/* others */
	const char *certificate; /* identity add */
	bool federated;
	int64_t expires_days, key_size, count;
	const char *key_ops;
	const char *config;

	struct errmsg err;
};

/* Each verb: its arguments are counted by main; the result is an exit code. */
int verb_serve(struct call *call);
int verb_key(struct call *call);
int verb_identity(struct call *call);
int verb_grant(struct call *call);
int verb_revoke(struct call *call);
int verb_firewall(struct call *call);
int verb_audit(struct call *call);
int verb_status(struct call *call);
int verb_backup(struct call *call);
int verb_restore(struct call *call);
int verb_fault(struct call *call);

/* Print call->err; returns its exit code. */
int call_failed(struct call *call);
int usage_error(struct call *call, const char *what);
/* The same, not printed yet: -EINVAL. */
int usage_fail(struct call *call, const char *what);
/* Ask, unless --yes; -ECANCELED with call->err filled: the answer was not yes, or nobody could be asked. */
int call_confirm(struct call *call, const char *question) WARN_UNUSED;
/* The sentence for an errno that no function has put in words. */
int call_errno(struct call *call, int r, const char *what);

static inline int print_json(json_t *object, int code)
{
	return json_answer_print(object, JSON_SCHEMA, code);
}

/* What has nothing to tell but that it is done. */
static inline int call_done(const struct call *call)
{
	return call->json ? print_json(json_object(), EXIT_CODE_DONE) : EXIT_CODE_DONE;
}

/*
 * An open vault and database for a local command, and its line in the audit log
 * when it ends. `need_key`: with the master key.
 */
struct local {
	struct vault vault;
	sqlite3 *db;
};
int local_open(struct call *call, bool need_key, struct local *ret) WARN_UNUSED;
void local_close(struct local *local);

/*
 * What a command that changes the vault does: `change` within a transaction,
 * then commit and audit as "OPERATION OBJECT". 0 or a negative errno, with
 * call->err filled.
 */
typedef int (*local_change)(struct call *call, struct local *local, void *arg);
int local_commit(struct call *call, struct local *local, const char *operation, const char *object,
		 local_change change, void *arg) WARN_UNUSED;

#endif
