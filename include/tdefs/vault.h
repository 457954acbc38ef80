/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key vault: the place where a TDE protector lives. One interface, several
 * vaults; callers name keys by key identifier and never see a transport.
 *
 * A vault answers a verdict. "It said no" and "I could not ask" are never the
 * same value: DESIGN.md, "Contract: key access", decides by them.
 */
#ifndef TDEFS_VAULT_H
#define TDEFS_VAULT_H

#include <stddef.h>
#include <stdint.h>

#include "tdefs/errmsg.h"
#include "tdefs/rsa.h"
#include "tdefs/secret.h"

#define VAULT_KID_MAX 768

enum vault_verdict {
	VAULT_GRANTED,
	VAULT_DENIED,	   /* the vault says no: no such key, no permission */
	VAULT_UNREACHABLE, /* no answer of the vault */
	VAULT_BROKEN,	   /* an answer that is about our request or our bytes, or is nonsense */
};

/* What came of a call; `error` is filled unless the verdict is VAULT_GRANTED. */
struct vault_report {
	enum vault_verdict verdict;
	struct errmsg error;
};

/* Public facts of a key. */
struct vault_key {
	char kid[VAULT_KID_MAX + 1];
	uint8_t thumbprint[THUMBPRINT_LEN];
	unsigned bits;
};

struct vault_wrapped {
	enum wrap_algorithm algorithm;
	char kid[VAULT_KID_MAX + 1]; /* of the key that did it, with version where there are any */
	uint8_t bytes[RSA_WRAPPED_MAX];
	size_t len;
};

struct vault;

/*
 * Each call may block on the vault and is thread-safe. Outputs are written only
 * when the verdict, which is also the result, is VAULT_GRANTED.
 */
struct vault_ops {
	const char *name;
	const char *kid_prefix; /* which kids are its own */
	int (*open)(struct vault **ret_vault, struct errmsg *reterr);
	void (*close)(struct vault *v); /* accepts NULL */
	enum vault_verdict (*get)(struct vault *v, const char *kid, struct vault_key *ret_key,
				  struct vault_report *ret_report);
	enum vault_verdict (*wrap)(struct vault *v, const char *kid, const struct secret *plain,
				   struct vault_wrapped *ret_wrapped,
				   struct vault_report *ret_report);
	enum vault_verdict (*unwrap)(struct vault *v, const struct vault_wrapped *wrapped,
				     struct secret **ret_plain, struct vault_report *ret_report);
};

/* First member of every vault. */
struct vault {
	const struct vault_ops *ops;
};

/* The vault that serves `kid`; -EINVAL when no kind does. */
int vault_open(const char *kid, struct vault **ret_vault, struct errmsg *reterr) WARN_UNUSED;
void vault_close(struct vault *v); /* accepts NULL */

const char *vault_verdict_name(enum vault_verdict verdict);

/* The kinds (src/vault/registry.c lists them). */
extern const struct vault_ops vault_file_ops;

static inline void cleanup_vault_(struct vault **v)
{
	vault_close(*v);
}
#define CLEANUP_VAULT CLEANUP(cleanup_vault_)

#endif
