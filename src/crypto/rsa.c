/* SPDX-License-Identifier: Apache-2.0 */
/* RSA protectors by OpenSSL: PEM, OAEP, public parts. Reads no files. */
#include "tdefs/rsa.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "rsa_internal.h"
#include "tdefs/crypto.h"

#define PUBLIC_MAX 2048 /* bytes of n or e: RSA-16384 */

/* Never prompt: a passphrase-protected key is refused, and remembered as such. */
static int refuse_passphrase(char *buf, int len, int rwflag, void *asked)
{
	(void)buf, (void)len, (void)rwflag;
	*(bool *)asked = true;
	return -1;
}

int rsa_key_from_pem(const struct secret *pem, struct rsa_key **ret_key)
{
	BIO *bio = BIO_new_mem_buf(secret_view(pem), (int)secret_len(pem));
	struct rsa_key *key;
	EVP_PKEY *pkey;
	bool asked = false;

	if (!bio)
		return -ENOMEM;
	pkey = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &asked);
	BIO_free(bio);
	ERR_clear_error();
	if (!pkey)
		return asked ? -EACCES : -EINVAL;
	if (!EVP_PKEY_is_a(pkey, "RSA")) {
		EVP_PKEY_free(pkey);
		return -EKEYREJECTED;
	}
	key = malloc(sizeof(*key));
	if (!key) {
		EVP_PKEY_free(pkey);
		return -ENOMEM;
	}
	key->pkey = pkey;
	*ret_key = key;
	return 0;
}

void rsa_key_free(struct rsa_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

unsigned rsa_key_bits(const struct rsa_key *key)
{
	return (unsigned)EVP_PKEY_get_bits(key->pkey);
}

static int public_integer(const struct rsa_key *key, const char *name, uint8_t *out,
			  size_t *ret_len)
{
	BIGNUM *n = NULL;
	int len = -1;

	if (EVP_PKEY_get_bn_param(key->pkey, name, &n) == 1 && BN_num_bytes(n) <= PUBLIC_MAX)
		len = BN_bn2bin(n, out);
	BN_free(n);
	if (len <= 0)
		return -EIO;
	*ret_len = (size_t)len;
	return 0;
}

int rsa_key_thumbprint(const struct rsa_key *key, uint8_t ret_thumbprint[static THUMBPRINT_LEN])
{
	uint8_t n[PUBLIC_MAX], e[PUBLIC_MAX];
	size_t n_len, e_len;

	if (public_integer(key, OSSL_PKEY_PARAM_RSA_N, n, &n_len) < 0 ||
	    public_integer(key, OSSL_PKEY_PARAM_RSA_E, e, &e_len) < 0)
		return -EIO;
	return jwk_thumbprint(n, n_len, e, e_len, ret_thumbprint);
}

static int use_oaep(EVP_PKEY_CTX *ctx, const EVP_MD *md)
{
	if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) != 1 ||
	    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) != 1)
		return -EIO;
	return 0;
}

static void cleanup_pkey_ctx(EVP_PKEY_CTX **ctx)
{
	EVP_PKEY_CTX_free(*ctx);
	ERR_clear_error(); /* the queue is per thread and nobody reads it */
}

int rsa_wrap(const struct rsa_key *key, const struct secret *plain,
	     uint8_t ret_wrapped[static RSA_WRAPPED_MAX], size_t *ret_len)
{
	CLEANUP(cleanup_pkey_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	size_t len = RSA_WRAPPED_MAX;

	if (!ctx)
		return -ENOMEM;
	if (EVP_PKEY_get_size(key->pkey) > RSA_WRAPPED_MAX)
		return -EINVAL;
	if (EVP_PKEY_encrypt_init(ctx) != 1 || use_oaep(ctx, EVP_sha256()) < 0 ||
	    EVP_PKEY_encrypt(ctx, ret_wrapped, &len, secret_view(plain), secret_len(plain)) != 1)
		return -EIO;
	*ret_len = len;
	return 0;
}

int rsa_unwrap(const struct rsa_key *key, enum wrap_algorithm algorithm, const uint8_t *wrapped,
	       size_t len, struct secret **ret_plain)
{
	CLEANUP(cleanup_pkey_ctx)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	size_t room = (size_t)EVP_PKEY_get_size(key->pkey), plain_len = room;
	CLEANUP_SECRET struct secret *padded = secret_new(room);
	CLEANUP_SECRET struct secret *plain = NULL;
	const EVP_MD *md = algorithm == WRAP_RSA_OAEP ? EVP_sha1() : EVP_sha256();

	if (!ctx || !padded)
		return -ENOMEM;
	if (EVP_PKEY_decrypt_init(ctx) != 1 || use_oaep(ctx, md) < 0)
		return -EIO;
	if (EVP_PKEY_decrypt(ctx, secret_bytes(padded), &plain_len, wrapped, len) != 1)
		return -EKEYREJECTED;
	plain = secret_new(plain_len);
	if (!plain)
		return -ENOMEM;
	for (size_t i = 0; i < plain_len; i++)
		secret_bytes(plain)[i] = secret_view(padded)[i];
	*ret_plain = TAKE_PTR(plain);
	return 0;
}
