/* SPDX-License-Identifier: Apache-2.0 */
/* RSA keys made, read and written. Using them is rsause.c's. */
#include "rsakey.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "tdefs/base64url.h"

static void cleanup_ctx(EVP_PKEY_CTX **ctx)
{
	EVP_PKEY_CTX_free(*ctx);
	ERR_clear_error(); /* the queue is per thread and nobody reads it */
}

void rsa_key_release(EVP_PKEY *key)
{
	EVP_PKEY_free(key);
	ERR_clear_error();
}

bool rsa_bits_supported(json_int_t bits)
{
	return bits == 2048 || bits == 3072 || bits == 4096;
}

int rsa_generate(unsigned bits, unsigned exponent, EVP_PKEY **ret_key)
{
	CLEANUP(cleanup_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM params[] = {
		OSSL_PARAM_uint(OSSL_PKEY_PARAM_RSA_BITS, &bits),
		OSSL_PARAM_uint(OSSL_PKEY_PARAM_RSA_E, &exponent),
		OSSL_PARAM_END,
	};

	if (!ctx)
		return -ENOMEM;
	if (EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_CTX_set_params(ctx, params) != 1 ||
	    EVP_PKEY_generate(ctx, ret_key) != 1)
		return -EIO;
	return 0;
}

/* One big integer: where it stands in a JSON Web Key, and what OpenSSL calls it. */
static const struct part {
	const char *jwk, *param;
} parts[] = {
	{ "n", OSSL_PKEY_PARAM_RSA_N },		 { "e", OSSL_PKEY_PARAM_RSA_E },
	{ "d", OSSL_PKEY_PARAM_RSA_D },		 { "p", OSSL_PKEY_PARAM_RSA_FACTOR1 },
	{ "q", OSSL_PKEY_PARAM_RSA_FACTOR2 },	 { "dp", OSSL_PKEY_PARAM_RSA_EXPONENT1 },
	{ "dq", OSSL_PKEY_PARAM_RSA_EXPONENT2 }, { "qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1 },
};

struct numbers {
	BIGNUM *bn[ARRAY_SIZE(parts)];
	OSSL_PARAM_BLD *build;
	OSSL_PARAM *params;
};

static void numbers_release(struct numbers *x)
{
	OSSL_PARAM_free(x->params);
	OSSL_PARAM_BLD_free(x->build);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		BN_clear_free(x->bn[i]);
}

static int add_number(struct numbers *x, size_t i, const uint8_t *bytes, size_t len)
{
	x->bn[i] = BN_bin2bn(bytes, (int)len, NULL);
	if (!x->bn[i] || OSSL_PARAM_BLD_push_BN(x->build, parts[i].param, x->bn[i]) != 1)
		return -ENOMEM;
	return 0;
}

static int make_key(struct numbers *x, int selection, EVP_PKEY **ret_key)
{
	CLEANUP(cleanup_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);

	x->params = OSSL_PARAM_BLD_to_param(x->build);
	if (!ctx || !x->params)
		return -ENOMEM;
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, ret_key, selection, x->params) != 1)
		return -EINVAL;
	return 0;
}

int rsa_from_public(const struct rsa_public *public, EVP_PKEY **ret_key)
{
	CLEANUP(numbers_release) struct numbers x = { .build = OSSL_PARAM_BLD_new() };

	if (!x.build || add_number(&x, 0, public->n, public->n_len) < 0 ||
	    add_number(&x, 1, public->e, public->e_len) < 0)
		return -ENOMEM;
	return make_key(&x, EVP_PKEY_PUBLIC_KEY, ret_key);
}

