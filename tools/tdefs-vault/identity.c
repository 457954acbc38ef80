/* SPDX-License-Identifier: Apache-2.0 */
/* Identities and access policies as they stand in the database. */
#include "identity.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *const permission_names[] = {
	"get",	   "list",	"create",  "import",	     "update",	"delete", "recover",
	"purge",   "backup",	"restore", "encrypt",	     "decrypt", "sign",	  "verify",
	"wrapKey", "unwrapKey", "rotate",  "rotationPolicy", NULL,
};

static_assert(PERMISSION_ALL == (UINT32_C(1) << (ARRAY_SIZE(permission_names) - 1)) - 1,
	      "a bit each");

uint32_t permission_bit(const char *name)
{
	/* Azure has two for the policy of rotation; here they go together. */
	if (strcasecmp(name, "getrotationpolicy") == 0 ||
	    strcasecmp(name, "setrotationpolicy") == 0)
		name = "rotationPolicy";
	for (unsigned i = 0; permission_names[i]; i++)
		if (strcasecmp(permission_names[i], name) == 0)
			return UINT32_C(1) << i;
	return 0;
}

uint32_t permissions_parse(const char *text, char *bad, size_t bad_len)
{
	uint32_t bits = 0;
	const char *p = text;

	if (strcasecmp(text, "all") == 0)
		return PERMISSION_ALL;
	for (;;) {
		int len = (int)strcspn(p, ",");
		char word[32];
		uint32_t bit = 0;

		if (len < (int)sizeof(word)) {
			(void)snprintf(word, sizeof(word), "%.*s", len, p);
			bit = permission_bit(word);
		}
		if (!bit) {
			(void)snprintf(bad, bad_len, "%.*s", len, p);
			return 0;
		}
		bits |= bit;
		if (!p[len])
			return bits;
		p += len + 1;
	}
}

char *permissions_format(uint32_t bits, char *out, size_t len)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; permission_names[i]; i++) {
		if (!(bits >> i & 1) || used >= len)
			continue;
		used += (size_t)snprintf(out + used, len - used, "%s%s", used ? "," : "",
					 permission_names[i]);
	}
	return out;
}

int permissions_of(sqlite3 *db, const char *client_id, const char *key, uint32_t *ret_bits,
		   bool *ret_any)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	uint32_t bits = 0;
	int r = db_prepare(db, &stmt, "SELECT key, permissions FROM grants WHERE client_id = ?",
			   "s", client_id);

	*ret_any = false;
	if (r < 0)
		return r;
	while ((r = db_step(stmt)) == 1) {
		const char *on = db_text(stmt, 0);

		*ret_any = true;
		if (strcmp(on, "*") == 0 || (key && strcasecmp(on, key) == 0))
			bits |= (uint32_t)sqlite3_column_int64(stmt, 1);
	}
	*ret_bits = bits;
	return r;
}

static char *text_or_null(sqlite3_stmt *stmt, int i, bool *failed)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);
	char *copy = text ? strdup(text) : NULL;

	*failed |= text && !copy;
	return copy;
}

static int read_row(sqlite3_stmt *stmt, struct identity *ret)
{
	struct identity id = { 0 };
	bool failed = false;

	db_copy_text(stmt, 0, id.name, sizeof(id.name));
	db_copy_text(stmt, 1, id.client_id, sizeof(id.client_id));
	db_copy_text(stmt, 2, id.oid, sizeof(id.oid));
	id.has_secret = sqlite3_column_bytes(stmt, 3) == SHA256_LEN;
	if (id.has_secret)
		memcpy(id.secret_hash, sqlite3_column_blob(stmt, 3), SHA256_LEN);
	id.secret_expires = sqlite3_column_int64(stmt, 4);
	id.certificate = text_or_null(stmt, 5, &failed);
	id.issuer = text_or_null(stmt, 6, &failed);
	id.subject = text_or_null(stmt, 7, &failed);
	id.jwks = text_or_null(stmt, 8, &failed);
	if (failed) {
		identity_release(&id);
		return -ENOMEM;
	}
	*ret = id;
	return 1;
}

#define COLUMNS                                                                                    \
	"SELECT name, client_id, oid, secret_hash, secret_expires, certificate, issuer, subject, " \
	"jwks FROM identities "

static int find(sqlite3 *db, const char *sql, const char *value, struct identity *ret)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	int r = db_prepare(db, &stmt, sql, "s", value);

	if (r == 0)
		r = db_step(stmt);
	return r == 1 ? read_row(stmt, ret) : r;
}

int identity_by_client_id(sqlite3 *db, const char *client_id, struct identity *ret)
{
	return find(db, COLUMNS "WHERE client_id = ?", client_id, ret);
}

int identity_by_name(sqlite3 *db, const char *name, struct identity *ret)
{
	return find(db, COLUMNS "WHERE name = ? OR client_id = ?1", name, ret);
}

void identity_release(struct identity *id)
{
	secret_wipe(id->secret_hash, sizeof(id->secret_hash));
	free(id->certificate);
	free(id->issuer);
	free(id->subject);
	free(id->jwks);
	id->certificate = id->issuer = id->subject = id->jwks = NULL;
}
