/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that a DEK gives: one table of purposes, one rule for the HKDF info. */
#include "tdefs/crypto.h"

#include <errno.h>
#include <string.h>

enum purpose { PURPOSE_DEK_ID, PURPOSE_FILE_KEY, PURPOSE_FILE_HEADER, PURPOSE_VOLUME_HEADER };

/* Changing a text changes the disk format. */
static const char purposes[][KEY_PURPOSE_LEN] = {
	[PURPOSE_DEK_ID] = "dek-id",
	[PURPOSE_FILE_KEY] = "tdefs file-key v1",
	[PURPOSE_FILE_HEADER] = "tdefs file-header v1",
	[PURPOSE_VOLUME_HEADER] = "tdefs volume-header v1",
};

static int expand(const struct secret *dek, enum purpose purpose, const uint8_t *salt,
		  size_t salt_len, uint8_t *ret_okm, size_t okm_len)
{
	return hkdf_sha256(secret_view(dek), secret_len(dek), salt, salt_len, purposes[purpose],
			   KEY_PURPOSE_LEN, ret_okm, okm_len);
}

int dek_generate(struct secret **ret_dek)
{
	CLEANUP_SECRET struct secret *dek = secret_new(DEK_LEN);
	int r;

	if (!dek)
		return -ENOMEM;
	r = random_bytes(secret_bytes(dek), DEK_LEN);
	if (r < 0)
		return r;
	*ret_dek = TAKE_PTR(dek);
	return 0;
}

int dek_id(const struct secret *dek, uint8_t ret_id[static DEK_ID_LEN])
{
	return expand(dek, PURPOSE_DEK_ID, NULL, 0, ret_id, DEK_ID_LEN);
}

int derive_file_key(const struct secret *dek, const uint8_t id[static DEK_ID_LEN],
		    const uint8_t nonce[static 32], struct secret **ret_key)
{
	CLEANUP_SECRET struct secret *key = secret_new(XTS_KEY_LEN);
	uint8_t info[KEY_PURPOSE_LEN + DEK_ID_LEN];
	const uint8_t *half;
	int r;

	if (!key)
		return -ENOMEM;
	memcpy(info, purposes[PURPOSE_FILE_KEY], KEY_PURPOSE_LEN);
	memcpy(info + KEY_PURPOSE_LEN, id, DEK_ID_LEN);
	r = hkdf_sha256(secret_view(dek), secret_len(dek), nonce, 32, info, sizeof(info),
			secret_bytes(key), XTS_KEY_LEN);
	if (r < 0)
		return r;
	/* OpenSSL refuses equal halves when encrypting only, so decryption needs this check. */
	half = secret_view(key) + XTS_KEY_LEN / 2;
	if (constant_time_equal(secret_view(key), half, XTS_KEY_LEN / 2))
		return -EKEYREJECTED;
	*ret_key = TAKE_PTR(key);
	return 0;
}

static int derive_mac_key(const struct secret *dek, enum purpose purpose, const uint8_t *salt,
			  size_t salt_len, struct secret **ret_key)
{
	CLEANUP_SECRET struct secret *key = secret_new(SHA256_LEN);
	int r;

	if (!key)
		return -ENOMEM;
	r = expand(dek, purpose, salt, salt_len, secret_bytes(key), SHA256_LEN);
	if (r < 0)
		return r;
	*ret_key = TAKE_PTR(key);
	return 0;
}

int derive_file_header_key(const struct secret *dek, const uint8_t nonce[static 32],
			   struct secret **ret_key)
{
	return derive_mac_key(dek, PURPOSE_FILE_HEADER, nonce, 32, ret_key);
}

int derive_volume_header_key(const struct secret *dek, const uint8_t uuid[static 16],
			     struct secret **ret_key)
{
	return derive_mac_key(dek, PURPOSE_VOLUME_HEADER, uuid, 16, ret_key);
}
