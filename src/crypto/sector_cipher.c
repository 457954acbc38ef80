/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-XTS on sectors, parts of sectors, and holes. Knows no files and no headers. */
#include "tdefs/sector_cipher.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "tdefs/crypto.h"

#define SECTOR_BLOCKS (SECTOR_LEN / XTS_BLOCK)

/* Fetched once: an implicit fetch for each operation costs as much as half a sector. */
static EVP_CIPHER *xts;
static pthread_once_t xts_once = PTHREAD_ONCE_INIT;

static void fetch_xts(void)
{
	xts = EVP_CIPHER_fetch(NULL, "AES-256-XTS", NULL);
}

int sector_cipher_begin(struct sector_cipher *c, const struct secret *key,
			enum sector_direction direction)
{
	*c = (struct sector_cipher){ .direction = direction };
	pthread_once(&xts_once, fetch_xts);
	if (!xts || secret_len(key) != XTS_KEY_LEN)
		return -EIO;
	c->ctx = EVP_CIPHER_CTX_new();
	if (!c->ctx)
		return -ENOMEM;
	if (EVP_CipherInit_ex2(c->ctx, xts, secret_view(key), NULL, direction == SECTOR_ENCRYPT,
			       NULL) != 1) {
		sector_cipher_end(c);
		return -EIO;
	}
	return 0;
}

void sector_cipher_end(struct sector_cipher *c)
{
	EVP_CIPHER_CTX_free(c->ctx);
	c->ctx = NULL;
}

/* One data unit, from its first byte. */
static int run_unit(struct sector_cipher *c, uint64_t sector, const uint8_t *in, uint8_t *out,
		    size_t len)
{
	uint8_t tweak[XTS_BLOCK] = { 0 };
	int n = 0;

	for (size_t i = 0; i < sizeof(sector); i++)
		tweak[i] = (uint8_t)(sector >> (8 * i));
	/* A second update without a new IV would start with the same tweak again. */
	if (EVP_CipherInit_ex2(c->ctx, NULL, NULL, tweak, -1, NULL) != 1 ||
	    EVP_CipherUpdate(c->ctx, out, &n, in, (int)len) != 1)
		return -EIO;
	return n == (int)len ? 0 : -EIO;
}

static bool block_is_zero(const uint8_t *p)
{
	uint64_t a, b;

	memcpy(&a, p, sizeof(a));
	memcpy(&b, p + sizeof(a), sizeof(b));
	return (a | b) == 0;
}

/* Mostly there is none, and every read looks for one: a fifth of its instructions, before. */
static bool has_hole(const uint8_t *in, size_t len)
{
#pragma GCC unroll 4
	for (size_t at = 0; at < len; at += XTS_BLOCK)
		if (block_is_zero(in + at))
			return true;
	return false;
}

/* `in` and `out` may be the same: where the holes are is remembered before. */
static int decrypt_around_holes(struct sector_cipher *c, uint64_t sector, const uint8_t *in,
				uint8_t *out, size_t len)
{
	bool hole[SECTOR_BLOCKS];
	int r;

	for (size_t i = 0; i < len / XTS_BLOCK; i++)
		hole[i] = block_is_zero(in + i * XTS_BLOCK);
	r = run_unit(c, sector, in, out, len);
	for (size_t i = 0; r == 0 && i < len / XTS_BLOCK; i++)
		if (hole[i])
			memset(out + i * XTS_BLOCK, 0, XTS_BLOCK);
	return r;
}

/* `len` bytes of one sector, from its first byte. */
static int run_head(struct sector_cipher *c, uint64_t sector, const uint8_t *in, uint8_t *out,
		    size_t len)
{
	if (c->direction == SECTOR_DECRYPT && has_hole(in, len))
		return decrypt_around_holes(c, sector, in, out, len);
	return run_unit(c, sector, in, out, len);
}

/*
 * `len` bytes of one sector, `skip` bytes into it. OpenSSL starts a data unit
 * at its first block only, so the blocks before are run too and thrown away.
 */
static int run_middle(struct sector_cipher *c, uint64_t sector, size_t skip, const uint8_t *in,
		      uint8_t *out, size_t len)
{
	uint8_t unit[SECTOR_LEN];
	int r;

	memset(unit, 0, skip);
	memcpy(unit + skip, in, len);
	r = run_head(c, sector, unit, unit, skip + len);
	if (r == 0)
		memcpy(out, unit + skip, len);
	secret_wipe(unit, skip + len);
	return r;
}

int sector_cipher_run(struct sector_cipher *c, uint64_t off, const uint8_t *in, uint8_t *out,
		      size_t len)
{
	while (len > 0) {
		size_t skip = off % SECTOR_LEN;
		size_t n = len < SECTOR_LEN - skip ? len : SECTOR_LEN - skip;
		int r = skip ? run_middle(c, off / SECTOR_LEN, skip, in, out, n)
			     : run_head(c, off / SECTOR_LEN, in, out, n);

		if (r < 0)
			return r;
		off += n;
		in += n;
		out += n;
		len -= n;
	}
	return 0;
}
