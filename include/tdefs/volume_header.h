/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume header: identity, cipher and key slots (FORMAT.md, "Volume
 * header"). This module knows the bytes; digests are handed in, files and keys
 * are src/keyring's. Pure.
 */
#ifndef TDEFS_VOLUME_HEADER_H
#define TDEFS_VOLUME_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/cleanup.h"

#define VOLUME_HEADER_LEN  16384
#define VOLUME_HEADER_MAX  65536 /* what a reader takes in: newer versions may be longer */
#define VOLUME_SLOT_COUNT  6
#define VOLUME_MAC_COUNT   2 /* one for each live DEK; re-encryption will need two */
#define VOLUME_KID_MAX	   768
#define VOLUME_WRAPPED_MAX 512

/* Compatible features. The operator chose an older version: no rotation takes the newest by itself. */
#define VOLUME_PINNED 1u

enum volume_cipher { VOLUME_CIPHER_AES_256_XTS = 1 };

enum slot_state {
	SLOT_EMPTY = 0,
	SLOT_ACTIVE = 1,   /* exactly one: the slot that opens the volume */
	SLOT_PREVIOUS = 2, /* kept by a rotation until it is retired */
};

/* One wrapped copy of the DEK. */
struct key_slot {
	enum slot_state state;
	uint32_t wrap_algorithm; /* enum wrap_algorithm of src/crypto */
	uint8_t dek_id[16];
	uint8_t thumbprint[32];	 /* RFC 7638, of the protector */
	uint64_t created;	 /* seconds since 1970, UTC */
	uint8_t canary_hash[32]; /* SHA-256 of the unwrapped canary */
	char kid[VOLUME_KID_MAX + 1];
	uint8_t wrapped_dek[VOLUME_WRAPPED_MAX];
	size_t wrapped_dek_len;
	uint8_t wrapped_canary[VOLUME_WRAPPED_MAX];
	size_t wrapped_canary_len;
};

/* HMAC over the whole header but the two sums, under a key derived from that DEK. */
struct volume_mac {
	uint8_t dek_id[16]; /* all zero: unused */
	uint8_t mac[32];
};

struct volume_header {
	uint8_t uuid[16];	   /* this instance */
	uint8_t key_domain_id[16]; /* set at format, kept by every copy */
	uint32_t compatible;	   /* VOLUME_PINNED; bits that we do not know are kept */
	enum volume_cipher cipher;
	uint32_t sector_size; /* bytes */
	uint64_t sequence;    /* counts up with every change */
	uint64_t created;     /* seconds since 1970, UTC */
	struct volume_mac macs[VOLUME_MAC_COUNT];
	struct key_slot slots[VOLUME_SLOT_COUNT];
	uint8_t digest[32]; /* SHA-256 of the bytes that were parsed; not encoded from here */
};

static inline bool volume_header_is_pinned(const struct volume_header *h)
{
	return h->compatible & VOLUME_PINNED;
}

/* SHA-256; 0 or a negative errno. */
typedef int (*digest_fn)(const void *data, size_t len, uint8_t ret_digest[static 32]);

/* The slot in state SLOT_ACTIVE; a parsed header has exactly one. */
const struct key_slot *volume_header_active_slot(const struct volume_header *h);

/*
 * The bytes that the HMACs cover: the header with its HMACs and its SHA-256
 * taken as zeros. -EINVAL for a header that no reader would accept.
 */
int volume_header_encode_unsealed(const struct volume_header *h,
				  uint8_t ret_bytes[static VOLUME_HEADER_LEN]) WARN_UNUSED;

/* The header as it is stored: HMACs as they stand in `h->macs`, then the SHA-256. */
int volume_header_encode(const struct volume_header *h, digest_fn sha256,
			 uint8_t ret_bytes[static VOLUME_HEADER_LEN]) WARN_UNUSED;

/*
 * -EBADMSG: damaged (magic, checksum, structure). -EPROTONOSUPPORT: intact,
 * but of a version, cipher or with features this program does not know.
 */
int volume_header_parse(const uint8_t *bytes, size_t len, digest_fn sha256,
			struct volume_header *ret_header) WARN_UNUSED;

#endif
