/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs and options of tdefs-vault, each described once: parsed, refused, explained and completed. */
#ifndef TDEFS_VAULT_OPTIONS_H
#define TDEFS_VAULT_OPTIONS_H

#include "cli.h"

enum option_id {
	OPTION_DATA, /* the first six go with each verb */
	OPTION_JSON,
	OPTION_MASTER_KEY,
	OPTION_PASSPHRASE_FILE,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_LISTEN,
	OPTION_NAMES,
	OPTION_VAULT_NAME,
	OPTION_RETENTION_DAYS,
	OPTION_NO_PURGE_PROTECTION,
	OPTION_RESOURCE,
	OPTION_TOKEN_LIFETIME,
	OPTION_MAX_CLIENTS,
	OPTION_IMDS,
	OPTION_IMDS_IDENTITY,
	OPTION_IMDS_UID,
	OPTION_ALLOW_TEST_FAULTS,
	OPTION_SIZE,
	OPTION_OPS,
	OPTION_CERTIFICATE,
	OPTION_FEDERATED,
	OPTION_EXPIRES_DAYS,
	OPTION_COUNT_OF,
	OPTION_CONFIG,
	OPTION_YES,
	OPTION_COUNT,
};

#define OPTION_BIT(id) ((uint64_t)1 << (id))
#define OPTIONS_OF_ALL (OPTION_BIT(OPTION_LISTEN) - 1)

/* Fill `call` from the command line; what is no option starts at optind. An error is in call->err. */
int options_parse(struct call *call, int argc, char **argv) WARN_UNUSED;

/* The first that was given and is not among `allowed`, as a name; NULL: none. */
const char *options_foreign(const struct call *call, uint64_t allowed);

/* A line for each. */
void options_print(uint64_t which);

/* For a shell that completes (src/completion.h): OPTION_COUNT of them. */
const struct described_option *options_described(void);

#endif
