/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vaults say of the keys that a survey found: each distinct key is asked for
 * once, by the canary of one of its slots. A vault that did not answer for one key is not
 * asked for the next, so that the time is bounded by the number of vaults.
 */
#ifndef TDEFSCTL_KEY_ANSWERS_H
#define TDEFSCTL_KEY_ANSWERS_H

#include "survey.h"

struct key_answer {
	const struct key_slot *slot; /* the survey's */
	bool allowed;		     /* it is configured or linked; else nobody was asked */
	enum vault_verdict verdict;
	bool for_credential;  /* unreachable, because our credential is refused */
	struct errmsg *error; /* NULL: granted */
};

struct key_answers {
	struct key_answer *list;
	size_t count;
};

/* An error is in call->err; release it even then. `verb` is who asks, in event logs. */
int key_answers_take(const struct survey *s, const char *verb,
		     struct key_answers *ret_answers) WARN_UNUSED;
void key_answers_release(struct key_answers *a);

/* Of a slot of the survey. */
const struct key_answer *key_answer_of(const struct key_answers *a, const struct key_slot *slot);
/* granted, denied, unreachable, broken, or not asked. */
const char *key_answer_text(const struct key_answer *a);
/* What it means for a header whose active slot this is. */
int key_answer_code(const struct key_answer *a);

static inline void cleanup_key_answers_(struct key_answers *a)
{
	key_answers_release(a);
}
#define CLEANUP_KEY_ANSWERS CLEANUP(cleanup_key_answers_)

#endif
