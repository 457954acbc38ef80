/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/rotate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slot.h"
#include "tdefs/protector.h"

/* The key that is to be the protector. */
struct target {
	struct vault_key key;
	bool is_active;	      /* it is the protector already */
	bool pinned;	      /* the header is to be pinned to it */
	struct key_slot slot; /* its new one, still without the DEK */
	uint64_t until_ms;    /* so long the DEK may be in memory */
};

static const struct clock *clock_of(const struct rotation *r)
{
	return r->clock ? r->clock : &clock_kernel;
}

static unsigned dek_timeout(const struct rotation *r)
{
	return r->dek_timeout_ms ? r->dek_timeout_ms : VAULT_COMMAND_TIMEOUT_MS;
}

static int no_memory(struct errmsg *reterr)
{
	return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
}

/* Two DEKs are live while a volume is re-encrypted: the other's HMAC could not be made. */
static int check_single_dek(const struct rotation *r, const struct volume_header *h,
			    struct errmsg *reterr)
{
	static const uint8_t none[16];

	if (memcmp(h->macs[1].dek_id, none, sizeof(none)) == 0)
		return 0;
	errmsg_next(reterr, "use the version of tdefs that wrote the header");
	return errmsg_fail(reterr, -EPROTONOSUPPORT, EXIT_CODE_FAILED,
			   "volume %s: its header has a second DEK, which this program does not "
			   "know",
			   r->volume);
}

/* The DEK, by the vault, now. */
static int unwrap(const struct rotation *r, const struct volume_header *h, struct secret **ret_dek,
		  struct errmsg *reterr)
{
	const struct key_slot *slot = r->from_slot ? r->from_slot : volume_header_active_slot(h);
	struct vault_report rep = { 0 };
	int e = slot_check(r->from_kid, slot, r->volume, &rep);

	if (e == 0)
		e = slot_unlock(r->from, slot->kid, slot, h, r->volume, dek_timeout(r), ret_dek,
				&rep);
	if (e < 0)
		*reterr = rep.error;
	return e;
}

static struct key_slot *empty_slot(struct volume_header *h)
{
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		if (h->slots[i].state == SLOT_EMPTY)
			return &h->slots[i];
	return NULL;
}

/* No two wrapped copies are the same bytes: OAEP is random. */
static bool is_slot(const struct key_slot *a, const struct key_slot *b)
{
	return a->wrapped_dek_len == b->wrapped_dek_len &&
	       memcmp(a->wrapped_dek, b->wrapped_dek, a->wrapped_dek_len) == 0;
}

/* Every previous slot but that one. */
static bool drop_previous(struct volume_header *h, const struct key_slot *but)
{
	bool dropped = false;

	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++) {
		struct key_slot *s = &h->slots[i];

		if (s->state != SLOT_PREVIOUS || (but && is_slot(s, but)))
			continue;
		*s = (struct key_slot){ 0 };
		dropped = true;
	}
	return dropped;
}

static int seal(const struct rotation *r, struct volume_header *h, const struct secret *dek,
		struct errmsg *reterr)
{
	int e;

	h->sequence++;
	e = header_seal(h, dek);
	if (e == 0)
		return 0;
	errmsg_next(reterr, "free memory, raise RLIMIT_MEMLOCK, then try again");
	return errmsg_fail(reterr, e, EXIT_CODE_FAILED, "volume %s: cannot seal its header: %s",
			   r->volume, errno_text(e));
}

static void set_pinned(struct volume_header *h, bool pinned)
{
	h->compatible = pinned ? h->compatible | VOLUME_PINNED : h->compatible & ~VOLUME_PINNED;
}

/* The header with the new key's slot; what was active stays as previous. */
static int rewrap(const struct rotation *r, const struct target *t, const struct secret *dek,
		  struct volume_header *h, struct errmsg *reterr)
{
	const struct wrap_limits limits = { .clock = clock_of(r),
					    .until_ms = t->until_ms,
					    .may_go_on = r->may_write,
					    .arg = r->arg };
	struct key_slot *slot;
	int e;

