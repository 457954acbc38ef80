/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys of 2048, 3072 and 4096 bits and what Key Vault does with them. Holds
 * no state; every function is thread-safe. Private parts leave as DER in secret
 * memory only.
 *
 * Errors: -EINVAL the caller's input is unusable (wrong length, not a key),
 * -EBADMSG the ciphertext's padding is wrong, -EIO OpenSSL refused, -ENOMEM.
 */
#ifndef TDEFS_VAULT_RSAKEY_H
#define TDEFS_VAULT_RSAKEY_H

#include <jansson.h>
#include <openssl/types.h>
#include <stdbool.h>

#include "tdefs/secret.h"

#define RSA_MAX_LEN 512 /* bytes of a 4096-bit modulus */
#define RSA_E_MAX   8

/* Unsigned big-endian, without leading zeros. */
struct rsa_public {
	uint8_t n[RSA_MAX_LEN], e[RSA_E_MAX];
	size_t n_len, e_len;
};

/* An algorithm by Key Vault's name; NULL when there is none of that kind. */
struct rsa_alg;
const struct rsa_alg *rsa_encryption_alg(const char *name);
const struct rsa_alg *rsa_signature_alg(const char *name);

bool rsa_bits_supported(json_int_t bits);

int rsa_generate(unsigned bits, unsigned exponent, EVP_PKEY **ret_key) WARN_UNUSED;
/* A private JSON Web Key, checked for consistency; -ENOTSUP when the size is not supported. */
int rsa_from_jwk(const json_t *jwk, EVP_PKEY **ret_key) WARN_UNUSED;
/* The same the other way, private parts included. */
int rsa_to_jwk(const EVP_PKEY *key, json_t **ret_jwk) WARN_UNUSED;
/* PEM text, PKCS#8 or PKCS#1, without passphrase. */
int rsa_from_pem(const struct secret *pem, EVP_PKEY **ret_key) WARN_UNUSED;
int rsa_from_der(const struct secret *der, EVP_PKEY **ret_key) WARN_UNUSED;
int rsa_from_public(const struct rsa_public *public, EVP_PKEY **ret_key) WARN_UNUSED;

int rsa_get_public(const EVP_PKEY *key, struct rsa_public *ret_public) WARN_UNUSED;

/* Outputs have RSA_MAX_LEN bytes. */
int rsa_encrypt(EVP_PKEY *key, const struct rsa_alg *alg, const uint8_t *in, size_t in_len,
		uint8_t *out, size_t *ret_len) WARN_UNUSED;
int rsa_decrypt(EVP_PKEY *key, const struct rsa_alg *alg, const uint8_t *in, size_t in_len,
		uint8_t *out, size_t *ret_len) WARN_UNUSED;
int rsa_sign(EVP_PKEY *key, const struct rsa_alg *alg, const uint8_t *digest, size_t digest_len,
	     uint8_t *out, size_t *ret_len) WARN_UNUSED;
/* 1: the signature is good; 0: it is not. */
int rsa_verify(EVP_PKEY *key, const struct rsa_alg *alg, const uint8_t *digest, size_t digest_len,
	       const uint8_t *sig, size_t sig_len) WARN_UNUSED;
/* The digest that `alg` signs, of a text: for tokens. */
int rsa_alg_digest(const struct rsa_alg *alg, const void *data, size_t len, uint8_t out[static 64],
		   size_t *ret_len) WARN_UNUSED;

void rsa_key_release(EVP_PKEY *key); /* accepts NULL */

static inline void cleanup_pkey_(EVP_PKEY **key)
{
	rsa_key_release(*key);
}
#define CLEANUP_PKEY CLEANUP(cleanup_pkey_)

#endif
