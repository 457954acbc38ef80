/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates by OpenSSL. */
#include "certmake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define DAY 86400

int cert_make_key(EVP_PKEY **ret_key)
{
	*ret_key = EVP_EC_gen("P-256");
	return *ret_key ? 0 : -EIO;
}

static int set_serial(X509 *cert)
{
	BIGNUM *bn = BN_new();
	int ok = bn && BN_rand(bn, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
		 BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;

	BN_free(bn);
	return ok ? 0 : -EIO;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok ? 0 : -EINVAL;
}

static int set_name(X509_NAME *name, const char *text)
{
	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)text, -1,
					  -1, 0) == 1
		       ? 0
		       : -ENOMEM;
}

/* Everything but extensions and signature. */
static int start(EVP_PKEY *key, const char *subject, int64_t now, int64_t expires, X509 **ret_cert)
{
	X509 *cert = X509_new();

	if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) == 0 &&
	    ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(now - DAY)) &&
	    ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)expires) &&
	    X509_set_pubkey(cert, key) == 1 &&
	    set_name(X509_get_subject_name(cert), subject) == 0) {
		*ret_cert = cert;
		return 0;
	}
	X509_free(cert);
	return -EIO;
}

static int finish(X509 *cert, X509 *issuer, EVP_PKEY *issuer_key, X509 **ret_cert)
{
	if (X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1 ||
	    X509_sign(cert, issuer_key, EVP_sha256()) == 0)
		return -EIO;
	*ret_cert = cert;
	return 0;
}

struct extension {
	int nid;
	const char *value;
};

static int add_all(X509 *cert, X509 *issuer, const struct extension *ext, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = add_extension(cert, issuer, ext[i].nid, ext[i].value);

		if (r < 0)
			return r;
	}
	return 0;
}

int cert_make_ca(EVP_PKEY *key, const char *label, int64_t now, int64_t expires, X509 **ret_cert)
{
	static const struct extension extensions[] = {
		{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
		{ NID_key_usage, "critical,keyCertSign,cRLSign" },
		{ NID_subject_key_identifier, "hash" },
		{ NID_authority_key_identifier, "keyid:always" },
	};
	char subject[64];
	X509 *cert = NULL;
	int r;

	(void)snprintf(subject, sizeof(subject), "tdefs-vault CA %s", label);
	r = start(key, subject, now, expires, &cert);
	if (r == 0)
		r = add_all(cert, cert, extensions, ARRAY_SIZE(extensions));
	if (r == 0)
		r = finish(cert, cert, key, ret_cert);
	if (r < 0)
		X509_free(cert);
	ERR_clear_error();
	return r;
}

static bool is_address(const char *name)
{
	unsigned char buf[16];

	return inet_pton(AF_INET, name, buf) == 1 || inet_pton(AF_INET6, name, buf) == 1;
}

/* "a,127.0.0.1" as OpenSSL wants it: "DNS:a,IP:127.0.0.1". */
static int alternative_names(const char *names, char *out, size_t len)
{
	size_t used = 0;

	for (const char *p = names; *p;) {
		int n = (int)strcspn(p, ",");
		char name[256];

		if (n == 0 || n >= (int)sizeof(name))
			return -EINVAL;
		(void)snprintf(name, sizeof(name), "%.*s", n, p);
		used += (size_t)snprintf(out + used, len - used, "%s%s:%s", used ? "," : "",
					 is_address(name) ? "IP" : "DNS", name);
		if (used >= len)
			return -EINVAL;
		p += n + (p[n] == ',');
	}
	return 0;
}

int cert_make_server(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *names, int64_t now,
		     int64_t expires, X509 **ret_cert)
{
	char san[2048] = "";
	const struct extension extensions[] = {
		{ NID_basic_constraints, "critical,CA:FALSE" },
		{ NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, "serverAuth" },
		{ NID_subject_alt_name, san },
		{ NID_subject_key_identifier, "hash" },
		{ NID_authority_key_identifier, "keyid:always" },
	};
	X509 *cert = NULL;
	int r = alternative_names(names, san, sizeof(san));

	if (r == 0)
		r = start(key, "tdefs-vault", now, expires, &cert);
	if (r == 0)
		r = add_all(cert, ca, extensions, ARRAY_SIZE(extensions));
	if (r == 0)
		r = finish(cert, ca, ca_key, ret_cert);
	if (r < 0)
		X509_free(cert);
	ERR_clear_error();
	return r;
}

char *cert_to_pem(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL, *data;
	long len;

	if (bio && PEM_write_bio_X509(bio, cert) == 1) {
		len = BIO_get_mem_data(bio, &data);
		text = strndup(data, (size_t)len);
	}
	BIO_free(bio);
	return text;
}

int cert_key_to_der(const EVP_PKEY *key, struct secret **ret_der)
{
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key, &der);

	if (len <= 0)
		return -EIO;
	*ret_der = secret_new((size_t)len);
	if (*ret_der)
		memcpy(secret_bytes(*ret_der), der, (size_t)len);
	OPENSSL_clear_free(der, (size_t)len);
	return *ret_der ? 0 : -ENOMEM;
}