	drop_previous(h, r->from_slot);
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		if (h->slots[i].state == SLOT_ACTIVE)
			h->slots[i].state = SLOT_PREVIOUS;
	slot = empty_slot(h);
	if (!slot)
		return errmsg_fail(reterr, -ENOSPC, EXIT_CODE_FAILED,
				   "volume %s: no key slot is free", r->volume);
	*slot = t->slot;
	set_pinned(h, t->pinned);
	e = slot_put_dek(r->to, dek, &limits, slot, reterr);
	return e < 0 ? e : seal(r, h, dek, reterr);
}

/* After a write that failed: whether a reader finds the new header all the same. */
static bool is_in_force(const struct rotation *r, const struct volume_header *h)
{
	CLEANUP_FREE struct header_found *found = malloc(sizeof(*found));
	struct errmsg ignored = { 0 };

	return found && header_read(r->sys, r->header_dirfd, r->volume, found, &ignored) == 0 &&
	       found->header.sequence == h->sequence &&
	       memcmp(found->header.macs, h->macs, sizeof(h->macs)) == 0;
}

static int write_failed(const struct rotation *r, int error, const char *what,
			struct errmsg *reterr)
{
	errmsg_next(reterr, "look at the disk and the kernel's log, then rotate again");
	return errmsg_fail(reterr, error, EXIT_CODE_FAILED, "volume %s: %s: %s", r->volume, what,
			   errno_text(error));
}

/* Both copies, then the pin. `result` tells what stands on disk, whatever fails. */
static int commit(const struct rotation *r, const struct volume_header *h,
		  struct rotation_result *result, bool *ret_done, struct errmsg *reterr)
{
	struct pin pin = pin_of_header(h);
	int e = r->may_write ? r->may_write(r->arg, reterr) : 0;

	if (e < 0)
		return e;
	e = header_write(r->sys, r->header_dirfd, h);
	if (e < 0 && !is_in_force(r, h))
		return write_failed(r, e, "cannot write its header; it stays as it was", reterr);
	result->header = *h;
	*ret_done = true;
	if (e < 0)
		return write_failed(r, e, "its new header is in force, but is not safe on disk",
				    reterr);
	if (r->state_dir)
		e = pin_write(r->sys, r->state_dir, r->volume, &pin);
	return e < 0 ? write_failed(r, e, "its new header is in force, but its pin is not written",
				    reterr)
		     : 0;
}

static bool is_active(const struct volume_header *h, const struct vault_key *key)
{
	const struct key_slot *slot = volume_header_active_slot(h);

	return strcmp(slot->kid, key->kid) == 0 &&
	       memcmp(slot->thumbprint, key->thumbprint, THUMBPRINT_LEN) == 0;
}

/* What is to be written, step by step; sealed while the DEK is in memory, written once it is gone. */
struct steps {
	bool rotates, pins, retires;
	struct volume_header next, retired;
};

/* The key stays. What the last rotation left may not be safe on disk: the same again makes it so. */
static int keep(const struct rotation *r, const struct target *t, const struct secret *dek,
		struct steps *s, struct errmsg *reterr)
{
	if (!s->pins)
		return 0;
	set_pinned(&s->next, t->pinned);
	return seal(r, &s->next, dek, reterr);
}

static int seal_steps(const struct rotation *r, const struct target *t, const struct secret *dek,
		      struct steps *s, struct errmsg *reterr)
{
	int e;

	s->rotates = !t->is_active || r->from_slot;
	s->pins = t->pinned != volume_header_is_pinned(&s->next);
	e = s->rotates ? rewrap(r, t, dek, &s->next, reterr) : keep(r, t, dek, s, reterr);
	if (e < 0 || !r->retire)
		return e;
	s->retired = s->next;
	s->retires = drop_previous(&s->retired, NULL);
	return s->retires ? seal(r, &s->retired, dek, reterr) : 0;
}

/* All that is done with the DEK: a disk that hangs does not keep it here after a revocation. */
static int prepare(const struct rotation *r, const struct volume_header *header, struct target *t,
		   struct steps *s, struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *dek = NULL;
	int e = unwrap(r, header, &dek, reterr);

	t->until_ms = clock_of(r)->boot_ms() + dek_timeout(r);
	s->next = *header;
	return e < 0 ? e : seal_steps(r, t, dek, s, reterr);
}

