/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of the volume header and its key slots. Neither reads files nor holds keys. */
#include "tdefs/volume_header.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tdefs/bytes.h"

#define VOLUME_MAGIC   "TDEFSVOL"
#define VOLUME_VERSION 1

#define MACS_AT	  128
#define MAC_LEN	  48 /* DEK id and HMAC */
#define DIGEST_AT 480
#define SLOTS_AT  4096
#define SLOT_LEN  2048

/* Inside a slot. */
#define KID_AT		  128
#define WRAPPED_DEK_AT	  896
#define WRAPPED_CANARY_AT 1408

static_assert(MACS_AT + VOLUME_MAC_COUNT * MAC_LEN <= DIGEST_AT, "HMACs end before the SHA-256");
static_assert(SLOTS_AT + VOLUME_SLOT_COUNT * SLOT_LEN == VOLUME_HEADER_LEN, "slots fill the rest");
static_assert(KID_AT + VOLUME_KID_MAX == WRAPPED_DEK_AT, "a kid fills its room");
static_assert(WRAPPED_DEK_AT + VOLUME_WRAPPED_MAX == WRAPPED_CANARY_AT, "so does the wrapped DEK");

static const uint8_t no_id[16];

const struct key_slot *volume_header_active_slot(const struct volume_header *h)
{
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		if (h->slots[i].state == SLOT_ACTIVE)
			return &h->slots[i];
	return NULL;
}

static void slot_encode(struct wr *w, const struct key_slot *s)
{
	const size_t start = w->pos;
	const size_t kid_len = strlen(s->kid);

	if (s->state == SLOT_EMPTY) {
		wr_zeros_until(w, start + SLOT_LEN);
		return;
	}
	wr_le32(w, (uint32_t)s->state);
	wr_le32(w, s->wrap_algorithm);
	wr_copy(w, s->dek_id, 16);
	wr_copy(w, s->thumbprint, 32);
	wr_le64(w, s->created);
	wr_copy(w, s->canary_hash, 32);
	wr_le16(w, (uint16_t)kid_len);
	wr_le16(w, (uint16_t)s->wrapped_dek_len);
	wr_le16(w, (uint16_t)s->wrapped_canary_len);
	wr_zeros_until(w, start + KID_AT);
	wr_copy(w, s->kid, kid_len);
	wr_zeros_until(w, start + WRAPPED_DEK_AT);
	wr_copy(w, s->wrapped_dek, s->wrapped_dek_len);
	wr_zeros_until(w, start + WRAPPED_CANARY_AT);
	wr_copy(w, s->wrapped_canary, s->wrapped_canary_len);
	wr_zeros_until(w, start + SLOT_LEN);
}

static void header_encode(const struct volume_header *h, bool sealed, struct wr *w)
{
	wr_copy(w, VOLUME_MAGIC, 8);
	wr_le32(w, VOLUME_VERSION);
	wr_le32(w, VOLUME_HEADER_LEN);
	wr_le32(w, 0); /* incompatible features */
	wr_le32(w, h->compatible);
	wr_copy(w, h->uuid, 16);
	wr_copy(w, h->key_domain_id, 16);
	wr_le64(w, h->sequence);
	wr_le64(w, h->created);
	wr_le32(w, (uint32_t)h->cipher);
	wr_le32(w, h->sector_size);
	wr_zeros_until(w, MACS_AT);
	for (size_t i = 0; i < VOLUME_MAC_COUNT; i++) {
		wr_copy(w, h->macs[i].dek_id, 16);
		if (sealed)
			wr_copy(w, h->macs[i].mac, 32);
		else
			wr_zeros_until(w, w->pos + 32);
	}
	wr_zeros_until(w, SLOTS_AT);
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		slot_encode(w, &h->slots[i]);
}

static int encode(const struct volume_header *h, bool sealed, uint8_t *bytes)
{
	struct wr w = wr_over(bytes, VOLUME_HEADER_LEN);

	if (!volume_header_active_slot(h))
		return -EINVAL;
	header_encode(h, sealed, &w);
	return w.bad ? -EINVAL : 0;
}

int volume_header_encode_unsealed(const struct volume_header *h,
				  uint8_t ret_bytes[static VOLUME_HEADER_LEN])
{
	return encode(h, false, ret_bytes);
}

int volume_header_encode(const struct volume_header *h, digest_fn sha256,
			 uint8_t ret_bytes[static VOLUME_HEADER_LEN])
{
	int r = encode(h, true, ret_bytes);

	if (r < 0)
		return r;
	return sha256(ret_bytes, VOLUME_HEADER_LEN, ret_bytes + DIGEST_AT);
}

/* A kid goes to terminals, logs and URLs: printable ASCII only. */
static bool is_printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	return true;
}

