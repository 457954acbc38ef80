/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation and its policy. When the policy is due is maintain.c's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api.h"
#include "duration.h"

#define ACTION_MIN_DAYS 7
#define EXPIRY_MIN_DAYS 28

/* `exp` of a version made now, by the key's policy. */
static int policy_expiry(sqlite3 *db, const char *name, int64_t now, int64_t *ret_exp)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	CLEANUP_JSON json_t *policy = NULL;
	const char *text;
	struct duration d;
	int r = db_prepare(db, &stmt, "SELECT policy FROM keys WHERE name = ?", "s", name);

	*ret_exp = TIME_UNSET;
	if (r == 0)
		r = db_step(stmt);
	if (r <= 0)
		return r;
	policy = json_loads(db_text(stmt, 0), 0, NULL);
	text = json_string_value(json_object_get(policy, "expiryTime"));
	if (text && duration_parse(text, &d) == 0)
		*ret_exp = duration_after(now, &d);
	return 0;
}

int rotate_key(const struct vault *v, sqlite3 *db, int64_t now, const struct key_version *old,
	       struct key_version *ret_kv)
{
	struct key_version kv = { .enabled = true, .nbf = TIME_UNSET, .exp = TIME_UNSET };
	CLEANUP_PKEY EVP_PKEY *key = NULL;
	int r;

	memcpy(kv.name, old->name, sizeof(kv.name));
	kv.created = kv.updated = now;
	kv.ops = old->ops;
	{
		HEAVY_SCOPE(v);
		r = rsa_generate((unsigned)old->public.n_len * 8, 65537, &key);
	}
	if (r == 0)
		r = key_new_version(kv.version);
	if (r == 0)
		r = policy_expiry(db, kv.name, now, &kv.exp);
	if (r == 0)
		r = key_seal(v, key, &kv);
	if (r < 0)
		key_version_release(&kv);
	else
		*ret_kv = kv;
	return r;
}

int op_rotate(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version old = { 0 };
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	CLEANUP_KEY_VERSION struct key_version again = { 0 };
	int r = step_find(rq, a, &old);

	if (r == 0)
		r = rotate_key(rq->vault, rq->db, rq->now, &old, &kv);
	if (r == 0)
		r = db_begin(rq->db);
	if (r == 0)
		r = step_find(rq, a, &again); /* not deleted meanwhile */
	if (r == 0)
		r = key_insert(rq->db, &kv);
	if (r == 0)
		r = db_commit(rq->db);
	if (r != 0)
		return r;
	key_kid(rq, kv.name, kv.version, a->kid, sizeof(a->kid));
	return answer_json(a, key_bundle(rq, &kv));
}

static json_t *policy_json(const struct request *rq, const char *name, json_t *policy,
			   int64_t created, int64_t updated)
{
	char id[512];
	json_t *attributes = json_object();
	json_t *expiry = json_object_get(policy, "expiryTime");

	(void)snprintf(id, sizeof(id), "%s/keys/%s/rotationpolicy", rq->base, name);
	if (attributes && expiry)
		(void)json_object_set(attributes, "expiryTime", expiry);
	if (attributes && created) {
		(void)json_object_set_new(attributes, "created", json_integer(created));
		(void)json_object_set_new(attributes, "updated", json_integer(updated));
	}
	return json_pack("{s:s, s:O, s:o}", "id", id, "lifetimeActions",
			 json_object_get(policy, "lifetimeActions"), "attributes", attributes);
}

static json_t *default_policy(void)
{
	return json_pack("{s:[{s:{s:s}, s:{s:s}}]}", "lifetimeActions", "trigger",
			 "timeBeforeExpiry", "P30D", "action", "type", "Notify");
}

