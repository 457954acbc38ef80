/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as Key Vault's JSON: bundles, list items, what each api-version shows. */
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "keys.h"
#include "tdefs/base64url.h"

const char *const key_op_names[8] = { "encrypt", "decrypt",   "sign",	"verify",
				      "wrapKey", "unwrapKey", "import", "export" };

void key_kid(const struct request *rq, const char *name, const char *version, char *out, size_t len)
{
	(void)snprintf(out, len, "%s/keys/%s%s%s", rq->base, name, version[0] ? "/" : "", version);
}

static const char *recovery_level(const struct vault *v)
{
	bool custom = v->retention_days != DEFAULT_RETENTION_DAYS;

	if (v->purge_protection)
		return custom ? "CustomizedRecoverable" : "Recoverable";
	return custom ? "CustomizedRecoverable+Purgeable" : "Recoverable+Purgeable";
}

static int set_number(json_t *object, const char *name, int64_t number)
{
	return json_object_set_new(object, name, json_integer(number));
}

static int fill_attributes(json_t *o, const struct request *rq, const struct key_version *kv)
{
	int failed = json_object_set_new(o, "enabled", json_boolean(kv->enabled));

	if (kv->nbf != TIME_UNSET)
		failed |= set_number(o, "nbf", kv->nbf);
	if (kv->exp != TIME_UNSET)
		failed |= set_number(o, "exp", kv->exp);
	failed |= set_number(o, "created", kv->created);
	failed |= set_number(o, "updated", kv->updated);
	if (api_at_least(rq->api, "2016-10-01"))
		failed |= json_object_set_new(o, "recoveryLevel",
					      json_string(recovery_level(rq->vault)));
	if (api_at_least(rq->api, "7.1"))
		failed |= set_number(o, "recoverableDays", rq->vault->retention_days);
	if (api_at_least(rq->api, "7.3"))
		failed |= json_object_set_new(o, "exportable", json_false());
	if (api_at_least(rq->api, "7.5-preview.1"))
		failed |= json_object_set_new(o, "hsmPlatform", json_string("0"));
	return failed;
}

static json_t *attributes(const struct request *rq, const struct key_version *kv)
{
	json_t *o = json_object();

	if (o && fill_attributes(o, rq, kv) != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *ops_list(unsigned ops)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < ARRAY_SIZE(key_op_names); i++)
		if (ops >> i & 1)
			(void)json_array_append_new(list, json_string(key_op_names[i]));
	return list;
}

static int set_tags(json_t *object, const struct key_version *kv)
{
	return kv->tags ? json_object_set_new(object, "tags", json_loads(kv->tags, 0, NULL)) : 0;
}

json_t *key_bundle(const struct request *rq, const struct key_version *kv)
{
	char n[BASE64URL_LEN(RSA_MAX_LEN)], e[BASE64URL_LEN(RSA_E_MAX)], kid[512];
	json_t *bundle;

	key_kid(rq, kv->name, kv->version, kid, sizeof(kid));
	base64url_encode(kv->public.n, kv->public.n_len, n);
	base64url_encode(kv->public.e, kv->public.e_len, e);
	bundle = json_pack("{s:{s:s, s:s, s:o, s:s, s:s}, s:o}", "key", "kid", kid, "kty", "RSA",
			   "key_ops", ops_list(kv->ops), "n", n, "e", e, "attributes",
			   attributes(rq, kv));
	if (bundle && set_tags(bundle, kv) != 0) {
		json_decref(bundle);
		return NULL;
	}
	return bundle;
}

json_t *key_item(const struct request *rq, const struct key_version *kv, bool with_version)
{
	char kid[512];
	json_t *item;

	key_kid(rq, kv->name, with_version ? kv->version : "", kid, sizeof(kid));
	item = json_pack("{s:s, s:o}", "kid", kid, "attributes", attributes(rq, kv));
	if (item && set_tags(item, kv) != 0) {
		json_decref(item);
		return NULL;
	}
	return item;
}

json_t *key_deleted(const struct request *rq, const struct key_state *state, json_t *object)
{
	char id[512];
	json_t *deleted;

	(void)snprintf(id, sizeof(id), "%s/deletedkeys/%s", rq->base, state->name);
	deleted = json_pack("{s:s, s:I, s:I}", "recoveryId", id, "deletedDate",
			    (json_int_t)state->deleted_at, "scheduledPurgeDate",
			    (json_int_t)state->purge_at);
	if (!object || (deleted && json_object_update(deleted, object) != 0)) {
		json_decref(deleted);
		deleted = NULL;
	}
	json_decref(object);
	return deleted;
}
