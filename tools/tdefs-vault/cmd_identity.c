/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs-vault identity: add, list, remove. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/atomic_file.h"

#include "cli.h"
#include "identity.h"
#include "tdefs/base64url.h"

#define FILE_MAX   (64U << 10)
#define DAY	   86400
#define SECRET_LEN 32

struct new_identity {
	const char *name;
	char client_id[UUID_TEXT_LEN], oid[UUID_TEXT_LEN];
	char secret[BASE64URL_LEN(SECRET_LEN)]; /* empty: none */
	uint8_t hash[SHA256_LEN];
	char *certificate, *jwks;
	const char *issuer, *subject;
	int64_t expires;
};

static bool name_fits(const char *name)
{
	const char *p = name;

	while (isalnum((unsigned char)*p) || (*p && strchr("._-", *p) && p != name))
		p++;
	return p != name && *p == '\0' && p - name < 100;
}

static int insert(struct call *call, struct local *local, void *arg)
{
	struct new_identity *new = arg;
	int64_t now = vault_now(&local->vault, local->db);
	int r;

	if (call->expires_days)
		new->expires = now + call->expires_days *DAY;
	r = db_run(local->db,
		   "INSERT INTO identities(client_id, name, oid, created, secret_hash, "
		   "secret_expires, certificate, issuer, subject, jwks) "
		   "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		   "sssibissss", new->client_id, new->name, new->oid, now,
		   new->secret[0] ? new->hash : NULL,
		   new->secret[0] ? sizeof(new->hash) : (size_t)0, new->expires, new->certificate,
		   new->issuer, new->subject, new->jwks);
	if (r == -EEXIST) {
		errmsg_next(&call->err, "choose another name, or remove that one first");
		return errmsg_fail(&call->err, r, EXIT_CODE_FAILED,
				   "identity %s: there is one of this name", new->name);
	}
	return r < 0 ? r : 0;
}

static int make_secret(struct new_identity *new)
{
	uint8_t bytes[SECRET_LEN];
	int r = random_bytes(bytes, sizeof(bytes));

	if (r == 0) {
		base64url_encode(bytes, sizeof(bytes), new->secret);
		r = sha256(new->secret, strlen(new->secret), new->hash);
	}
	secret_wipe(bytes, sizeof(bytes));
	return r;
}

static int read_text(struct call *call, const char *path, char **ret_text)
{
	CLEANUP_FREE char *text = calloc(1, FILE_MAX + 1);
	ssize_t n =
		text ? atomic_file_read(&sysio_kernel, AT_FDCWD, path, text, FILE_MAX) : -ENOMEM;

	if (n < 0)
		return errmsg_fail(&call->err, (int)n, EXIT_CODE_CONFIG, "%s: %s", path,
				   errno_text((int)n));
	*ret_text = TAKE_PTR(text);
	return 0;
}

static int check_certificate(struct call *call, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;
	bool ok = key && EVP_PKEY_is_a(key, "RSA");

	X509_free(cert);
	BIO_free(bio);
	ERR_clear_error();
	if (ok)
		return 0;
	errmsg_next(&call->err, "give the public certificate of an RSA key, as PEM");
	return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "%s: no such certificate",
			   call->certificate);
}

static int take_federated(struct call *call, struct new_identity *new)
{
	CLEANUP_JSON json_t *set = NULL;
	int r;

	if (call->nargs != 5)
		return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG,
				   "identity add NAME --federated takes ISSUER SUBJECT JWKS_FILE");
	new->issuer = call->args[2];
	new->subject = call->args[3];
	r = read_text(call, call->args[4], &new->jwks);
	if (r < 0)
		return r;
	set = json_loads(new->jwks, 0, NULL);
	if (json_array_size(json_object_get(set, "keys")) > 0)
		return 0;
	errmsg_next(&call->err, "save what the issuer's jwks_uri answers");
	return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "%s: no JSON Web Key Set",
			   call->args[4]);
}

static int take_credential(struct call *call, struct new_identity *new)
{
	int r;

	if (call->federated)
		return take_federated(call, new);
	if (call->nargs != 2)
		return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG,
				   "identity add takes one NAME");
	if (!call->certificate)
		return make_secret(new);
	r = read_text(call, call->certificate, &new->certificate);
	return r < 0 ? r : check_certificate(call, new->certificate);
}

static int print_new(const struct call *call, const struct local *local,
		     const struct new_identity *new)
{
	const char *secret = new->secret[0] ? new->secret : NULL;

	if (call->json)
		return print_json(json_pack("{s:s, s:s, s:s, s:s, s:s*}", "name", new->name,
					    "tenant", local->vault.tenant, "client_id",
					    new->client_id, "object_id", new->oid, "client_secret",
					    secret),
				  EXIT_CODE_DONE);
	printf("tenant         %s\nclient_id      %s\n", local->vault.tenant, new->client_id);
	if (secret)
		printf("client_secret  %s\n"
		       "  next: keep the secret now, it is not shown again; then\n"
		       "        " PROGRAM " grant %s KEY get,wrapKey,unwrapKey --data %s\n",
		       secret, new->name, call->data);
	return EXIT_CODE_DONE;
}

