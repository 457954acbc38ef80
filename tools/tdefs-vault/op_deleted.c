/* SPDX-License-Identifier: Apache-2.0 */
/* Soft delete: delete, recover, purge, and looking at what is deleted. */
#include <errno.h>

#include "api.h"

#define DAY 86400

static int refused(int r)
{
	return r < 0 ? r : ANSWERED;
}

int op_delete(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	struct key_state state;
	int r = db_begin(rq->db);

	if (r == 0)
		r = step_find(rq, a, &kv);
	if (r != 0)
		return r;
	r = key_mark_deleted(rq->db, rq->name, rq->now, rq->now + rq->vault->retention_days * DAY);
	if (r == 0)
		r = key_state(rq, rq->name, &state);
	if (r == 0)
		r = db_commit(rq->db);
	return r < 0 ? r : answer_json(a, key_deleted(rq, &state, key_bundle(rq, &kv)));
}

static int find_deleted(struct request *rq, struct answer *a, struct key_state *ret_state,
			struct key_version *ret_kv)
{
	int r = key_state(rq, rq->name, ret_state);

	if (r < 0)
		return r;
	if (!ret_state->exists || !ret_state->deleted)
		return refused(answer_deleted_key_not_found(a, rq));
	r = key_lookup(rq->db, rq->name, "", ret_kv);
	if (r == 0)
		return -EBADMSG;
	return r < 0 ? r : 0;
}

int op_get_deleted(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	struct key_state state;
	int r = find_deleted(rq, a, &state, &kv);

	return r != 0 ? r : answer_json(a, key_deleted(rq, &state, key_bundle(rq, &kv)));
}

int op_recover(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	struct key_state state;
	int r = db_begin(rq->db);

	if (r == 0)
		r = find_deleted(rq, a, &state, &kv);
	if (r != 0)
		return r;
	r = key_mark_recovered(rq->db, rq->name);
	if (r == 0)
		r = db_commit(rq->db);
	return r < 0 ? r : answer_json(a, key_bundle(rq, &kv));
}

int op_purge(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	struct key_state state;
	int r = db_begin(rq->db);

	if (r == 0)
		r = find_deleted(rq, a, &state, &kv);
	if (r != 0)
		return r;
	if (rq->vault->purge_protection)
		return answer_error(
			a, 403, "Forbidden", NULL,
			"Operation \"purge\" is not allowed because purge protection is "
			"enabled for this vault. Key Vault service will automatically purge "
			"it after the retention period has passed.\r\nVault: "
			"%s;location=" VAULT_LOCATION,
			rq->vault->name);
	r = key_purge(rq->db, rq->name);
	if (r == 0)
		r = db_commit(rq->db);
	if (r == 0)
		a->status = 204;
	return r;
}