static int slot_parse(struct rd *r, struct key_slot *ret_slot)
{
	struct key_slot s = { 0 };
	const size_t start = r->pos;
	uint32_t state = rd_le32(r);
	size_t kid_len;

	if (state > SLOT_PREVIOUS)
		return -EBADMSG;
	s.state = (enum slot_state)state;
	if (s.state == SLOT_EMPTY)
		rd_zeros_until(r, start + SLOT_LEN);
	else {
		s.wrap_algorithm = rd_le32(r);
		rd_copy(r, s.dek_id, 16);
		rd_copy(r, s.thumbprint, 32);
		s.created = rd_le64(r);
		rd_copy(r, s.canary_hash, 32);
		kid_len = rd_le16(r);
		s.wrapped_dek_len = rd_le16(r);
		s.wrapped_canary_len = rd_le16(r);
		if (kid_len > VOLUME_KID_MAX || s.wrapped_dek_len > VOLUME_WRAPPED_MAX ||
		    s.wrapped_canary_len > VOLUME_WRAPPED_MAX)
			return -EBADMSG;
		rd_zeros_until(r, start + KID_AT);
		rd_copy(r, s.kid, kid_len);
		rd_zeros_until(r, start + WRAPPED_DEK_AT);
		rd_copy(r, s.wrapped_dek, s.wrapped_dek_len);
		rd_zeros_until(r, start + WRAPPED_CANARY_AT);
		rd_copy(r, s.wrapped_canary, s.wrapped_canary_len);
		rd_zeros_until(r, start + SLOT_LEN);
		if (kid_len == 0 || !is_printable(s.kid, kid_len))
			return -EBADMSG;
	}
	*ret_slot = s;
	return r->bad ? -EBADMSG : 0;
}

/*
 * Magic, version, length and SHA-256 stand where every version has them, so
 * damage shows without any key, and an intact newer header is told apart from it.
 */
static int check_damage(const uint8_t *bytes, size_t len, digest_fn sha256)
{
	CLEANUP_FREE uint8_t *copy = NULL;
	struct rd r = rd_over(bytes, len);
	uint8_t digest[32];
	int rc;

	if (len < SLOTS_AT || memcmp(bytes, VOLUME_MAGIC, 8) != 0)
		return -EBADMSG;
	rd_skip(&r, 12);
	if (rd_le32(&r) != len)
		return -EBADMSG;
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes, len);
	memset(copy + DIGEST_AT, 0, sizeof(digest));
	rc = sha256(copy, len, digest);
	if (rc < 0)
		return rc;
	return memcmp(digest, bytes + DIGEST_AT, sizeof(digest)) == 0 ? 0 : -EBADMSG;
}

static int check_version(struct rd *r)
{
	uint32_t version, incompatible;

	rd_skip(r, 8);
	version = rd_le32(r);
	rd_skip(r, 4);
	incompatible = rd_le32(r);
	return version == VOLUME_VERSION && incompatible == 0 ? 0 : -EPROTONOSUPPORT;
}

static int fields_parse(struct rd *r, struct volume_header *h)
{
	size_t active = 0;
	uint32_t cipher;

	h->compatible = rd_le32(r);
	rd_copy(r, h->uuid, 16);
	rd_copy(r, h->key_domain_id, 16);
	h->sequence = rd_le64(r);
	h->created = rd_le64(r);
	cipher = rd_le32(r);
	h->sector_size = rd_le32(r);
	if (cipher != VOLUME_CIPHER_AES_256_XTS || h->sector_size != 4096)
		return -EPROTONOSUPPORT;
	h->cipher = (enum volume_cipher)cipher;
	rd_zeros_until(r, MACS_AT);
	for (size_t i = 0; i < VOLUME_MAC_COUNT; i++) {
		rd_copy(r, h->macs[i].dek_id, 16);
		rd_copy(r, h->macs[i].mac, 32);
	}
	rd_zeros_until(r, DIGEST_AT);
	rd_skip(r, 32);
	rd_zeros_until(r, SLOTS_AT);
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++) {
		if (slot_parse(r, &h->slots[i]) < 0)
			return -EBADMSG;
		active += h->slots[i].state == SLOT_ACTIVE;
	}
	if (r->bad || active != 1 || memcmp(h->macs[0].dek_id, no_id, 16) == 0)
		return -EBADMSG;
	return 0;
}

int volume_header_parse(const uint8_t *bytes, size_t len, digest_fn sha256,
			struct volume_header *ret_header)
{
	struct volume_header h = { 0 };
	struct rd r = rd_over(bytes, len);
	int rc;

	rc = check_damage(bytes, len, sha256);
	if (rc < 0)
		return rc;
	rc = check_version(&r);
	if (rc < 0)
		return rc;
	if (len != VOLUME_HEADER_LEN)
		return -EBADMSG;
	rc = fields_parse(&r, &h);
	if (rc < 0)
		return rc;
	memcpy(h.digest, bytes + DIGEST_AT, sizeof(h.digest));
	*ret_header = h;
	return 0;
}