static void new_release(struct new_identity *new)
{
	secret_wipe(new->secret, sizeof(new->secret));
	free(new->certificate);
	free(new->jwks);
}

static int add(struct call *call, struct local *local)
{
	CLEANUP(new_release) struct new_identity new = { .name = call->args[1] };
	int r;

	if (!name_fits(new.name)) {
		errmsg_next(&call->err, "use letters, digits, '.', '_' and '-'");
		(void)errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG,
				  "identity %s: not a usable name", new.name);
		return call_failed(call);
	}
	r = take_credential(call, &new);
	if (r == 0)
		r = random_uuid(new.client_id);
	if (r == 0)
		r = random_uuid(new.oid);
	if (r == 0)
		r = local_commit(call, local, "identity add", new.name, insert, &new);
	return r < 0 ? call_errno(call, r, "identity add") : print_new(call, local, &new);
}

static int delete_rows(struct call *call, struct local *local, void *arg)
{
	struct identity *id = arg;
	int r = db_run(local->db, "DELETE FROM grants WHERE client_id = ?", "s", id->client_id);

	(void)call;
	if (r >= 0)
		r = db_run(local->db, "DELETE FROM identities WHERE client_id = ?", "s",
			   id->client_id);
	return r < 0 ? r : 0;
}

static int confirm_removal(struct call *call, const char *name)
{
	char question[256];

	(void)snprintf(question, sizeof(question),
		       "Remove identity %s and its grants? Its credential never works again.",
		       name);
	return call_confirm(call, question);
}

static int remove_identity(struct call *call, struct local *local)
{
	CLEANUP_IDENTITY struct identity id = { 0 };
	int r = identity_by_name(local->db, call->args[1], &id);

	if (r == 0) {
		errmsg_next(&call->err, "see " PROGRAM " identity list --data %s", call->data);
		(void)errmsg_fail(&call->err, -ENOENT, EXIT_CODE_FAILED,
				  "identity %s: there is none", call->args[1]);
		return call_failed(call);
	}
	if (r == 1)
		r = confirm_removal(call, id.name);
	if (r == 0)
		r = local_commit(call, local, "identity remove", id.name, delete_rows, &id);
	return r < 0 ? call_errno(call, r, "identity remove") : call_done(call);
}

static json_t *grants_of(sqlite3 *db, const char *client_id)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	json_t *grants = json_object();
	char names[256];

	if (db_prepare(db, &stmt,
		       "SELECT key, permissions FROM grants WHERE client_id = ? ORDER BY key", "s",
		       client_id) == 0)
		while (db_step(stmt) == 1)
			(void)json_object_set_new(grants, db_text(stmt, 0),
						  json_string(permissions_format(
							  (uint32_t)sqlite3_column_int64(stmt, 1),
							  names, sizeof(names))));
	return grants;
}

static int list(struct call *call, struct local *local)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	json_t *all = json_array();
	const char *key;
	json_t *id, *value;
	size_t i;
	int r = db_prepare(
		local->db, &stmt,
		"SELECT name, client_id, CASE WHEN jwks IS NOT NULL THEN 'federated' WHEN "
		"certificate IS NOT NULL THEN 'certificate' ELSE 'secret' END "
		"FROM identities ORDER BY name",
		"");

	while (r >= 0 && (r = db_step(stmt)) == 1)
		(void)json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:o}", "name",
							   db_text(stmt, 0), "client_id",
							   db_text(stmt, 1), "credential",
							   db_text(stmt, 2), "grants",
							   grants_of(local->db, db_text(stmt, 1))));
	if (call->json || r < 0) {
		if (r == 0)
			return print_json(json_pack("{s:s, s:o}", "tenant", local->vault.tenant,
						    "identities", all),
					  EXIT_CODE_DONE);
		json_decref(all);
		return call_errno(call, r, "identity list");
	}
	json_array_foreach(all, i, id)
	{
		printf("%-20s %s  %s\n", json_string_value(json_object_get(id, "name")),
		       json_string_value(json_object_get(id, "client_id")),
		       json_string_value(json_object_get(id, "credential")));
		json_object_foreach(json_object_get(id, "grants"), key, value)
			printf("  %-18s %s\n", key, json_string_value(value));
	}
	json_decref(all);
	return EXIT_CODE_DONE;
}

int verb_identity(struct call *call)
{
	const char *what = call->args[0];
	bool is_list = strcmp(what, "list") == 0;
	struct local local;
	int code;

	if (is_list ? call->nargs != 1 : call->nargs < 2)
		return usage_error(call, "identity: add NAME, list, or remove NAME");
	if (local_open(call, false, &local) < 0)
		return call_failed(call);
	if (is_list)
		code = list(call, &local);
	else if (strcmp(what, "add") == 0)
		code = add(call, &local);
	else if (strcmp(what, "remove") == 0)
		code = remove_identity(call, &local);
	else
		code = usage_error(call, "identity: add NAME, list, or remove NAME");
	local_close(&local);
	return code;
}
