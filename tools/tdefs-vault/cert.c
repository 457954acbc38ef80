/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made with OpenSSL and kept in the database. Serving them is tls.c's. */
#include "cert.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/atomic_file.h"

#include "certmake.h"

#define DAY		  86400
#define CA_DAYS		  7300
#define CA_RENEW_DAYS	  365
#define SERVER_DAYS	  90
#define SERVER_RENEW_DAYS 30

/* One certificate with its key, as it is kept. */
struct kept {
	X509 *cert;
	EVP_PKEY *key;
};

static void kept_release(struct kept *k)
{
	X509_free(k->cert);
	EVP_PKEY_free(k->key);
	ERR_clear_error();
}

static int load_key(const struct vault *v, sqlite3 *db, const char *name, EVP_PKEY **ret_key)
{
	CLEANUP_FREE uint8_t *sealed = NULL;
	CLEANUP_SECRET struct secret *der = NULL;
	const unsigned char *p;
	size_t len;
	int r = db_meta_blob(db, name, &sealed, &len);

	if (r == 0)
		r = unseal(v->master, name, sealed, len, &der);
	if (r < 0)
		return r;
	p = secret_view(der);
	*ret_key = d2i_AutoPrivateKey(NULL, &p, (long)secret_len(der));
	return *ret_key ? 0 : -EBADMSG;
}

static int load_cert(sqlite3 *db, const char *name, X509 **ret_cert)
{
	CLEANUP_FREE uint8_t *pem = NULL;
	size_t len;
	BIO *bio;
	int r = db_meta_blob(db, name, &pem, &len);

	if (r < 0)
		return r;
	bio = BIO_new_mem_buf(pem, (int)len);
	*ret_cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	return *ret_cert ? 0 : -EBADMSG;
}

static int save(const struct vault *v, sqlite3 *db, const char *which, const struct kept *k,
		int64_t expires)
{
	char cert_name[32], key_name[32], expires_name[32];
	CLEANUP_FREE uint8_t *sealed = NULL;
	CLEANUP_SECRET struct secret *der = NULL;
	CLEANUP_FREE char *pem = cert_to_pem(k->cert);
	size_t len;
	int r = pem ? cert_key_to_der(k->key, &der) : -ENOMEM;

	(void)snprintf(cert_name, sizeof(cert_name), "%s_cert", which);
	(void)snprintf(key_name, sizeof(key_name), "%s_key", which);
	(void)snprintf(expires_name, sizeof(expires_name), "%s_expires", which);
	if (r == 0)
		r = seal(v->master, key_name, secret_view(der), secret_len(der), &sealed, &len);
	if (r == 0)
		r = db_meta_set_blob(db, key_name, sealed, len);
	if (r == 0)
		r = db_meta_set_blob(db, cert_name, pem, strlen(pem));
	return r < 0 ? r : db_meta_set_number(db, expires_name, expires);
}

static int64_t meta_time(sqlite3 *db, const char *name)
{
	int64_t when = 0;

	IGNORE_RESULT(db_meta_number(db, name, &when), "not there yet: 0");
	return when;
}

void cert_expiry(sqlite3 *db, int64_t *ret_ca, int64_t *ret_server)
{
	*ret_ca = meta_time(db, "ca_expires");
	*ret_server = meta_time(db, "tls_expires");
}

static bool ca_is_due(int64_t expires, int64_t now)
{
	return expires - now <= CA_RENEW_DAYS * (int64_t)DAY;
}

/* Also when it was made by a clock that was since set back: it is not valid yet. */
static bool server_is_due(int64_t expires, int64_t now)
{
	return expires - now <= SERVER_RENEW_DAYS * (int64_t)DAY ||
	       expires - now > SERVER_DAYS * (int64_t)DAY;
}

bool cert_is_due(int64_t ca_expires, int64_t server_expires, int64_t now)
{
	return ca_is_due(ca_expires, now) || server_is_due(server_expires, now);
}

/* The authority, made at first, prolonged when it ends within a year. */
static int prepare_ca(const struct vault *v, sqlite3 *db, int64_t now, struct kept *ca)
{
	int64_t expires = meta_time(db, "ca_expires");
	int r = load_key(v, db, "ca_key", &ca->key);

	if (r == -ENOENT)
		r = cert_make_key(&ca->key);
	if (r < 0)
		return r;
	if (!ca_is_due(expires, now))
		return load_cert(db, "ca_cert", &ca->cert);
	expires = now + CA_DAYS * (int64_t)DAY;
	r = cert_make_ca(ca->key, v->tenant, now, expires, &ca->cert);
	return r < 0 ? r : save(v, db, "ca", ca, expires);
}

static int prepare_server(const struct vault *v, sqlite3 *db, const char *names, int64_t now,
			  const struct kept *ca, struct kept *server, bool *ret_renewed)
{
	int64_t expires = meta_time(db, "tls_expires");
	char have[1024] = "";
	int r;

	IGNORE_RESULT(db_meta_text(db, "tls_names", have, sizeof(have)), "not there yet: empty");
	*ret_renewed = strcmp(have, names) != 0 || server_is_due(expires, now);
	if (!*ret_renewed) {
		r = load_key(v, db, "tls_key", &server->key);
		return r < 0 ? r : load_cert(db, "tls_cert", &server->cert);
	}
	expires = now + SERVER_DAYS * (int64_t)DAY;
	r = cert_make_key(&server->key);
	if (r == 0)
		r = cert_make_server(server->key, ca->cert, ca->key, names, now, expires,
				     &server->cert);
	if (r == 0)
		r = save(v, db, "tls", server, expires);
	return r < 0 ? r : db_meta_set_text(db, "tls_names", names);
}

static int hand_out(const struct vault *v, const struct kept *ca, const struct kept *server,
		    struct server_cert *ret)
{
	CLEANUP_FREE char *ca_pem = cert_to_pem(ca->cert);
	CLEANUP_FREE char *pem = cert_to_pem(server->cert);
	int r;

	if (!ca_pem || !pem)
		return -ENOMEM;
	r = atomic_file_write(&sysio_kernel, v->dirfd, CA_FILE, 0600, ca_pem, strlen(ca_pem));
	if (r == 0)
		r = cert_key_to_der(server->key, &ret->key);
	if (r == 0)
		ret->pem = TAKE_PTR(pem);
	return r;
}

int cert_prepare(const struct vault *v, sqlite3 *db, const char *names, int64_t now,
		 struct server_cert *ret_cert, bool *ret_renewed)
{
	CLEANUP(kept_release) struct kept ca = { 0 };
	CLEANUP(kept_release) struct kept server = { 0 };
	int r = db_begin(db);

	if (r == 0)
		r = prepare_ca(v, db, now, &ca);
	if (r == 0)
		r = prepare_server(v, db, names, now, &ca, &server, ret_renewed);
	if (r == 0)
		r = db_commit(db);
	if (r == 0)
		r = hand_out(v, &ca, &server, ret_cert);
	if (r < 0)
		db_rollback(db);
	return r;
}

void cert_release(struct server_cert *cert)
{
	free(cert->pem);
	secret_free(cert->key);
	cert->pem = NULL;
	cert->key = NULL;
}
