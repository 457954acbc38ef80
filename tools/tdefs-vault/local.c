/* SPDX-License-Identifier: Apache-2.0 */
/* What local commands have in common: opening, one transaction, the audit line. */
#include <string.h>

#include "audit.h"
#include "cli.h"

int local_open(struct call *call, bool need_key, struct local *ret)
{
	struct local local = { .db = NULL };
	int r = vault_open(call->data, need_key ? &call->master : NULL, &local.vault, &call->err);

	if (r < 0)
		return r;
	/* Times of commands agree with those of a server that faults have shifted. */
	local.vault.faults_allowed = true;
	r = db_open(call->data, DB_EXISTING, &local.db, &call->err);
	if (r < 0)
		vault_release(&local.vault);
	else
		*ret = local;
	return r;
}

void local_close(struct local *local)
{
	db_close(local->db);
	vault_release(&local->vault);
}

int local_commit(struct call *call, struct local *local, const char *operation, const char *object,
		 local_change change, void *arg)
{
	int r = db_begin(local->db), audited;

	if (r == 0)
		r = change(call, local, arg);
	if (r == 0)
		r = db_commit(local->db);
	if (r < 0)
		db_rollback(local->db);
	audited = audit_local(&local->vault, operation, object, r < 0 ? errno_text(r) : "Success");
	if (r == 0 && audited < 0)
		return errmsg_fail(&call->err, audited, EXIT_CODE_FAILED,
				   "%s %s: done, but the audit log cannot be written: %s",
				   operation, object, errno_text(audited));
	if (r < 0 && !call->err.text[0])
		return errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s %s: %s", operation, object,
				   errno_text(r));
	return r;
}