int op_get_policy(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	CLEANUP_JSON json_t *policy = NULL;
	int r = step_find(rq, a, &kv);

	if (r == 0)
		r = db_prepare(
			rq->db, &stmt,
			"SELECT policy, policy_created, policy_updated FROM keys WHERE name = ?",
			"s", rq->name);
	if (r != 0)
		return r;
	r = db_step(stmt);
	if (r < 0)
		return r;
	policy = json_loads(db_text(stmt, 0), 0, NULL);
	if (!policy)
		policy = default_policy();
	return answer_json(a, policy_json(rq, kv.name, policy, sqlite3_column_int64(stmt, 1),
					  sqlite3_column_int64(stmt, 2)));
}

/* A duration of at least `min_days`, or absent. */
static bool duration_fits(const json_t *value, int min_days)
{
	struct duration d;

	if (!value || json_is_null(value))
		return true;
	return json_is_string(value) && duration_parse(json_string_value(value), &d) == 0 &&
	       duration_days(&d) >= min_days;
}

/* One lifetime action in the form Azure answers; NULL when it is not one. */
static json_t *clean_action(const json_t *action)
{
	json_t *trigger = json_object_get(action, "trigger");
	json_t *after = json_object_get(trigger, "timeAfterCreate");
	json_t *before = json_object_get(trigger, "timeBeforeExpiry");
	const char *type =
		json_string_value(json_object_get(json_object_get(action, "action"), "type"));
	const char *clean = !type			      ? NULL
			    : strcasecmp(type, "rotate") == 0 ? "Rotate"
			    : strcasecmp(type, "notify") == 0 ? "Notify"
							      : NULL;
	bool use_after = json_is_string(after);

	if (!clean || use_after == json_is_string(before) ||
	    !duration_fits(use_after ? after : before, ACTION_MIN_DAYS))
		return NULL;
	return json_pack("{s:{s:O}, s:{s:s}}", "trigger",
			 use_after ? "timeAfterCreate" : "timeBeforeExpiry",
			 use_after ? after : before, "action", "type", clean);
}

/* The policy as it is stored: {lifetimeActions, expiryTime}; NULL when it is not one. */
static json_t *clean_policy(const json_t *body)
{
	const json_t *actions = json_object_get(body, "lifetimeActions");
	json_t *expiry = json_object_get(json_object_get(body, "attributes"), "expiryTime");
	CLEANUP_JSON json_t *clean = json_array();
	const json_t *action;
	json_t *policy;
	size_t i;

	if (!duration_fits(expiry, EXPIRY_MIN_DAYS) || json_array_size(actions) > 2)
		return NULL;
	json_array_foreach(actions, i, action)
	{
		if (json_array_append_new(clean, clean_action(action)) != 0)
			return NULL;
	}
	policy = json_pack("{s:O}", "lifetimeActions", clean);
	if (policy && json_is_string(expiry))
		(void)json_object_set(policy, "expiryTime", expiry);
	return policy;
}

static int save_policy(struct request *rq, json_t *policy)
{
	CLEANUP_FREE char *text = json_dumps(policy, JSON_COMPACT);
	int r;

	if (!text)
		return -ENOMEM;
	r = db_run(rq->db,
		   "UPDATE keys SET policy = ?1, policy_created = coalesce(policy_created, ?2), "
		   "policy_updated = ?2 WHERE name = ?3",
		   "sis", text, rq->now, rq->name);
	return r < 0 ? r : db_commit(rq->db);
}

int op_set_policy(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	CLEANUP_JSON json_t *policy = clean_policy(rq->body);
	int64_t created;
	int r;

	if (!policy)
		return answer_bad_parameter(a, "Property has invalid value\r\n");
	r = db_begin(rq->db);
	if (r == 0)
		r = step_find(rq, a, &kv);
	if (r == 0)
		r = save_policy(rq, policy);
	if (r == 0)
		r = db_number(rq->db, &created, "SELECT policy_created FROM keys WHERE name = ?",
			      "s", rq->name);
	return r != 0 ? r : answer_json(a, policy_json(rq, kv.name, policy, created, rq->now));
}
