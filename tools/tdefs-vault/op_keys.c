/* SPDX-License-Identifier: Apache-2.0 */
/* Keys made, imported, read and changed. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "api.h"

#define TAGS_MAX     15
#define TAG_TEXT_MAX 256

static int refused(int r)
{
	return r < 0 ? r : ANSWERED;
}

int step_find(struct request *rq, struct answer *a, struct key_version *ret_kv)
{
	struct key_state state;
	int r = key_state(rq, rq->name, &state);

	if (r < 0)
		return r;
	if (!state.exists || state.deleted)
		return refused(answer_key_not_found(a, rq));
	r = key_lookup(rq->db, rq->name, rq->version, ret_kv);
	if (r == 0)
		return refused(answer_key_not_found(a, rq));
	if (r < 0)
		return r;
	key_kid(rq, ret_kv->name, ret_kv->version, a->kid, sizeof(a->kid));
	return 0;
}

int step_writable(struct request *rq, struct answer *a, struct key_state *ret_state)
{
	int r = key_state(rq, rq->name, ret_state);

	if (r < 0 || !ret_state->exists || !ret_state->deleted)
		return r;
	return refused(answer_error(
		a, 409, "Conflict", "ObjectIsDeletedButRecoverable",
		"Key %s is currently in a deleted but recoverable state, and its name cannot be "
		"reused; in this state, the key can only be recovered or purged.",
		rq->name));
}

static int invalid(struct answer *a)
{
	return refused(answer_bad_parameter(a, "Property has invalid value\r\n"));
}

/* An integer of seconds; absent and null leave it as it was. */
static bool take_time(const json_t *attributes, const char *name, int64_t *when)
{
	const json_t *value = json_object_get(attributes, name);

	if (!value || json_is_null(value))
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*when = json_integer_value(value);
	return true;
}

static bool take_ops(const json_t *list, unsigned *ops)
{
	unsigned bits = 0;
	const json_t *item;
	size_t i;

	if (!list || json_is_null(list))
		return true;
	if (!json_is_array(list))
		return false;
	json_array_foreach(list, i, item)
	{
		const char *name = json_string_value(item);
		unsigned bit = 0;

		for (unsigned op = 0; name && op < ARRAY_SIZE(key_op_names); op++)
			if (strcasecmp(name, key_op_names[op]) == 0)
				bit = 1U << op;
		if (!bit)
			return false;
		bits |= bit;
	}
	*ops = bits;
	return true;
}

static bool tags_fit(json_t *tags)
{
	const char *name;
	const json_t *value;

	if (!json_is_object(tags) || json_object_size(tags) > TAGS_MAX)
		return false;
	json_object_foreach(tags, name, value)
	{
		if (!json_is_string(value) || strlen(name) > TAG_TEXT_MAX ||
		    json_string_length(value) > TAG_TEXT_MAX)
			return false;
	}
	return true;
}

