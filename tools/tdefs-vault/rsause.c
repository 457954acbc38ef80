/* SPDX-License-Identifier: Apache-2.0 */
/* RSA keys used: OAEP, PKCS#1 v1.5, signatures, by Key Vault's names of algorithms. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "rsakey.h"

struct rsa_alg {
	const char *name;
	int padding;
	const char *digest; /* NULL: none */
};

static const struct rsa_alg encryption_algs[] = {
	{ "RSA-OAEP-256", RSA_PKCS1_OAEP_PADDING, "SHA256" },
	{ "RSA-OAEP", RSA_PKCS1_OAEP_PADDING, "SHA1" },
	{ "RSA1_5", RSA_PKCS1_PADDING, NULL },
};

static const struct rsa_alg signature_algs[] = {
	{ "RS256", RSA_PKCS1_PADDING, "SHA256" },     { "RS384", RSA_PKCS1_PADDING, "SHA384" },
	{ "RS512", RSA_PKCS1_PADDING, "SHA512" },     { "PS256", RSA_PKCS1_PSS_PADDING, "SHA256" },
	{ "PS384", RSA_PKCS1_PSS_PADDING, "SHA384" }, { "PS512", RSA_PKCS1_PSS_PADDING, "SHA512" },
};

static const struct rsa_alg *find(const struct rsa_alg *algs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(algs[i].name, name) == 0)
			return &algs[i];
	return NULL;
}

const struct rsa_alg *rsa_encryption_alg(const char *name)
{
	return find(encryption_algs, ARRAY_SIZE(encryption_algs), name);
}

const struct rsa_alg *rsa_signature_alg(const char *name)
{
	return find(signature_algs, ARRAY_SIZE(signature_algs), name);
}

static void cleanup_ctx(EVP_PKEY_CTX **ctx)
{
	EVP_PKEY_CTX_free(*ctx);
	ERR_clear_error();
}

/* After init: the padding, and for OAEP one digest for the label and MGF1. */
static int set_padding(EVP_PKEY_CTX *ctx, const struct rsa_alg *alg)
{
	const EVP_MD *md = alg->digest ? EVP_get_digestbyname(alg->digest) : NULL;

	if (EVP_PKEY_CTX_set_rsa_padding(ctx, alg->padding) != 1)
		return -EIO;
	if (alg->padding == RSA_PKCS1_OAEP_PADDING && (EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) != 1 ||
						       EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1))
		return -EIO;
	return 0;
}

int rsa_encrypt(EVP_PKEY *key, const struct rsa_alg *alg, const uint8_t *in, size_t in_len,
		uint8_t *out, size_t *ret_len)
{
	CLEANUP(cleanup_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	size_t len = RSA_MAX_LEN;

	if (!ctx)
		return -ENOMEM;
	if (EVP_PKEY_encrypt_init(ctx) != 1 || set_padding(ctx, alg) < 0)
		return -EIO;
	if (EVP_PKEY_encrypt(ctx, out, &len, in, in_len) != 1)
		return -EINVAL; /* longer than the padding has room for */
	*ret_len = len;
	return 0;
}

int rsa_decrypt(EVP_PKEY *key, const struct rsa_alg *alg, const uint8_t *in, size_t in_len,
		uint8_t *out, size_t *ret_len)
{
	CLEANUP(cleanup_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	size_t len = RSA_MAX_LEN;

	if (!ctx)
		return -ENOMEM;
	if (in_len != (size_t)EVP_PKEY_get_size(key))
		return -EINVAL;
	if (EVP_PKEY_decrypt_init(ctx) != 1 || set_padding(ctx, alg) < 0)
		return -EIO;
	if (EVP_PKEY_decrypt(ctx, out, &len, in, in_len) != 1) {
		secret_wipe(out, RSA_MAX_LEN);
		return -EBADMSG;
	}
	*ret_len = len;
	return 0;
}

/* After sign_init or verify_init. */
static int set_signature(EVP_PKEY_CTX *ctx, const struct rsa_alg *alg, size_t digest_len)
{
	const EVP_MD *md = EVP_get_digestbyname(alg->digest);

	if (!md || (size_t)EVP_MD_get_size(md) != digest_len)
		return -EINVAL;
	if (EVP_PKEY_CTX_set_rsa_padding(ctx, alg->padding) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, md) != 1)
		return -EIO;
	if (alg->padding == RSA_PKCS1_PSS_PADDING &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) != 1)
		return -EIO;
	return 0;
}

int rsa_sign(EVP_PKEY *key, const struct rsa_alg *alg, const uint8_t *digest, size_t digest_len,
	     uint8_t *out, size_t *ret_len)
{
	CLEANUP(cleanup_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	size_t len = RSA_MAX_LEN;
	int r;

	if (!ctx)
		return -ENOMEM;
	if (EVP_PKEY_sign_init(ctx) != 1)
		return -EIO;
	r = set_signature(ctx, alg, digest_len);
	if (r < 0)
		return r;
	if (EVP_PKEY_sign(ctx, out, &len, digest, digest_len) != 1)
		return -EIO;
	*ret_len = len;
	return 0;
}

int rsa_verify(EVP_PKEY *key, const struct rsa_alg *alg, const uint8_t *digest, size_t digest_len,
	       const uint8_t *sig, size_t sig_len)
{
	CLEANUP(cleanup_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	int r;

	if (!ctx)
		return -ENOMEM;
	if (EVP_PKEY_verify_init(ctx) != 1)
		return -EIO;
	r = set_signature(ctx, alg, digest_len);
	if (r < 0)
		return r;
	return EVP_PKEY_verify(ctx, sig, sig_len, digest, digest_len) == 1;
}

int rsa_alg_digest(const struct rsa_alg *alg, const void *data, size_t len, uint8_t out[static 64],
		   size_t *ret_len)
{
	unsigned n;

	if (EVP_Digest(data, len, out, &n, EVP_get_digestbyname(alg->digest), NULL) != 1)
		return -EIO;
	*ret_len = n;
	return 0;
}
