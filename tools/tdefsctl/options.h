/* SPDX-License-Identifier: Apache-2.0 */
/* The options of tdefsctl, each described once: parsed, refused and explained from one table. */
#ifndef TDEFSCTL_OPTIONS_H
#define TDEFSCTL_OPTIONS_H

#include "tdefsctl.h"

enum option_id {
	OPTION_CONFIG, /* the first four go with each verb */
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_YES,
	OPTION_WITHOUT_KEY,
	OPTION_WITHOUT_XATTRS,
	OPTION_KEY_IS_BACKED_UP,
	OPTION_FOR,
	OPTION_OUTAGE,
	OPTION_DENIAL,
	OPTION_HA,
	OPTION_WATCH,
	OPTION_FOLLOW,
	OPTION_VERIFY,
	OPTION_ANCHOR,
	OPTION_TO,
	OPTION_RETIRE,
	OPTION_FROM_PREVIOUS,
	OPTION_UNPIN,
	OPTION_ALL,
	OPTION_IN,
	OPTION_FORCE,
	OPTION_TEXTFILE,
	OPTION_SECURITY,
	OPTION_DRY_RUN,
	OPTION_COUNT,
};

#define OPTION_BIT(id) ((uint64_t)1 << (id))
#define OPTIONS_OF_ALL (OPTION_BIT(OPTION_YES) - 1)

/* Fill `call` from the command line; what is no option starts at optind. */
int options_parse(struct call *call, int argc, char **argv) WARN_UNUSED;
void options_release(struct call *call);

/* The first that was given and is not among `allowed`, as a name; NULL: none. */
const char *options_foreign(const struct call *call, uint64_t allowed);

/* For a shell that completes (src/completion.h). */
struct described_option;
void options_describe(struct described_option *out);

/* A line for each. */
void options_print(uint64_t which);

#endif
