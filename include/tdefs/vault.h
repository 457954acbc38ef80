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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/clock.h"
#include "tdefs/config.h"
#include "tdefs/errmsg.h"
#include "tdefs/kid.h"
#include "tdefs/rsa.h"
#include "tdefs/secret.h"

enum vault_verdict {
	VAULT_GRANTED,
	VAULT_DENIED,	   /* the vault says no: no such key, no permission, no such identity */
	VAULT_UNREACHABLE, /* no answer of the vault; throttled, too */
	VAULT_BROKEN,	   /* an answer that is about our request or our bytes, or is nonsense */
};

/*
 * What came of a call; `error` is filled unless the verdict is VAULT_GRANTED.
 * The rest is what the vault said, for people: "" and 0 where it said nothing.
 */
struct vault_report {
	enum vault_verdict verdict;
	struct errmsg error;
	bool credential_alarm;	 /* unreachable because our credential expired or is refused */
	uint64_t retry_after_ms; /* throttled: ask again no earlier */
	int http_status;
	char code[64], inner_code[64]; /* error.code, and the innermost innererror.code */
	char message[512];
	char request_id[80];
	char network_info[160]; /* the address that the vault saw us from */
};

/* Public facts of a key version. */
struct vault_key {
	char kid[KID_MAX + 1];
	uint8_t thumbprint[THUMBPRINT_LEN];
	unsigned bits;
	/* What only a key vault knows (Key Vault REST, KeyBundle); `remote` false: nothing of it. */
	bool remote;
	bool hsm;
	bool enabled;
	bool may_wrap, may_unwrap;	    /* key_ops */
	uint64_t not_before, expires;	    /* seconds since 1970; 0: not set */
	uint64_t created;		    /* the same */
	char recovery_level[64];	    /* as the vault writes it */
	bool soft_delete, purge_protection; /* what it means */
};

struct vault_wrapped {
	enum wrap_algorithm algorithm;
	char kid[KID_MAX + 1]; /* of the key that did it, with version where there are any */
	uint8_t bytes[RSA_WRAPPED_MAX];
	size_t len;
};

/* One version of a key, as a list tells of it. */
struct vault_version {
	char kid[KID_MAX + 1];
	bool enabled;
	uint64_t created; /* seconds since 1970 */
};

#define VAULT_VERSIONS_MAX 500

struct vault_versions {
	size_t count;
	struct vault_version versions[VAULT_VERSIONS_MAX]; /* newest first */
};

struct vault;

/* How long a call may take in all, retries and waits included. */
#define VAULT_COMMAND_TIMEOUT_MS 60000u
#define VAULT_PROBE_TIMEOUT_MS	 10000u

/* Who we are to a vault, as far as we know by now. */
struct vault_identity {
	const char *kind; /* as in the configuration; "none": nobody is asked who we are */
	char tenant[128], client_id[128]; /* "": not known, or there is none */
	uint64_t token_until;		  /* of the token in hand, seconds since 1970; 0: none */
};

/*
 * Each call may block on the vault, for `timeout_ms` at most, and is
 * thread-safe. Outputs are written only when the verdict, which is also the
 * result, is VAULT_GRANTED. `ret_report` is always written.
 */
struct vault_ops {
	const char *name;
	const char *kid_prefix; /* which kids are its own */
	int (*open)(const char *kid, const struct settings *settings, const struct clock *clock,
		    struct vault **ret_vault, struct errmsg *reterr);
	void (*close)(struct vault *v); /* accepts NULL */
	/* A kid without a version means the newest; the answer's names the version. */
	enum vault_verdict (*get)(struct vault *v, const char *kid, unsigned timeout_ms,
				  struct vault_key *ret_key, struct vault_report *ret_report);
	enum vault_verdict (*wrap)(struct vault *v, const char *kid, const struct secret *plain,
				   unsigned timeout_ms, struct vault_wrapped *ret_wrapped,
				   struct vault_report *ret_report);
	enum vault_verdict (*unwrap)(struct vault *v, const struct vault_wrapped *wrapped,
				     unsigned timeout_ms, struct secret **ret_plain,
				     struct vault_report *ret_report);
	/* NULL where a key has no versions. */
	enum vault_verdict (*versions)(struct vault *v, const char *kid, unsigned timeout_ms,
				       struct vault_versions *ret_versions,
				       struct vault_report *ret_report);
	/* Asks nobody, never blocks. NULL where nobody is asked who we are. */
	void (*describe)(struct vault *v, struct vault_identity *ret_identity);
};

/* First member of every vault. */
struct vault {
	const struct vault_ops *ops;
};

/*
 * Once, before any thread is started: takes secrets out of the environment, and
 * what would have TLS write its keys to a file.
 */
int vault_init(void) WARN_UNUSED;

/* -EKEYREJECTED, EXIT_CODE_POLICY, unless the host of `kid` is among `allowed_vaults`, or it has none. */
int vault_check_allowed(const char *kid, const struct settings *settings,
			struct errmsg *reterr) WARN_UNUSED;

/*
 * The vault that serves `kid`, reached as `settings` says, its [vault HOST]
 * included; both settings and clock outlive it. -EINVAL when no kind does,
 * what vault_check_allowed() says. Contacts nobody.
 */
int vault_open(const char *kid, const struct settings *settings, const struct clock *clock,
	       struct vault **ret_vault, struct errmsg *reterr) WARN_UNUSED;
void vault_close(struct vault *v); /* accepts NULL */

/* Whether a host (as kid_parse() gives it) is by its name a vault of one of Azure's clouds. Pure. */
bool vault_is_azure(const char *host);

/* Who we are to it, without asking; thread-safe. */
void vault_describe(struct vault *v, struct vault_identity *ret_identity);

/* One call to a vault, after it returned; all of it is the caller's again once it is told. */
struct vault_call {
	const char *operation; /* get, wrapKey, unwrapKey, versions */
	const char *kid;       /* the key that answered; that was asked for, where none did */
	uint64_t elapsed_ms;   /* retries and waits included */
	const struct vault_report *report;
};
/* On the calling thread, with no lock held; its caller waits for it. */
typedef void (*vault_observer)(void *arg, const struct vault_call *call);

/*
 * A vault that tells `observer` of each call. It takes `inner` over, also when
 * it fails (-ENOMEM), and closes it with itself.
 */
int vault_observe(struct vault *inner, vault_observer observer, void *arg,
		  struct vault **ret_vault) WARN_UNUSED;

const char *vault_verdict_name(enum vault_verdict verdict);

/* The kinds (src/vault/registry.c lists them). */
extern const struct vault_ops vault_file_ops, vault_azure_ops;

static inline void cleanup_vault_(struct vault **v)
{
	vault_close(*v);
}
#define CLEANUP_VAULT CLEANUP(cleanup_vault_)

#endif
