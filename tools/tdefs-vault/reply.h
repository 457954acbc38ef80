/* SPDX-License-Identifier: Apache-2.0 */
/* Answers onto the wire, with Key Vault's headers, and the faults that spoil them. */
#ifndef TDEFS_VAULT_REPLY_H
#define TDEFS_VAULT_REPLY_H

#include "fault.h"
#include "request.h"

struct MHD_Connection;

/* False: nothing could be queued, close the connection. Takes a->text. */
bool reply_send(struct MHD_Connection *connection, const struct request *rq, struct answer *a,
		const struct fault_set *faults);

#endif
