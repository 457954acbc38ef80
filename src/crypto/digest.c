/* SPDX-License-Identifier: Apache-2.0 */
/* Digest, HMAC, HKDF, randomness and comparison, by OpenSSL. Derives nothing of ours. */
#include "tdefs/crypto.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

int sha256(const void *data, size_t len, uint8_t ret_digest[static SHA256_LEN])
{
	return EVP_Digest(data, len, ret_digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

int hmac_sha256(const struct secret *key, const void *data, size_t len,
		uint8_t ret_mac[static SHA256_LEN])
{
	unsigned mac_len = 0;

	if (!HMAC(EVP_sha256(), secret_view(key), (int)secret_len(key), data, len, ret_mac,
		  &mac_len))
		return -EIO;
	return mac_len == SHA256_LEN ? 0 : -EIO;
}

static void cleanup_kdf_ctx(EVP_KDF_CTX **ctx)
{
	EVP_KDF_CTX_free(*ctx);
}

static EVP_KDF_CTX *hkdf_new(void)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;

	EVP_KDF_free(kdf); /* the context holds its own reference */
	return ctx;
}

/* OSSL_PARAM takes pointers to non-const; HKDF only reads them. */
static OSSL_PARAM octets(const char *name, const void *data, size_t len)
{
	return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)data, len);
}

int hkdf_sha256(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len,
		const void *info, size_t info_len, uint8_t *ret_okm, size_t okm_len)
{
	CLEANUP(cleanup_kdf_ctx) EVP_KDF_CTX *ctx = hkdf_new();
	char digest[] = "SHA256";
	OSSL_PARAM params[5], *p = params;

	if (!ctx)
		return -EIO;
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	*p++ = octets(OSSL_KDF_PARAM_KEY, ikm, ikm_len);
	if (salt_len > 0)
		*p++ = octets(OSSL_KDF_PARAM_SALT, salt, salt_len);
	if (info_len > 0)
		*p++ = octets(OSSL_KDF_PARAM_INFO, info, info_len);
	*p = OSSL_PARAM_construct_end();
	if (EVP_KDF_derive(ctx, ret_okm, okm_len, params) != 1) {
		secret_wipe(ret_okm, okm_len);
		return -EIO;
	}
	return 0;
}

int random_bytes(void *ret_buf, size_t len)
{
	return RAND_priv_bytes(ret_buf, (int)len) == 1 ? 0 : -EIO;
}

bool constant_time_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