/* What carry_out() would leave behind. */
static int foresee(const struct steps *s, struct rotation_result *result)
{
	result->rotated = s->rotates;
	result->pin_changed = s->pins;
	result->retired = s->retires;
	result->header = s->retires ? s->retired : s->next;
	return 0;
}

/* The new protector is safe on disk before the old one goes. */
static int carry_out(const struct rotation *r, const struct steps *s,
		     struct rotation_result *result, struct errmsg *reterr)
{
	bool done = false;
	int e = commit(r, &s->next, result, &done, reterr);

	result->rotated = done && s->rotates;
	result->pin_changed = done && s->pins;
	return e < 0 || !s->retires ? e : commit(r, &s->retired, result, &result->retired, reterr);
}

static int check_pinned(const struct rotation *r, const struct volume_header *h,
			struct errmsg *reterr)
{
	if (r->choice != ROTATION_NEWEST || !volume_header_is_pinned(h))
		return 0;
	errmsg_next(reterr,
		    "to take the newest version: tdefsctl rotate NAME --unpin; another: --to");
	return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_CONFIG,
			   "volume %s: it is pinned to %s, which an operator chose", r->volume,
			   volume_header_active_slot(h)->kid);
}

/* Whether that key has a newer version: then the choice of this one is to last. */
static int find_pinned(const struct rotation *r, struct target *t, struct errmsg *reterr)
{
	char vault[KID_VAULT_MAX], kid[KID_MAX + 1];
	struct vault_report rep = { 0 };
	struct vault_key newest;
	struct kid chosen;

	if (r->choice != ROTATION_CHOSEN || kid_parse(r->to_kid, &chosen) < 0 || !chosen.version[0])
		return 0;
	(void)snprintf(kid, sizeof(kid), "%s/keys/%s", kid_vault(&chosen, vault), chosen.name);
	if (r->to->ops->get(r->to, kid, VAULT_COMMAND_TIMEOUT_MS, &newest, &rep) != VAULT_GRANTED)
		return protector_failed(&rep, reterr);
	t->pinned = strcmp(newest.kid, t->key.kid) != 0;
	return 0;
}

/* The new key is held to all that a first protector is held to. */
static int check_target(const struct rotation *r, const struct volume_header *h, struct target *t,
			struct errmsg *reterr)
{
	CLEANUP_FREE struct protector_report *report = malloc(sizeof(*report));
	int e;

	if (!report)
		return no_memory(reterr);
	protector_check(r->to, r->to_kid, r->policy, r->now, report);
	e = protector_verdict(report, r->to_kid, reterr);
	if (e < 0)
		return e;
	t->key = report->key;
	t->is_active = is_active(h, &t->key);
	e = find_pinned(r, t, reterr);
	return e < 0 || (t->is_active && !r->from_slot)
		       ? e
		       : slot_begin(r->to, &t->key, r->now, &t->slot, reterr);
}

int rotate_header(const struct rotation *r, const struct volume_header *header,
		  struct rotation_result *ret_result, struct errmsg *reterr)
{
	CLEANUP_FREE struct steps *steps = calloc(1, sizeof(*steps));
	struct target t = { 0 };
	int e;

	*ret_result = (struct rotation_result){ .header = *header };
	if (!steps)
		return no_memory(reterr);
	e = check_single_dek(r, header, reterr);
	if (e == 0)
		e = check_pinned(r, header, reterr);
	if (e == 0)
		e = check_target(r, header, &t, reterr);
	if (e == 0) /* late: a vault that hangs does not keep the DEK here after a revocation */
		e = prepare(r, header, &t, steps, reterr);
	if (e == 0)
		e = r->dry_run ? foresee(steps, ret_result)
			       : carry_out(r, steps, ret_result, reterr);
	if (e == -ENOKEY && reterr)
		reterr->exit_code = EXIT_CODE_TRY_AGAIN;
	return e;
}
