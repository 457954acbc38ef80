/* SPDX-License-Identifier: Apache-2.0 */
/* From a protector to a new header, and from a header to its DEK. */
#include "tdefs/keyring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "slot.h"
#include "tdefs/protector.h"

#define CANARY_LEN 32

static int crypto_failed(int r, struct errmsg *reterr)
{
	errmsg_next(reterr, "free memory, raise RLIMIT_MEMLOCK, then try again");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "cannot make keys: %s", errno_text(r));
}

static int make_canary(struct secret **ret_canary, uint8_t ret_hash[static 32])
{
	CLEANUP_SECRET struct secret *canary = secret_new(CANARY_LEN);
	int r = canary ? random_bytes(secret_bytes(canary), CANARY_LEN) : -ENOMEM;

	if (r == 0)
		r = sha256(secret_view(canary), CANARY_LEN, ret_hash);
	if (r == 0)
		*ret_canary = TAKE_PTR(canary);
	return r;
}

int slot_begin(struct vault *vault, const struct vault_key *key, uint64_t now,
	       struct key_slot *slot, struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *canary = NULL;
	struct vault_wrapped wrapped = { 0 };
	int r = make_canary(&canary, slot->canary_hash);

	if (r < 0)
		return crypto_failed(r, reterr);
	r = protector_wrap(vault, key->kid, canary, NULL, &wrapped, reterr);
	if (r < 0)
		return r;
	slot->state = SLOT_ACTIVE;
	slot->wrap_algorithm = wrapped.algorithm;
	slot->created = now;
	memcpy(slot->thumbprint, key->thumbprint, sizeof(slot->thumbprint));
	(void)snprintf(slot->kid, sizeof(slot->kid), "%s", wrapped.kid);
	memcpy(slot->wrapped_canary, wrapped.bytes, wrapped.len);
	slot->wrapped_canary_len = wrapped.len;
	return 0;
}

/* One algorithm and one kid stand for both: the vault's answer is not to change in between. */
static int check_same(const struct key_slot *slot, const struct vault_wrapped *w,
		      struct errmsg *reterr)
{
	if (slot->wrap_algorithm == w->algorithm && strcmp(slot->kid, w->kid) == 0)
		return 0;
	errmsg_next(reterr, "check the vault, then try again: nothing was written");
	return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_FAILED,
			   "protector %s: it wrapped the canary, but %s the DEK", slot->kid,
			   w->kid);
}

int slot_put_dek(struct vault *vault, const struct secret *dek, const struct wrap_limits *limits,
		 struct key_slot *slot, struct errmsg *reterr)
{
	struct vault_wrapped wrapped = { 0 };
	int r = dek_id(dek, slot->dek_id);

	if (r < 0)
		return crypto_failed(r, reterr);
	r = protector_wrap(vault, slot->kid, dek, limits, &wrapped, reterr);
	if (r == 0)
		r = check_same(slot, &wrapped, reterr);
	if (r < 0)
		return r;
	memcpy(slot->wrapped_dek, wrapped.bytes, wrapped.len);
	slot->wrapped_dek_len = wrapped.len;
	return 0;
}

/* RFC 9562, version 4. */
int uuid_make(uint8_t ret_uuid[static 16])
{
	int r = random_bytes(ret_uuid, 16);

	ret_uuid[6] = (uint8_t)((ret_uuid[6] & 0x0f) | 0x40);
	ret_uuid[8] = (uint8_t)((ret_uuid[8] & 0x3f) | 0x80);
	return r;
}

int keyring_create(struct vault *vault, const struct vault_key *key, uint64_t now,
		   struct volume_header *ret_header, struct secret **ret_dek, struct errmsg *reterr)
{
	struct volume_header h = { .cipher = VOLUME_CIPHER_AES_256_XTS,
				   .sector_size = 4096,
				   .sequence = 1,
				   .created = now };
	CLEANUP_SECRET struct secret *dek = NULL;
	int r;

