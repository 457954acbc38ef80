/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM under the master key. Finding that key is master.c's. */
#include "seal.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

#include "tdefs/crypto.h"

#define NONCE_LEN 12
#define TAG_LEN	  (SEAL_OVERHEAD - NONCE_LEN)

static void cleanup_cipher(EVP_CIPHER_CTX **ctx)
{
	EVP_CIPHER_CTX_free(*ctx);
}

int seal(const struct secret *master, const char *label, const void *data, size_t len,
	 uint8_t **ret_sealed, size_t *ret_len)
{
	CLEANUP(cleanup_cipher) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	CLEANUP_FREE uint8_t *out =
		len < INT_MAX - SEAL_OVERHEAD ? malloc(len + SEAL_OVERHEAD) : NULL;
	int n;

	if (!ctx || !out)
		return -ENOMEM;
	if (random_bytes(out, NONCE_LEN) < 0)
		return -EIO;
	if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, secret_view(master), out) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)label, (int)strlen(label)) != 1 ||
	    EVP_EncryptUpdate(ctx, out + NONCE_LEN, &n, data, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(ctx, out + NONCE_LEN + len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, out + NONCE_LEN + len) != 1)
		return -EIO;
	*ret_sealed = TAKE_PTR(out);
	*ret_len = len + SEAL_OVERHEAD;
	return 0;
}

int unseal(const struct secret *master, const char *label, const void *sealed, size_t sealed_len,
	   struct secret **ret_data)
{
	CLEANUP(cleanup_cipher) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	CLEANUP_SECRET struct secret *data = NULL;
	const uint8_t *in = sealed;
	uint8_t tag[TAG_LEN];
	size_t len;
	int n;

	if (sealed_len <= SEAL_OVERHEAD || sealed_len > INT_MAX)
		return -EBADMSG;
	len = sealed_len - SEAL_OVERHEAD;
	data = secret_new(len);
	if (!ctx || !data)
		return -ENOMEM;
	memcpy(tag, in + NONCE_LEN + len, TAG_LEN);
	if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, secret_view(master), in) != 1 ||
	    EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)label, (int)strlen(label)) != 1 ||
	    EVP_DecryptUpdate(ctx, secret_bytes(data), &n, in + NONCE_LEN, (int)len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) != 1)
		return -EIO;
	if (EVP_DecryptFinal_ex(ctx, secret_bytes(data) + len, &n) != 1)
		return -EBADMSG;
	*ret_data = TAKE_PTR(data);
	return 0;
}
