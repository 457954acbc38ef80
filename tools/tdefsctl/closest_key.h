/* SPDX-License-Identifier: Apache-2.0 */
/* Of many names the one most like a given one: what somebody meant who misspelled it. Pure. */
#ifndef TDEFSCTL_CLOSEST_KEY_H
#define TDEFSCTL_CLOSEST_KEY_H

#include <stddef.h>

#define CLOSEST_KEY_MAX 512 /* letters of a name; a longer one is compared up to there */

/* Zeros: nothing was offered yet. */
struct closest_key {
	char *text; /* NULL: there is none */
	size_t distance;
};

/* Keep a copy of `offer`, if it is more like `wanted` than what was offered before. */
void closest_key_offer(struct closest_key *closest, const char *wanted, const char *offer);
void closest_key_release(struct closest_key *closest);

#endif