	r = uuid_make(h.uuid);
	if (r == 0)
		r = random_bytes(h.key_domain_id, sizeof(h.key_domain_id));
	if (r == 0)
		r = dek_generate(&dek);
	if (r < 0)
		return crypto_failed(r, reterr);
	r = slot_begin(vault, key, now, &h.slots[0], reterr);
	if (r == 0)
		r = slot_put_dek(vault, dek, NULL, &h.slots[0], reterr);
	if (r < 0)
		return r;
	r = header_seal(&h, dek);
	if (r < 0)
		return crypto_failed(r, reterr);
	*ret_header = h;
	*ret_dek = TAKE_PTR(dek);
	return 0;
}

static int check_thumbprint(const struct vault_key *key, const struct key_slot *slot,
			    const char *volume, struct vault_report *rep)
{
	if (constant_time_equal(key->thumbprint, slot->thumbprint, THUMBPRINT_LEN))
		return 0;
	rep->verdict = VAULT_BROKEN;
	errmsg_next(&rep->error, "put the key back that wrapped it: see the thumbprint in "
				 "tdefsctl header dump");
	return errmsg_fail(&rep->error, -EKEYREJECTED, EXIT_CODE_FAILED,
			   "volume %s: wrong protector: %s is not the key that wrapped its DEK",
			   volume, slot->kid);
}

int slot_check(const char *kid, const struct key_slot *slot, const char *volume,
	       struct vault_report *rep)
{
	struct errmsg *err = &rep->error;

	rep->verdict = VAULT_BROKEN;
	if (slot->wrap_algorithm != WRAP_RSA_OAEP_256 && slot->wrap_algorithm != WRAP_RSA_OAEP) {
		errmsg_next(err, "use the version of tdefs that wrote the header");
		return errmsg_fail(err, -EPROTONOSUPPORT, EXIT_CODE_FAILED,
				   "volume %s: unknown wrap algorithm %u in its key slot", volume,
				   slot->wrap_algorithm);
	}
	if (!protector_covers(kid, slot->kid)) {
		errmsg_next(err,
			    "restore that key, if it is gone; then tdefsctl link it for this "
			    "volume, or set \"protector = %s\"",
			    slot->kid);
		return errmsg_fail(err, -EKEYREJECTED, EXIT_CODE_FAILED,
				   "volume %s: its DEK is wrapped by %s, but the protector is %s",
				   volume, slot->kid, kid);
	}
	return 0;
}

static int check_dek(const struct volume_header *header, const struct key_slot *slot,
		     const struct secret *dek, const char *volume, struct errmsg *reterr)
{
	uint8_t id[DEK_ID_LEN];
	int r = -EBADMSG;

	if (secret_len(dek) == DEK_LEN) {
		r = dek_id(dek, id);
		if (r == 0 && !constant_time_equal(id, slot->dek_id, sizeof(id)))
			r = -EBADMSG;
		if (r == 0)
			r = header_authenticate(header, dek);
	}
	if (r == 0)
		return 0;
	if (r != -EBADMSG)
		return crypto_failed(r, reterr);
	errmsg_next(reterr, "restore .tdefs/header and .tdefs/header.bak from a backup");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
			   "volume %s: its header was tampered with: the HMAC is wrong", volume);
}

static struct vault_wrapped wrapped_of(const struct key_slot *slot, const uint8_t *bytes,
				       size_t len)
{
	struct vault_wrapped w = { .algorithm = (enum wrap_algorithm)slot->wrap_algorithm,
				   .len = len };

	memcpy(w.bytes, bytes, len);
	(void)snprintf(w.kid, sizeof(w.kid), "%s", slot->kid);
	return w;
}

int slot_unlock(struct vault *vault, const char *kid, const struct key_slot *slot,
		const struct volume_header *header, const char *volume, unsigned timeout_ms,
		struct secret **ret_dek, struct vault_report *ret_report)
{
	struct vault_wrapped wrapped = wrapped_of(slot, slot->wrapped_dek, slot->wrapped_dek_len);
	CLEANUP_SECRET struct secret *dek = NULL;
	struct vault_key key;
	int r;

