/* SPDX-License-Identifier: Apache-2.0 */
/* What tdefsctl can do: one table, from which it is run and explained. */
#ifndef TDEFSCTL_VERBS_H
#define TDEFSCTL_VERBS_H

#include "options.h"

struct verb {
	const char *name;
	int min_args, max_args;
	int (*run)(struct call *call);
	const char *arguments;
	const char *brief; /* at most 21 letters, for the list of all */
	const char *what;
	uint64_t options; /* bits of enum option_id, without those of all */
};

/* NULL: there is none of this name. */
const struct verb *verb_find(const char *name);

/* What a shell asks (src/completion.h). */
void verbs_complete(int argc, char **argv);

void verbs_print(void);			  /* --help: a screen */
void verb_print(const struct verb *verb); /* VERB --help */

#endif