/* Sizes, and with private parts their consistency: a wrong key would lose what it wraps. */
static int check_key(EVP_PKEY *key)
{
	CLEANUP(cleanup_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

	if (!EVP_PKEY_is_a(key, "RSA") || !rsa_bits_supported(EVP_PKEY_get_bits(key)))
		return -ENOTSUP;
	if (!ctx)
		return -ENOMEM;
	return EVP_PKEY_pairwise_check(ctx) == 1 && EVP_PKEY_check(ctx) == 1 ? 0 : -EINVAL;
}

static int add_jwk_number(struct numbers *x, size_t i, const json_t *jwk)
{
	const json_t *value = json_object_get(jwk, parts[i].jwk);
	uint8_t bytes[RSA_MAX_LEN + 1];
	ssize_t len = -EINVAL;
	int r;

	if (json_is_string(value))
		len = base64url_decode(json_string_value(value), json_string_length(value), bytes,
				       sizeof(bytes));
	r = len > 0 ? add_number(x, i, bytes, (size_t)len) : -EINVAL;
	secret_wipe(bytes, sizeof(bytes));
	return r;
}

int rsa_from_jwk(const json_t *jwk, EVP_PKEY **ret_key)
{
	CLEANUP(numbers_release) struct numbers x = { .build = OSSL_PARAM_BLD_new() };
	CLEANUP_PKEY EVP_PKEY *key = NULL;
	int r = x.build ? 0 : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
		r = add_jwk_number(&x, i, jwk);
	if (r == 0)
		r = make_key(&x, EVP_PKEY_KEYPAIR, &key);
	if (r == 0)
		r = check_key(key);
	if (r == 0)
		*ret_key = TAKE_PTR(key);
	return r;
}

static int no_passphrase(char *buf, int len, int rwflag, void *arg)
{
	(void)buf, (void)len, (void)rwflag, (void)arg;
	return -1;
}

int rsa_from_pem(const struct secret *pem, EVP_PKEY **ret_key)
{
	BIO *bio = BIO_new_mem_buf(secret_view(pem), (int)secret_len(pem));
	CLEANUP_PKEY EVP_PKEY *key = NULL;
	int r;

	if (!bio)
		return -ENOMEM;
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	r = key ? check_key(key) : -EINVAL;
	if (r == 0)
		*ret_key = TAKE_PTR(key);
	return r;
}

int rsa_from_der(const struct secret *der, EVP_PKEY **ret_key)
{
	const unsigned char *p = secret_view(der);
	EVP_PKEY *key = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &p, (long)secret_len(der));

	ERR_clear_error();
	if (!key)
		return -EIO;
	*ret_key = key;
	return 0;
}

static int get_number(const EVP_PKEY *key, const char *name, uint8_t *out, size_t max,
		      size_t *ret_len)
{
	BIGNUM *bn = NULL;
	int len = -1;

	if (EVP_PKEY_get_bn_param(key, name, &bn) == 1 && (size_t)BN_num_bytes(bn) <= max)
		len = BN_bn2bin(bn, out);
	BN_clear_free(bn);
	if (len <= 0)
		return -EINVAL;
	*ret_len = (size_t)len;
	return 0;
}

int rsa_get_public(const EVP_PKEY *key, struct rsa_public *ret_public)
{
	int r = get_number(key, OSSL_PKEY_PARAM_RSA_N, ret_public->n, RSA_MAX_LEN,
			   &ret_public->n_len);

	if (r < 0)
		return r;
	return get_number(key, OSSL_PKEY_PARAM_RSA_E, ret_public->e, RSA_E_MAX, &ret_public->e_len);
}

int rsa_to_jwk(const EVP_PKEY *key, json_t **ret_jwk)
{
	json_t *jwk = json_pack("{s:s}", "kty", "RSA");
	char text[BASE64URL_LEN(RSA_MAX_LEN)];
	uint8_t bytes[RSA_MAX_LEN];
	int r = jwk ? 0 : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
		size_t len;

		r = get_number(key, parts[i].param, bytes, sizeof(bytes), &len);
		if (r == 0 &&
		    json_object_set_new(jwk, parts[i].jwk,
					json_string(base64url_encode(bytes, len, text))) < 0)
			r = -ENOMEM;
	}
	secret_wipe(bytes, sizeof(bytes));
	secret_wipe(text, sizeof(text));
	if (r < 0)
		json_decref(jwk);
	else
		*ret_jwk = jwk;
	return r;
}