	*ret_report = (struct vault_report){ 0 };
	(void)snprintf(wrapped.kid, sizeof(wrapped.kid), "%s", kid);
	if (vault->ops->get(vault, kid, timeout_ms, &key, ret_report) != VAULT_GRANTED)
		return protector_failed(ret_report, NULL);
	r = check_thumbprint(&key, slot, volume, ret_report);
	if (r < 0)
		return r;
	if (vault->ops->unwrap(vault, &wrapped, timeout_ms, &dek, ret_report) != VAULT_GRANTED)
		return protector_failed(ret_report, NULL);
	r = check_dek(header, slot, dek, volume, &ret_report->error);
	if (r == 0)
		*ret_dek = TAKE_PTR(dek);
	else
		ret_report->verdict = VAULT_BROKEN;
	return r;
}

int keyring_unlock_by(struct vault *vault, const char *kid, const struct volume_header *header,
		      const char *volume, unsigned timeout_ms, struct secret **ret_dek,
		      struct vault_report *ret_report)
{
	return slot_unlock(vault, kid, volume_header_active_slot(header), header, volume,
			   timeout_ms, ret_dek, ret_report);
}

int keyring_unlock(struct vault *vault, const char *kid, const struct volume_header *header,
		   const char *volume, unsigned timeout_ms, struct secret **ret_dek,
		   struct vault_report *ret_report)
{
	const struct key_slot *slot = volume_header_active_slot(header);
	int r;

	*ret_report = (struct vault_report){ 0 };
	r = slot_check(kid, slot, volume, ret_report);
	if (r == 0)
		r = keyring_unlock_by(vault, slot->kid, header, volume, timeout_ms, ret_dek,
				      ret_report);
	else if (r == -EKEYREJECTED)
		header_add_keys(header, &ret_report->error);
	if (r < 0 && ret_report->verdict == VAULT_DENIED)
		header_add_keys(header, &ret_report->error);
	return r;
}

static bool is_canary(const struct key_slot *slot, const struct secret *canary)
{
	uint8_t hash[32];

	return secret_len(canary) == CANARY_LEN &&
	       sha256(secret_view(canary), CANARY_LEN, hash) == 0 &&
	       constant_time_equal(hash, slot->canary_hash, sizeof(hash));
}

static void not_the_canary(const struct key_slot *slot, struct vault_report *rep)
{
	rep->verdict = VAULT_BROKEN;
	errmsg_next(&rep->error, "check the vault: it gives back another value than was wrapped");
	(void)errmsg_fail(&rep->error, -EKEYREJECTED, EXIT_CODE_FAILED,
			  "protector %s: its canary is not what was wrapped", slot->kid);
}

static unsigned time_left(const struct clock *clock, uint64_t until_ms)
{
	uint64_t now = clock->boot_ms();

	return now < until_ms ? (unsigned)(until_ms - now) : 1;
}

enum vault_verdict keyring_probe_key(struct vault *vault, const struct key_slot *slot,
				     const char *volume, const struct clock *clock,
				     unsigned timeout_ms, struct vault_key *ret_key,
				     struct vault_report *ret_report)
{
	const struct vault_wrapped wrapped =
		wrapped_of(slot, slot->wrapped_canary, slot->wrapped_canary_len);
	const uint64_t until_ms = clock->boot_ms() + timeout_ms;
	CLEANUP_SECRET struct secret *canary = NULL;
	struct vault_key key;

	*ret_report = (struct vault_report){ 0 };
	if (vault->ops->unwrap(vault, &wrapped, timeout_ms, &canary, ret_report) != VAULT_GRANTED)
		return ret_report->verdict;
	if (!is_canary(slot, canary))
		not_the_canary(slot, ret_report);
	else if (vault->ops->get(vault, slot->kid, time_left(clock, until_ms), &key, ret_report) ==
		 VAULT_GRANTED)
		IGNORE_RESULT(check_thumbprint(&key, slot, volume, ret_report), "in the report");
	if (ret_report->verdict == VAULT_GRANTED)
		*ret_key = key;
	return ret_report->verdict;
}

enum vault_verdict keyring_probe(struct vault *vault, const struct key_slot *slot,
				 const char *volume, const struct clock *clock, unsigned timeout_ms,
				 struct vault_report *ret_report)
{
	struct vault_key ignored;

	return keyring_probe_key(vault, slot, volume, clock, timeout_ms, &ignored, ret_report);
}
