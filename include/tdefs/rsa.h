/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA keys as TDE protectors: read from PEM, wrap and unwrap by RSA-OAEP
 * (RFC 8017, section 7.1), and their RFC 7638 thumbprint. A key is immutable;
 * functions on one may run in several threads.
 */
#ifndef TDEFS_RSA_H
#define TDEFS_RSA_H

#include <stddef.h>
#include <stdint.h>

#include "tdefs/secret.h"

#define THUMBPRINT_LEN	32
#define RSA_WRAPPED_MAX 512 /* bytes: RSA-4096 */

/* Key Vault's names for the wrap algorithms; numbers as in the key slot (FORMAT.md). */
enum wrap_algorithm {
	WRAP_RSA_OAEP_256 = 1, /* OAEP with SHA-256, MGF1 with SHA-256 */
	WRAP_RSA_OAEP = 2,     /* OAEP with SHA-1: old slots are read, none is written */
};

struct rsa_key;

/*
 * An unencrypted private key in PEM (PKCS#8 or PKCS#1). -EINVAL: not PEM, or
 * no private key in it; -EKEYREJECTED: a key, but not RSA; -EACCES: it is
 * protected by a passphrase.
 */
int rsa_key_from_pem(const struct secret *pem, struct rsa_key **ret_key) WARN_UNUSED;
void rsa_key_free(struct rsa_key *key); /* accepts NULL */

unsigned rsa_key_bits(const struct rsa_key *key);

/* RFC 7638, SHA-256, of the normalised public key. */
int rsa_key_thumbprint(const struct rsa_key *key,
		       uint8_t ret_thumbprint[static THUMBPRINT_LEN]) WARN_UNUSED;

/* Wrap by RSA-OAEP-256. `*ret_len` <= RSA_WRAPPED_MAX bytes. */
int rsa_wrap(const struct rsa_key *key, const struct secret *plain,
	     uint8_t ret_wrapped[static RSA_WRAPPED_MAX], size_t *ret_len) WARN_UNUSED;

/* -EKEYREJECTED when these bytes were not wrapped to this key. */
int rsa_unwrap(const struct rsa_key *key, enum wrap_algorithm algorithm, const uint8_t *wrapped,
	       size_t len, struct secret **ret_plain) WARN_UNUSED;

/*
 * RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes: JOSE's PS256
 * (RFC 7518, 3.5). `*ret_len` <= RSA_WRAPPED_MAX bytes.
 */
int rsa_sign_ps256(const struct rsa_key *key, const void *data, size_t len,
		   uint8_t ret_signature[static RSA_WRAPPED_MAX], size_t *ret_len) WARN_UNUSED;

/* SHA-256 of the first certificate in a PEM file, in DER: JOSE's x5t#S256 (RFC 7515, 4.1.8). */
int certificate_thumbprint(const struct secret *pem, uint8_t ret_thumbprint[static 32]) WARN_UNUSED;

/*
 * RFC 7638 thumbprint of a public key given as big-endian integers; leading
 * zero bytes are dropped first, as some vaults send them.
 */
int jwk_thumbprint(const uint8_t *n, size_t n_len, const uint8_t *e, size_t e_len,
		   uint8_t ret_thumbprint[static THUMBPRINT_LEN]) WARN_UNUSED;

#endif
