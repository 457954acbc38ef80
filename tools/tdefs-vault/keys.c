/* SPDX-License-Identifier: Apache-2.0 */
/* Keys in the database. Their JSON is keyjson.c's, their use rsause.c's. */
#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/crypto.h"

#include "certmake.h"

void key_version_release(struct key_version *kv)
{
	free(kv->tags);
	free(kv->sealed);
	kv->tags = NULL;
	kv->sealed = NULL;
}

int key_new_version(char out[static VERSION_LEN])
{
	uint8_t id[16];

	if (random_bytes(id, sizeof(id)) < 0)
		return -EIO;
	hex_encode(id, sizeof(id), out);
	return 0;
}

int key_state(const struct request *rq, const char *name, struct key_state *ret)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	struct key_state state = { 0 };
	int r = db_prepare(rq->db, &stmt, "SELECT name, deleted, purge FROM keys WHERE name = ?",
			   "s", name);

	if (r == 0)
		r = db_step(stmt);
	if (r == 1) {
		db_copy_text(stmt, 0, state.name, sizeof(state.name));
		state.deleted = sqlite3_column_type(stmt, 1) != SQLITE_NULL;
		state.deleted_at = sqlite3_column_int64(stmt, 1);
		state.purge_at = sqlite3_column_int64(stmt, 2);
		state.exists = !state.deleted || state.purge_at > rq->now;
	}
	if (r >= 0)
		*ret = state;
	return r < 0 ? r : 0;
}

static int64_t time_column(sqlite3_stmt *stmt, int i)
{
	return sqlite3_column_type(stmt, i) == SQLITE_NULL ? TIME_UNSET
							   : sqlite3_column_int64(stmt, i);
}

static int copy_number(sqlite3_stmt *stmt, int i, uint8_t *out, size_t max, size_t *ret_len)
{
	size_t len = (size_t)sqlite3_column_bytes(stmt, i);

	if (len == 0 || len > max)
		return -EBADMSG;
	memcpy(out, sqlite3_column_blob(stmt, i), len);
	*ret_len = len;
	return 0;
}

int key_read_row(sqlite3_stmt *stmt, struct key_version *ret)
{
	struct key_version kv = { 0 };
	const char *tags = (const char *)sqlite3_column_text(stmt, 9);

	db_copy_text(stmt, 0, kv.name, sizeof(kv.name));
	db_copy_text(stmt, 1, kv.version, sizeof(kv.version));
	kv.seq = sqlite3_column_int64(stmt, 2);
	kv.enabled = sqlite3_column_int64(stmt, 3) != 0;
	kv.nbf = time_column(stmt, 4);
	kv.exp = time_column(stmt, 5);
	kv.created = sqlite3_column_int64(stmt, 6);
	kv.updated = sqlite3_column_int64(stmt, 7);
	kv.ops = (unsigned)sqlite3_column_int64(stmt, 8);
	if (copy_number(stmt, 10, kv.public.n, RSA_MAX_LEN, &kv.public.n_len) < 0 ||
	    copy_number(stmt, 11, kv.public.e, RSA_E_MAX, &kv.public.e_len) < 0)
		return -EBADMSG;
	kv.sealed_len = (size_t)sqlite3_column_bytes(stmt, 12);
	kv.sealed = malloc(kv.sealed_len + 1);
	kv.tags = tags ? strdup(tags) : NULL;
	if (!kv.sealed || (tags && !kv.tags)) {
		key_version_release(&kv);
		return -ENOMEM;
	}
	if (kv.sealed_len)
		memcpy(kv.sealed, sqlite3_column_blob(stmt, 12), kv.sealed_len);
	*ret = kv;
	return 1;
}

int key_lookup(sqlite3 *db, const char *name, const char *version, struct key_version *ret)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	int r = db_prepare(db, &stmt,
			   "SELECT " KEY_COLUMNS "FROM versions WHERE name = ?1 AND "
			   "(?2 = '' OR version = ?2) ORDER BY seq DESC LIMIT 1",
			   "ss", name, version);

	if (r == 0)
		r = db_step(stmt);
	return r == 1 ? key_read_row(stmt, ret) : r;
}

/* SQL NULL for an unset time. */
static int set_time(sqlite3 *db, const char *sql, int64_t when, int64_t seq)
{
	return when == TIME_UNSET ? 0 : db_run(db, sql, "ii", when, seq);
}

