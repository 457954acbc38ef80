/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One key backed up and restored through the protocol. The blob is the key's
 * rows, sealed under the master key: only a vault with that key reads it, as
 * Azure's are read only in one subscription. The whole vault is cmd_backup.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "tdefs/base64url.h"

#define BLOB_MAGIC "&TdefsVaultKeyBackupV1."
#define BLOB_LABEL "key-backup"
#define BLOB_MAX   (1U << 20)

static int refused(int r)
{
	return r < 0 ? r : ANSWERED;
}

static json_t *b64_json(const void *data, size_t len)
{
	CLEANUP_FREE char *text = base64url_encode_new(data, len);

	return text ? json_string(text) : NULL;
}

/* The private part stays sealed as it is, bound to its name and version. */
static json_t *version_json(const struct key_version *kv)
{
	return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:i, s:s*, s:o, s:o, s:o}", "version",
			 kv->version, "enabled", kv->enabled, "nbf", (json_int_t)kv->nbf, "exp",
			 (json_int_t)kv->exp, "created", (json_int_t)kv->created, "updated",
			 (json_int_t)kv->updated, "ops", (int)kv->ops, "tags", kv->tags, "n",
			 b64_json(kv->public.n, kv->public.n_len), "e",
			 b64_json(kv->public.e, kv->public.e_len), "sealed",
			 b64_json(kv->sealed, kv->sealed_len));
}

static int collect(struct request *rq, json_t *versions)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	int r = db_prepare(rq->db, &stmt,
			   "SELECT " KEY_COLUMNS "FROM versions WHERE name = ? ORDER BY seq", "s",
			   rq->name);

	if (r < 0)
		return r;
	while ((r = db_step(stmt)) == 1) {
		CLEANUP_KEY_VERSION struct key_version kv = { 0 };

		r = key_read_row(stmt, &kv);
		if (r < 0)
			return r;
		if (json_array_append_new(versions, version_json(&kv)) != 0)
			return -ENOMEM;
	}
	return r;
}

static int answer_blob(struct request *rq, struct answer *a, const char *text)
{
	CLEANUP_FREE uint8_t *sealed = NULL, *blob = NULL;
	size_t len, magic = sizeof(BLOB_MAGIC) - 1;
	int r = seal(rq->vault->master, BLOB_LABEL, text, strlen(text), &sealed, &len);

	if (r < 0)
		return r;
	blob = malloc(magic + len);
	if (!blob)
		return -ENOMEM;
	memcpy(blob, BLOB_MAGIC, magic);
	memcpy(blob + magic, sealed, len);
	return answer_json(a, json_pack("{s:o}", "value", b64_json(blob, magic + len)));
}

int op_backup(struct request *rq, struct answer *a)
{
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	CLEANUP_JSON json_t *versions = json_array();
	CLEANUP_JSON json_t *object = NULL;
	CLEANUP_FREE char *text = NULL;
	int r = step_find(rq, a, &kv);

	if (r == 0)
		r = collect(rq, versions);
	if (r != 0)
		return r;
	object = json_pack("{s:s, s:O}", "name", kv.name, "versions", versions);
	text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	return text ? answer_blob(rq, a, text) : -ENOMEM;
}

static int open_blob(const struct request *rq, json_t **ret_object)
{
	const json_t *value = json_object_get(rq->body, "value");
	size_t magic = sizeof(BLOB_MAGIC) - 1;
	CLEANUP_SECRET struct secret *text = NULL;
	CLEANUP_FREE uint8_t *blob = malloc(BLOB_MAX);
	ssize_t n;
	int r;

	if (!blob)
		return -ENOMEM;
	n = json_is_string(value) ? base64url_decode(json_string_value(value),
						     json_string_length(value), blob, BLOB_MAX)
				  : -EINVAL;
	if (n < (ssize_t)magic || memcmp(blob, BLOB_MAGIC, magic) != 0)
		return -EINVAL;
	r = unseal(rq->vault->master, BLOB_LABEL, blob + magic, (size_t)n - magic, &text);
	if (r < 0)
		return r == -EBADMSG ? -EINVAL : r;
	*ret_object = json_loadb((const char *)secret_view(text), secret_len(text), 0, NULL);
	return *ret_object ? 0 : -EINVAL;
}

static ssize_t decode_member(const json_t *object, const char *name, uint8_t *out, size_t max)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? base64url_decode(json_string_value(value),
							json_string_length(value), out, max)
				     : -EINVAL;
}

static int read_version(const json_t *o, const char *name, struct key_version *kv)
{
	const char *tags = json_string_value(json_object_get(o, "tags"));
	const char *version = json_string_value(json_object_get(o, "version"));
	ssize_t n = decode_member(o, "n", kv->public.n, RSA_MAX_LEN);
	ssize_t e = decode_member(o, "e", kv->public.e, RSA_E_MAX);
	size_t room = json_string_length(json_object_get(o, "sealed"));
	ssize_t sealed;

	kv->sealed = malloc(room + 1);
	kv->tags = tags ? strdup(tags) : NULL;
	if (!kv->sealed || (tags && !kv->tags))
		return -ENOMEM;
	sealed = decode_member(o, "sealed", kv->sealed, room);
	if (n <= 0 || e <= 0 || sealed <= 0 || !version)
		return -EINVAL;
	(void)snprintf(kv->name, sizeof(kv->name), "%s", name);
	(void)snprintf(kv->version, sizeof(kv->version), "%s", version);
	kv->public.n_len = (size_t)n;
	kv->public.e_len = (size_t)e;
	kv->sealed_len = (size_t)sealed;
	kv->enabled = json_is_true(json_object_get(o, "enabled"));
	kv->nbf = json_integer_value(json_object_get(o, "nbf"));
	kv->exp = json_integer_value(json_object_get(o, "exp"));
	kv->created = json_integer_value(json_object_get(o, "created"));
	kv->updated = json_integer_value(json_object_get(o, "updated"));
	kv->ops = (unsigned)json_integer_value(json_object_get(o, "ops"));
	return 0;
}

static int insert_all(struct request *rq, const json_t *object)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(object, "versions"), i, item)
	{
		CLEANUP_KEY_VERSION struct key_version kv = { 0 };
		int r = read_version(item, rq->name, &kv);

		if (r == 0)
			r = key_insert(rq->db, &kv);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_absent(struct request *rq, struct answer *a)
{
	struct key_state state;
	int r = step_writable(rq, a, &state);

	if (r != 0 || !state.exists)
		return r;
	return refused(answer_error(a, 409, "Conflict", NULL,
				    "A key with the name %s already exists in this vault.",
				    rq->name));
}

int op_restore(struct request *rq, struct answer *a)
{
	CLEANUP_JSON json_t *object = NULL;
	CLEANUP_KEY_VERSION struct key_version kv = { 0 };
	int r = open_blob(rq, &object);
	const char *name = json_string_value(json_object_get(object, "name"));

	if (r == -EINVAL || (r == 0 && !name))
		return answer_bad_parameter(a, "Backup blob is not valid.");
	if (r < 0)
		return r;
	(void)snprintf(rq->name, sizeof(rq->name), "%s", name);
	key_kid(rq, rq->name, "", a->kid, sizeof(a->kid));
	r = db_begin(rq->db);
	if (r == 0)
		r = check_absent(rq, a);
	if (r == 0)
		r = insert_all(rq, object);
	if (r == 0)
		r = db_commit(rq->db);
	if (r == 0)
		r = step_find(rq, a, &kv);
	return r != 0 ? r : answer_json(a, key_bundle(rq, &kv));
}
