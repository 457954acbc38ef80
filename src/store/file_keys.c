/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DEK and the file keys made from it, in one place, so that they can be
 * wiped and given back beneath open files. Nothing here does I/O: a key is in
 * use for a few microseconds, and whoever wipes never waits for a disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file_internal.h"

struct file_keys {
	pthread_rwlock_t
		lock; /* shared: a key is in use; exclusive: what follows changes; innermost */
	struct secret *dek; /* NULL: wiped, or not given yet */
	struct file *first; /* files that have a header, by keyed_next */
};

struct file_keys *file_keys_new(void)
{
	struct file_keys *k = calloc(1, sizeof(*k));
	pthread_rwlockattr_t attr;

	if (!k)
		return NULL;
	/* Who opens or wipes must get in between ciphers that never cease; nobody holds it twice. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&k->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return k;
}

/* Under the lock, exclusive. */
static void drop_secrets(struct file *f)
{
	secret_free(f->key);
	secret_free(f->tail);
	f->key = f->tail = NULL;
}

static void drop_all(struct file_keys *k)
{
	for (struct file *f = k->first; f; f = f->keyed_next)
		drop_secrets(f);
	secret_free(k->dek);
	k->dek = NULL;
}

void file_keys_free(struct file_keys *k)
{
	if (!k)
		return;
	drop_all(k);
	pthread_rwlock_destroy(&k->lock);
	free(k);
}

void file_keys_wipe(struct file_keys *k)
{
	pthread_rwlock_wrlock(&k->lock);
	drop_all(k);
	pthread_rwlock_unlock(&k->lock);
}

/* Under the lock, exclusive. */
static int derive(const struct file_keys *k, struct file *f)
{
	return derive_file_key(k->dek, f->context->dek_id, f->nonce, &f->key);
}

int file_keys_set(struct file_keys *k, struct secret *dek)
{
	int r = 0;

	pthread_rwlock_wrlock(&k->lock);
	drop_all(k);
	k->dek = dek;
	for (struct file *f = k->first; f && r == 0; f = f->keyed_next)
		r = derive(k, f);
	if (r < 0)
		drop_all(k);
	pthread_rwlock_unlock(&k->lock);
	return r;
}

int file_key_adopt(struct file *f)
{
	struct file_keys *k = f->context->keys;
	int r;

	pthread_rwlock_wrlock(&k->lock);
	r = k->dek ? derive(k, f) : -ENOKEY;
	if (r == 0) {
		f->keyed_next = k->first;
		f->keyed_link = &k->first;
		if (k->first)
			k->first->keyed_link = &f->keyed_next;
		k->first = f;
	}
	pthread_rwlock_unlock(&k->lock);
	return r;
}

/* Under the lock, exclusive. */
static void unlink_keyed(struct file *f)
{
	*f->keyed_link = f->keyed_next;
	if (f->keyed_next)
		f->keyed_next->keyed_link = f->keyed_link;
	f->keyed_link = NULL;
}

void file_key_drop(struct file *f)
{
	struct file_keys *k = f->context->keys;

	pthread_rwlock_wrlock(&k->lock); /* for the link, too: neighbours change it */
	if (f->keyed_link)
		unlink_keyed(f);
	drop_secrets(f);
	pthread_rwlock_unlock(&k->lock);
}

static int run_cipher(const struct secret *key, enum sector_direction direction, uint64_t off,
		      const uint8_t *in, uint8_t *out, size_t len)
{
	CLEANUP_CIPHER struct sector_cipher cipher = { 0 };
	int r = key ? sector_cipher_begin(&cipher, key, direction) : -ENOKEY;

	return r < 0 ? r : sector_cipher_run(&cipher, off, in, out, len);
}

int file_crypt(struct file *f, enum sector_direction direction, uint64_t off, const uint8_t *in,
	       uint8_t *out, size_t len)
{
	struct file_keys *k = f->context->keys;
	int r;

	pthread_rwlock_rdlock(&k->lock);
	r = run_cipher(f->key, direction, off, in, out, len);
	pthread_rwlock_unlock(&k->lock);
	return r;
}

void file_tail_keep(struct file *f, const uint8_t block[static XTS_BLOCK])
{
	struct file_keys *k = f->context->keys;

	f->tail_size = 0;
	pthread_rwlock_rdlock(&k->lock);
	if (f->key && !f->tail) /* without memory for it the next append reads */
		f->tail = secret_new(XTS_BLOCK);
	if (f->tail)
		memcpy(secret_bytes(f->tail), block, XTS_BLOCK);
	pthread_rwlock_unlock(&k->lock);
}

bool file_tail_get(struct file *f, uint8_t ret_block[static XTS_BLOCK])
{
	struct file_keys *k = f->context->keys;
	bool kept;

	if (f->tail_size == 0 || f->tail_size != atomic_load(&f->size))
		return false;
	pthread_rwlock_rdlock(&k->lock);
	kept = f->tail;
	if (kept)
		memcpy(ret_block, secret_view(f->tail), XTS_BLOCK);
	pthread_rwlock_unlock(&k->lock);
	return kept;
}

static int header_mac(const struct secret *dek, const uint8_t *nonce, const uint8_t *record,
		      uint8_t ret_mac[static FILE_RECORD_MAC_LEN])
{
	CLEANUP_SECRET struct secret *key = NULL;
	int r = dek ? derive_file_header_key(dek, nonce, &key) : -ENOKEY;

	return r < 0 ? r : hmac_sha256(key, record, FILE_RECORD_MAC_AT, ret_mac);
}

int file_keys_header_mac(struct file_keys *k, const uint8_t *nonce, const uint8_t *record,
			 uint8_t ret_mac[static FILE_RECORD_MAC_LEN])
{
	int r;

	pthread_rwlock_rdlock(&k->lock);
	r = header_mac(k->dek, nonce, record, ret_mac);
	pthread_rwlock_unlock(&k->lock);
	return r;
}