static int set_times(sqlite3 *db, const struct key_version *kv)
{
	int r = db_run(db, "UPDATE versions SET nbf = NULL, exp = NULL WHERE seq = ?", "i",
		       kv->seq);

	if (r >= 0)
		r = set_time(db, "UPDATE versions SET nbf = ? WHERE seq = ?", kv->nbf, kv->seq);
	if (r >= 0)
		r = set_time(db, "UPDATE versions SET exp = ? WHERE seq = ?", kv->exp, kv->seq);
	return r < 0 ? r : 0;
}

int key_insert(sqlite3 *db, struct key_version *kv)
{
	int r = db_run(db, "INSERT OR IGNORE INTO keys(name) VALUES(?)", "s", kv->name);

	if (r >= 0)
		r = db_run(
			db,
			"INSERT INTO versions(name, version, enabled, created, updated, ops, tags, "
			"n, e, sealed) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			"ssiiiisbbb", kv->name, kv->version, (int64_t)kv->enabled, kv->created,
			kv->updated, (int64_t)kv->ops, kv->tags, kv->public.n, kv->public.n_len,
			kv->public.e, kv->public.e_len, kv->sealed, kv->sealed_len);
	if (r < 0)
		return r;
	kv->seq = sqlite3_last_insert_rowid(db);
	return set_times(db, kv);
}

int key_update(sqlite3 *db, const struct key_version *kv)
{
	int r = db_run(
		db, "UPDATE versions SET enabled = ?, updated = ?, ops = ?, tags = ? WHERE seq = ?",
		"iiisi", (int64_t)kv->enabled, kv->updated, (int64_t)kv->ops, kv->tags, kv->seq);

	return r < 0 ? r : set_times(db, kv);
}

int key_mark_deleted(sqlite3 *db, const char *name, int64_t now, int64_t purge_at)
{
	int r = db_run(db, "UPDATE keys SET deleted = ?, purge = ? WHERE name = ?", "iis", now,
		       purge_at, name);

	return r < 0 ? r : 0;
}

int key_mark_recovered(sqlite3 *db, const char *name)
{
	int r = db_run(db, "UPDATE keys SET deleted = NULL, purge = NULL WHERE name = ?", "s",
		       name);

	return r < 0 ? r : 0;
}

int key_purge(sqlite3 *db, const char *name)
{
	int r = db_run(db, "DELETE FROM versions WHERE name = ?", "s", name);

	if (r >= 0)
		r = db_run(db, "DELETE FROM keys WHERE name = ?", "s", name);
	return r < 0 ? r : 0;
}

static const char expired[] = "SELECT name FROM keys WHERE deleted IS NOT NULL AND purge <= ?1";

static int purge_all(sqlite3 *db, int64_t now)
{
	int r = db_run(db,
		       "DELETE FROM versions WHERE name IN (SELECT name FROM keys WHERE deleted IS "
		       "NOT NULL AND purge <= ?)",
		       "i", now);

	if (r >= 0)
		r = db_run(db, "DELETE FROM keys WHERE deleted IS NOT NULL AND purge <= ?", "i",
			   now);
	return r;
}

int key_purge_expired(sqlite3 *db, int64_t now)
{
	int64_t any;
	int r = db_number(db, &any, expired, "i", now);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = db_begin(db);
	if (r == 0) {
		int purged = purge_all(db, now);

		r = purged < 0 ? purged : db_commit(db);
		if (r == 0)
			return purged;
	}
	db_rollback(db);
	return r;
}

static void seal_label(const struct key_version *kv, char *out, size_t len)
{
	(void)snprintf(out, len, "key/%s/%s", kv->name, kv->version);
}

int key_private(const struct vault *v, const struct key_version *kv, EVP_PKEY **ret_key)
{
	CLEANUP_SECRET struct secret *der = NULL;
	char label[192];
	int r;

	seal_label(kv, label, sizeof(label));
	r = unseal(v->master, label, kv->sealed, kv->sealed_len, &der);
	return r < 0 ? r : rsa_from_der(der, ret_key);
}

int key_seal(const struct vault *v, const EVP_PKEY *key, struct key_version *kv)
{
	CLEANUP_SECRET struct secret *der = NULL;
	char label[192];
	int r = rsa_get_public(key, &kv->public);

	if (r == 0)
		r = cert_key_to_der(key, &der);
	if (r < 0)
		return r;
	seal_label(kv, label, sizeof(label));
	return seal(v->master, label, secret_view(der), secret_len(der), &kv->sealed,
		    &kv->sealed_len);
}
