/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds of upkeep: retention that is over, rotations that are due, the certificate. */
#include "maintain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/log.h"

#include "api.h"
#include "audit.h"
#include "cert.h"
#include "duration.h"
#include "tls.h"

/* When the policy's Rotate action is due for this version; TIME_UNSET: never. */
static int64_t rotation_due(const json_t *policy, const struct key_version *kv)
{
	const json_t *action;
	size_t i;

	json_array_foreach(json_object_get(policy, "lifetimeActions"), i, action)
	{
		const json_t *trigger = json_object_get(action, "trigger");
		const char *type = json_string_value(
			json_object_get(json_object_get(action, "action"), "type"));
		const char *after = json_string_value(json_object_get(trigger, "timeAfterCreate"));
		const char *before =
			json_string_value(json_object_get(trigger, "timeBeforeExpiry"));
		struct duration d;

		if (!type || strcmp(type, "Rotate") != 0)
			continue;
		if (after && duration_parse(after, &d) == 0)
			return duration_after(kv->created, &d);
		if (before && kv->exp != TIME_UNSET && duration_parse(before, &d) == 0)
			return duration_before(kv->exp, &d);
	}
	return TIME_UNSET;
}

static int store_rotated(sqlite3 *db, const struct key_version *old, struct key_version *kv)
{
	CLEANUP_KEY_VERSION struct key_version newest = { 0 };
	int64_t deleted;
	int r = db_begin(db);

	if (r == 0)
		r = db_number(db, &deleted, "SELECT deleted IS NOT NULL FROM keys WHERE name = ?",
			      "s", old->name);
	if (r == 0)
		r = key_lookup(db, old->name, "", &newest) == 1 && !deleted &&
				    newest.seq == old->seq
			    ? key_insert(db, kv)
			    : -ESTALE; /* somebody else was faster */
	if (r == 0)
		r = db_commit(db);
	if (r < 0)
		db_rollback(db);
	return r;
}

static void rotate_if_due(const struct vault *v, sqlite3 *db, int64_t now, const char *name,
			  const char *policy_text)
{
	CLEANUP_KEY_VERSION struct key_version old = { 0 };
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	CLEANUP_JSON json_t *policy = json_loads(policy_text, 0, NULL);
	int64_t due;
	int r = key_lookup(db, name, "", &old);

	due = r == 1 ? rotation_due(policy, &old) : TIME_UNSET;
	if (due == TIME_UNSET || due > now || !old.enabled)
		return;
	r = rotate_key(v, db, now, &old, &kv);
	if (r == 0)
		r = store_rotated(db, &old, &kv);
	if (r == -ESTALE)
		return;
	if (r < 0) {
		log_error("key %s: rotation by its policy failed: %s", name, errno_text(r));
		return;
	}
	log_info("key %s: rotated by its policy", name);
	r = audit_local(v, "rotate by policy", name, "Success");
	if (r < 0)
		log_error("the audit log cannot be written: %s", errno_text(r));
}

static json_t *keys_with_policy(sqlite3 *db)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	json_t *all = json_object();

	if (db_prepare(db, &stmt,
		       "SELECT name, policy FROM keys WHERE policy IS NOT NULL AND deleted IS NULL",
		       "") == 0)
		while (db_step(stmt) == 1)
			(void)json_object_set_new(all, db_text(stmt, 0),
						  json_string(db_text(stmt, 1)));
	return all;
}

static void rotate_due(const struct vault *v, sqlite3 *db, int64_t now)
{
	CLEANUP_JSON json_t *all = keys_with_policy(db);
	const json_t *policy;
	const char *name;

	json_object_foreach(all, name, policy)
		rotate_if_due(v, db, now, name, json_string_value(policy));
}

static void purge_due(const struct vault *v, sqlite3 *db, int64_t now)
{
	int r = key_purge_expired(db, now);
	char count[32];

	if (r == 0)
		return;
	if (r < 0) {
		log_error("deleted keys past their retention cannot be purged: %s", errno_text(r));
		return;
	}
	(void)snprintf(count, sizeof(count), "%d", r);
	log_info("purged %d deleted keys past their retention", r);
	r = audit_local(v, "purge by retention", count, "Success");
	if (r < 0)
		log_error("the audit log cannot be written: %s", errno_text(r));
}

static void renew_certificate(const struct vault *v, sqlite3 *db, int64_t now, const char *names)
{
	struct server_cert cert = { 0 };
	int64_t ca, server;
	bool renewed = false;
	int r;

	cert_expiry(db, &ca, &server);
	if (!cert_is_due(ca, server, now))
		return;
	r = cert_prepare(v, db, names, now, &cert, &renewed);
	if (r == 0 && renewed)
		r = tls_use(&cert);
	if (r < 0)
		log_error("the server certificate cannot be renewed: %s", errno_text(r));
	else if (renewed)
		log_info("renewed the server certificate");
	cert_release(&cert);
}

void maintain(const struct vault *v, sqlite3 *db, const char *cert_names)
{
	int64_t now = vault_now(v, db);

	purge_due(v, db, now);
	rotate_due(v, db, now);
	renew_certificate(v, db, now, cert_names);
}
