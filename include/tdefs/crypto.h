/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Primitives: digest, HMAC, HKDF, random bytes, constant-time comparison, and
 * the keys that are derived from a DEK. Everything comes from OpenSSL 3; this
 * folder is the only one that sees it. All functions are thread-safe.
 *
 * Errors: -EIO when OpenSSL refuses (its reason is not a secret, but is not
 * ours to print either), -ENOMEM when secret memory is exhausted. A function
 * that fails leaves no key bytes in its outputs.
 */
#ifndef TDEFS_CRYPTO_H
#define TDEFS_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/secret.h"

#define SHA256_LEN  32
#define DEK_LEN	    32
#define DEK_ID_LEN  16
#define XTS_KEY_LEN 64

/*
 * Once, before anything else of this folder: OpenSSL frees decoded private keys
 * and TLS records as they are; from here on what it frees is wiped. -EBUSY: it
 * has allocated already.
 */
int crypto_init(void) WARN_UNUSED;

/* SHA-256 (FIPS 180-4). */
int sha256(const void *data, size_t len, uint8_t ret_digest[static SHA256_LEN]) WARN_UNUSED;

/* HMAC-SHA-256 (RFC 2104) under a secret key. */
int hmac_sha256(const struct secret *key, const void *data, size_t len,
		uint8_t ret_mac[static SHA256_LEN]) WARN_UNUSED;

/* HKDF-SHA-256, extract and expand (RFC 5869); an empty salt is salt_len 0. */
int hkdf_sha256(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len,
		const void *info, size_t info_len, uint8_t *ret_okm, size_t okm_len) WARN_UNUSED;

/* Bytes from OpenSSL's generator. */
int random_bytes(void *ret_buf, size_t len) WARN_UNUSED;

/* Equality in time that depends on `len` only. */
bool constant_time_equal(const void *a, const void *b, size_t len);

/*
 * What a DEK is used for. The HKDF info is the purpose, ASCII, padded with
 * zeros to 32 bytes, so that no purpose is a prefix of another (FORMAT.md).
 */
#define KEY_PURPOSE_LEN 32

/* A new DEK: DEK_LEN random bytes. */
int dek_generate(struct secret **ret_dek) WARN_UNUSED;

/* First 16 bytes of HKDF(DEK, no salt, "dek-id"). */
int dek_id(const struct secret *dek, uint8_t ret_id[static DEK_ID_LEN]) WARN_UNUSED;

/*
 * The 64-byte AES-256-XTS key of one backing file: HKDF(DEK, salt = nonce,
 * "tdefs file-key v1" ‖ DEK id). -EKEYREJECTED if its halves are equal
 * (IEEE 1619-2018; SP 800-38E), which no nonce should ever meet.
 */
int derive_file_key(const struct secret *dek, const uint8_t id[static DEK_ID_LEN],
		    const uint8_t nonce[static 32], struct secret **ret_key) WARN_UNUSED;

/* The HMAC key of a file header: HKDF(DEK, salt = nonce, "tdefs file-header v1"). */
int derive_file_header_key(const struct secret *dek, const uint8_t nonce[static 32],
			   struct secret **ret_key) WARN_UNUSED;

/* The HMAC key of a volume header: HKDF(DEK, salt = UUID, "tdefs volume-header v1"). */
int derive_volume_header_key(const struct secret *dek, const uint8_t uuid[static 16],
			     struct secret **ret_key) WARN_UNUSED;

#endif
