/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: DIR/audit.log, one JSON object a line, for every call and
 * every local command. Written before the answer leaves; a call that cannot be
 * written down is not answered. Lines hold no secret, token or key value.
 * The file may be renamed away at any time (logrotate): it is opened per line.
 */
#ifndef TDEFS_VAULT_AUDIT_H
#define TDEFS_VAULT_AUDIT_H

#include "request.h"

#define AUDIT_FILE "audit.log"

/* `durable`: fsync too, for what changed the vault. */
int audit_call(const struct request *rq, const struct answer *a, bool durable) WARN_UNUSED;

/* A local command, by the caller's uid: "identity add", its object, its result. */
int audit_local(const struct vault *v, const char *operation, const char *object,
		const char *result) WARN_UNUSED;

#endif
