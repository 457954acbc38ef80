/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this key fit to be a TDE protector? A list of requirements, each with its
 * outcome, before anything is wrapped with the key: what Azure SQL asks of a
 * customer-managed key, and that the three permissions really work.
 */
#ifndef TDEFS_PROTECTOR_H
#define TDEFS_PROTECTOR_H

#include "tdefs/config.h"
#include "tdefs/vault.h"

#define PROTECTOR_BITS_MIN 2048
#define PROTECTOR_BITS_MAX 4096 /* a wrapped DEK must fit its room in the slot */

enum requirement_state {
	REQUIREMENT_MET,
	REQUIREMENT_NOTED,   /* met, with something to know */
	REQUIREMENT_MISSING, /* not met */
	REQUIREMENT_UNKNOWN, /* not looked at: something before it is missing */
};

struct requirement {
	const char *name;
	enum requirement_state state;
	enum exit_code exit_code; /* of a missing one */
	int error;		  /* of a missing one: negative errno */
	const char *policy;	  /* which policy asks for it; NULL: none, it must be */
	char text[512];		  /* what was found */
	char next[1024];	  /* what to do; "" when nothing */
};

#define REQUIREMENTS_MAX 16

struct protector_report {
	size_t count;
	struct requirement requirements[REQUIREMENTS_MAX];
	struct vault_key key; /* when the first requirement is met */
};

/*
 * Go through the list for `kid`; asks the vault, changes nothing there. `now`
 * is seconds since 1970.
 */
void protector_check(struct vault *vault, const char *kid, const struct policy *policy,
		     uint64_t now, struct protector_report *ret_report);

/* The first that is missing, as an error; 0: none. */
int protector_verdict(const struct protector_report *report, const char *kid,
		      struct errmsg *reterr) WARN_UNUSED;

const char *requirement_state_name(enum requirement_state state);

/*
 * Whether a slot's kid is one that the configured protector names: the same, or
 * for a protector without a version any version of it.
 */
bool protector_covers(const char *protector, const char *kid);

/*
 * Which of the configured keys opens a slot of this kid: the protector, or a linked
 * one that covers it, unless it is the secondary's; where none does the protector, which
 * then is refused.
 */
const char *protector_that_opens(const struct settings *settings, const char *kid);

/* For how long a secret may be in memory, and whether it still may. */
struct wrap_limits {
	const struct clock *clock;
	uint64_t until_ms; /* by its boot_ms(): no call lasts longer */
	/* Asked between calls; 0, or why there must be none. NULL: nobody minds. */
	int (*may_go_on)(void *arg, struct errmsg *reterr);
	void *arg;
};

/* Wrap, and prove by an unwrap that it can be undone. `limits` NULL: as long as a command may take. */
int protector_wrap(struct vault *vault, const char *kid, const struct secret *plain,
		   const struct wrap_limits *limits, struct vault_wrapped *ret_wrapped,
		   struct errmsg *reterr) WARN_UNUSED;

/* The exit code of a vault's refusal: EXIT_CODE_TRY_AGAIN where nobody answered. */
enum exit_code protector_exit_code(const struct vault_report *report);

/* A vault's refusal as an errno and the sentence in its report. */
int protector_failed(const struct vault_report *report, struct errmsg *reterr);

#endif
