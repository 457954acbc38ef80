/* SPDX-License-Identifier: Apache-2.0 */
/* What a client assertion is signed with: PS256, and a certificate's thumbprint. */
#include <errno.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "rsa_internal.h"

static void cleanup_md_ctx(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
	ERR_clear_error();
}

int rsa_sign_ps256(const struct rsa_key *key, const void *data, size_t len,
		   uint8_t ret_signature[static RSA_WRAPPED_MAX], size_t *ret_len)
{
	CLEANUP(cleanup_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pkey_ctx = NULL; /* the other's */
	size_t room = RSA_WRAPPED_MAX;

	if (!ctx)
		return -ENOMEM;
	if (EVP_PKEY_get_size(key->pkey) > RSA_WRAPPED_MAX)
		return -EINVAL;
	if (EVP_DigestSignInit(ctx, &pkey_ctx, EVP_sha256(), NULL, key->pkey) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_PSS_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey_ctx, RSA_PSS_SALTLEN_DIGEST) != 1 ||
	    EVP_DigestSign(ctx, ret_signature, &room, data, len) != 1)
		return -EIO;
	*ret_len = room;
	return 0;
}

int certificate_thumbprint(const struct secret *pem, uint8_t ret_thumbprint[static 32])
{
	BIO *bio = BIO_new_mem_buf(secret_view(pem), (int)secret_len(pem));
	X509 *certificate;
	unsigned len = 32;
	int good;

	if (!bio)
		return -ENOMEM;
	certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	good = certificate && X509_digest(certificate, EVP_sha256(), ret_thumbprint, &len) == 1;
	X509_free(certificate);
	ERR_clear_error();
	return good ? 0 : -EINVAL;
}
