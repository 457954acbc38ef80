/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A managed-identity endpoint like a virtual machine's (IMDS), off unless asked
 * for: plain HTTP on the loopback, tokens of one identity, only for processes
 * of the users that were named, and only with the header `Metadata: true`.
 */
#ifndef TDEFS_VAULT_IMDS_H
#define TDEFS_VAULT_IMDS_H

#include "dbpool.h"
#include "vault.h"

#define IMDS_UIDS_MAX 16

struct imds_config {
	const char *port;     /* 0: any */
	const char *identity; /* name or client id */
	uid_t uids[IMDS_UIDS_MAX];
	size_t nuids;
};

struct imds {
	const struct vault *vault;
	struct dbpool *pool;
	struct imds_config config;
	struct MHD_Daemon *daemon;
	unsigned port;
};

/* "0,1000" into uids; false when it is no such list. */
bool imds_parse_uids(const char *text, struct imds_config *config);

int imds_start(struct imds *imds, struct errmsg *reterr) WARN_UNUSED;
void imds_stop(struct imds *imds); /* harmless when not started */

#endif