static int take_tags(json_t *tags, struct key_version *kv)
{
	char *text;

	if (!tags || json_is_null(tags))
		return 0;
	if (!tags_fit(tags))
		return -EINVAL;
	text = json_dumps(tags, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	free(kv->tags);
	kv->tags = text;
	return 0;
}

int step_attributes(struct request *rq, struct answer *a, const json_t *ops, struct key_version *kv)
{
	const json_t *attributes = json_object_get(rq->body, "attributes");
	const json_t *enabled = json_object_get(attributes, "enabled");
	int r;

	if (attributes && !json_is_null(attributes) && !json_is_object(attributes))
		return invalid(a);
	if (enabled && !json_is_null(enabled)) {
		if (!json_is_boolean(enabled))
			return invalid(a);
		kv->enabled = json_is_true(enabled);
	}
	if (json_is_true(json_object_get(attributes, "exportable")))
		return refused(answer_bad_parameter(a, "AKV.SKR.1001: Exportable keys are not "
						       "supported by this vault."));
	if (!take_time(attributes, "nbf", &kv->nbf) || !take_time(attributes, "exp", &kv->exp) ||
	    !take_ops(ops, &kv->ops))
		return invalid(a);
	r = take_tags(json_object_get(rq->body, "tags"), kv);
	return r == -EINVAL ? invalid(a) : r;
}

int op_get(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	int r = step_find(rq, a, &kv);

	return r != 0 ? r : answer_json(a, key_bundle(rq, &kv));
}

/* A fresh version with the request's attributes, before its key material. */
static int start_version(struct request *rq, struct answer *a, const json_t *ops,
			 struct key_version *kv)
{
	kv->enabled = true;
	kv->nbf = kv->exp = TIME_UNSET;
	kv->created = kv->updated = rq->now;
	kv->ops = OPS_DEFAULT;
	if (key_new_version(kv->version) < 0)
		return -EIO;
	return step_attributes(rq, a, ops, kv);
}

/* Seal and store; the first version's spelling of the name stays. */
static int store_version(struct request *rq, struct answer *a, EVP_PKEY *key,
			 struct key_version *kv)
{
	struct key_state state;
	int r = db_begin(rq->db);

	if (r == 0)
		r = step_writable(rq, a, &state);
	if (r != 0)
		return r;
	memcpy(kv->name, state.exists ? state.name : rq->name, sizeof(kv->name));
	r = key_seal(rq->vault, key, kv);
	if (r == 0)
		r = key_insert(rq->db, kv);
	if (r == 0)
		r = db_commit(rq->db);
	if (r < 0)
		return r;
	key_kid(rq, kv->name, kv->version, a->kid, sizeof(a->kid));
	return answer_json(a, key_bundle(rq, kv));
}

/* RSA of a supported size only; other types have the protocol's own error. */
static int check_type(struct answer *a, const json_t *kty)
{
	const char *name = json_string_value(kty);

	if (!name)
		return refused(answer_bad_parameter(a, "Property 'kty' is required.\r\n"));
	if (strcmp(name, "RSA") == 0)
		return 0;
	return refused(answer_error(a, 400, "BadParameter", "KeyTypeNotSupported",
				    "Invalid kty value: %.32s", name));
}

static int take_size(struct request *rq, struct answer *a, unsigned *ret_bits, unsigned *ret_e)
{
	const json_t *size = json_object_get(rq->body, "key_size");
	const json_t *e = json_object_get(rq->body, "public_exponent");

	*ret_bits = 2048;
	*ret_e = 65537;
	if (size && !json_is_null(size)) {
		if (!json_is_integer(size) || !rsa_bits_supported(json_integer_value(size)))
			return refused(answer_error(a, 400, "BadParameter", "KeySizeNotSupported",
						    "Unsupported key size"));
		*ret_bits = (unsigned)json_integer_value(size);
	}
	if (e && !json_is_null(e)) {
		/* Small exponents are refused by every current rule (FIPS 186-5, 5.1). */
		if (json_integer_value(e) != 65537)
			return invalid(a);
	}
	return 0;
}

int op_create(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	CLEANUP_PKEY EVP_PKEY *key = NULL;
	struct key_state state;
	unsigned bits, exponent;
	int r = check_type(a, json_object_get(rq->body, "kty"));

	if (r == 0)
		r = take_size(rq, a, &bits, &exponent);
	if (r == 0)
		r = start_version(rq, a, json_object_get(rq->body, "key_ops"), &kv);
	if (r == 0)
		r = step_writable(rq, a, &state);
	if (r == 0) {
		HEAVY_SCOPE(rq->vault);
		r = rsa_generate(bits, exponent, &key);
	}
	return r != 0 ? r : store_version(rq, a, key, &kv);
}

int op_import(struct request *rq, struct answer *a)
{
	const json_t *jwk = json_object_get(rq->body, "key");
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	CLEANUP_PKEY EVP_PKEY *key = NULL;
	int r;

	if (!json_is_object(jwk))
		return answer_bad_parameter(a, "Property 'key' is required.\r\n");
	if (json_is_true(json_object_get(rq->body, "Hsm")) || json_object_get(jwk, "key_hsm"))
		return answer_error(a, 400, "BadParameter", "KeyTypeNotSupported",
				    "Invalid kty value: RSA-HSM");
	r = check_type(a, json_object_get(jwk, "kty"));
	if (r == 0)
		r = start_version(rq, a, json_object_get(jwk, "key_ops"), &kv);
	if (r != 0)
		return r;
	{
		HEAVY_SCOPE(rq->vault);
		r = rsa_from_jwk(jwk, &key);
	}
	if (r == -ENOTSUP)
		return answer_error(a, 400, "BadParameter", "KeySizeNotSupported",
				    "Unsupported key size");
	if (r == -EINVAL)
		return answer_bad_parameter(a, "The parameter is incorrect.\r\n");
	return r < 0 ? r : store_version(rq, a, key, &kv);
}

int op_update(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	int r = db_begin(rq->db);

	if (r == 0)
		r = step_find(rq, a, &kv);
	if (r == 0)
		r = step_attributes(rq, a, json_object_get(rq->body, "key_ops"), &kv);
	if (r != 0)
		return r;
	kv.updated = rq->now;
	r = key_update(rq->db, &kv);
	if (r == 0)
		r = db_commit(rq->db);
	return r < 0 ? r : answer_json(a, key_bundle(rq, &kv));
}
