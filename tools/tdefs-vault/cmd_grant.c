/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs-vault grant, revoke: access policies. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "identity.h"

struct change {
	struct identity id;
	const char *key;
	uint32_t bits;
};

static int add_bits(struct call *call, struct local *local, void *arg)
{
	struct change *c = arg;
	int r = db_run(local->db,
		       "INSERT INTO grants(client_id, key, permissions) VALUES(?1, ?2, ?3) "
		       "ON CONFLICT(client_id, key) DO UPDATE SET permissions = permissions | ?3",
		       "ssi", c->id.client_id, c->key, (int64_t)c->bits);

	(void)call;
	return r < 0 ? r : 0;
}

static int drop_bits(struct call *call, struct local *local, void *arg)
{
	struct change *c = arg;
	int r = db_run(
		local->db,
		"UPDATE grants SET permissions = permissions & ~?3 WHERE client_id = ?1 AND key "
		"= ?2",
		"ssi", c->id.client_id, c->key, (int64_t)c->bits);

	if (r == 0) {
		errmsg_next(&call->err, "see " PROGRAM " identity list --data %s", call->data);
		return errmsg_fail(&call->err, -ENOENT, EXIT_CODE_FAILED,
				   "identity %s has no permissions on %s to revoke", c->id.name,
				   c->key);
	}
	if (r >= 0)
		r = db_run(local->db, "DELETE FROM grants WHERE permissions = 0", "");
	return r < 0 ? r : 0;
}

static bool key_fits(const char *key)
{
	const char *p = key;

	if (strcmp(key, "*") == 0)
		return true;
	while (isalnum((unsigned char)*p) || *p == '-')
		p++;
	return p != key && *p == '\0' && p - key <= KEY_NAME_MAX;
}

static int take_arguments(struct call *call, struct local *local, struct change *c)
{
	char bad[64] = "";
	int r = identity_by_name(local->db, call->args[0], &c->id);

	if (r < 0)
		return r;
	if (r == 0) {
		errmsg_next(&call->err, "add it: " PROGRAM " identity add %s --data %s",
			    call->args[0], call->data);
		return errmsg_fail(&call->err, -ENOENT, EXIT_CODE_FAILED,
				   "identity %s: there is none", call->args[0]);
	}
	c->key = call->args[1];
	if (!key_fits(c->key)) {
		errmsg_next(&call->err, "give a key's name, or '*' for all");
		return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "%s: not a key's name",
				   c->key);
	}
	c->bits = permissions_parse(call->args[2], bad, sizeof(bad));
	if (!c->bits) {
		char names[256];

		errmsg_next(&call->err, "permissions are all, or of: %s",
			    permissions_format(PERMISSION_ALL, names, sizeof(names)));
		return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "%s: no such permission",
				   bad);
	}
	return 0;
}

static int run(struct call *call, const char *verb, local_change change)
{
	struct change c = { 0 };
	struct local local;
	char object[512], names[256];
	int r = local_open(call, false, &local);

	if (r < 0)
		return call_failed(call);
	r = take_arguments(call, &local, &c);
	if (r == 0) {
		(void)snprintf(object, sizeof(object), "%s %s %s", c.id.name, c.key,
			       permissions_format(c.bits, names, sizeof(names)));
		r = local_commit(call, &local, verb, object, change, &c);
	}
	identity_release(&c.id);
	local_close(&local);
	return r < 0 ? call_errno(call, r, verb) : call_done(call);
}

int verb_grant(struct call *call)
{
	return run(call, "grant", add_bits);
}

int verb_revoke(struct call *call)
{
	return run(call, "revoke", drop_bits);
}
