/* SPDX-License-Identifier: Apache-2.0 */
/* A header that is put back from a backup of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/secret.h"
#include "tdefs/volume_copy.h"
#include "volume_event.h"

#define KEPT_MOST 1000

struct work {
	const struct header_restore *restore;
	const char *label;
	struct header_found found; /* what is there, if `had_one` */
	struct pin pin;
	bool has_pin;
	bool pin_damaged;
	struct header_restored *what;
};

static int look(struct work *w, struct errmsg *reterr)
{
	const struct header_restore *o = w->restore;
	struct errmsg damage = { 0 };
	int r = header_read(o->sys, o->backing->header_fd, w->label, &w->found, &damage);

	w->what->had_one = r == 0;
	w->what->before = r == 0 ? w->found.header.sequence : 0;
	if (r < 0 && r != -ENOENT && r != -EBADMSG) {
		*reterr = damage;
		return r;
	}
	r = o->volume ? pin_read(o->sys, o->config->state_dir, o->volume->name, &w->pin) : -ENOENT;
	w->has_pin = r == 0;
	w->pin_damaged = r == -EBADMSG;
	w->what->newest = w->what->before;
	if (w->has_pin && w->pin.sequence > w->what->newest)
		w->what->newest = w->pin.sequence;
	if (r == 0 || r == -ENOENT || r == -EBADMSG)
		return 0;
	errmsg_next(reterr, "make %s readable", o->config->state_dir);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "%s: cannot read its pin: %s", w->label,
			   errno_text(r));
}

/* In what it differs from the header that is there, or from the pin; NULL: it is of this volume. */
static const char *differs(const struct work *w)
{
	const struct volume_header *h = w->restore->header, *was = &w->found.header;
	const struct pin now = pin_of_header(h);
	struct pin before = w->pin;

	if (w->what->had_one) {
		before = pin_of_header(was);
		if (memcmp(h->key_domain_id, was->key_domain_id, 16) != 0)
			return "its key domain";
	} else if (!w->has_pin)
		return NULL;
	if (memcmp(now.uuid, before.uuid, 16) != 0)
		return "its UUID";
	return memcmp(now.dek_id, before.dek_id, 16) != 0 ? "its DEK" : NULL;
}

static bool is_pinned_elsewhere(const struct work *w)
{
	const struct pin now = pin_of_header(w->restore->header);

	return w->has_pin && (memcmp(now.uuid, w->pin.uuid, 16) != 0 ||
			      memcmp(now.dek_id, w->pin.dek_id, 16) != 0);
}

/* Two that were made from one, each rotated on its own: neither is the newer. */
static bool is_another_of_the_same_age(const struct work *w)
{
	const struct volume_header *h = w->restore->header, *was = &w->found.header;

	return w->what->had_one && h->sequence == was->sequence &&
	       memcmp(h->digest, was->digest, sizeof(h->digest)) != 0;
}

/* What only --force passes over; NULL: nothing. */
static const char *needs_force(const struct work *w)
{
	if (!w->what->had_one && !w->has_pin)
		return "there is neither a good header nor a pin to say that this is its header";
	if (w->pin_damaged)
		return "its pin is damaged: nothing says how new a header was in use here";
	if (is_pinned_elsewhere(w))
		return "its pin is another volume's";
	if (is_another_of_the_same_age(w))
		return "it is not newer than what it would replace, and not the same: a copy was "
		       "rotated on its own";
	return NULL;
}

static int refuse_older(const struct work *w, struct errmsg *reterr)
{
	return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_FAILED,
			   "%s: not restored: it is older (sequence %llu) than what it would "
			   "replace (%llu)",
			   w->label, (unsigned long long)w->restore->header->sequence,
			   (unsigned long long)w->what->newest);
}

static int check_whose(const struct work *w, struct errmsg *reterr)
{
	const char *what = differs(w);

	if (what) {
		errmsg_next(reterr,
			    "find the backup of this volume's header: tdefsctl header dump");
		return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_FAILED,
				   "%s: not restored: it is another volume's header: %s differs",
				   w->label, what);
	}
	if (w->restore->force)
		return 0;
	errmsg_next(reterr, "if that is what you want: --force");
	what = needs_force(w);
	if (what)
		return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_FAILED, "%s: not restored: %s",
				   w->label, what);
	return w->restore->header->sequence < w->what->newest ? refuse_older(w, reterr) : 0;
}

/* Whoever holds the DEK made it, and its key is there. A wrong HMAC is never forced. */
static int prove(const struct work *w, struct errmsg *reterr)
{
	const struct header_restore *o = w->restore;
	CLEANUP_SECRET struct secret *dek = NULL;
	struct errmsg *why = &w->what->why_not;
	int r = volume_dek(o->config, o->watch, o->header, &dek, why);

	w->what->proved = r == 0;
	if (r == 0 || (o->force && r != -EBADMSG))
		return 0;
	*reterr = *why;
	if (r != -EBADMSG)
		errmsg_next(reterr, "%s; or restore it without this proof: --force", why->next);
	return r;
}

/* Under a name that is free, as it is: whatever it is, it may be needed yet. */
static int keep_copy(const struct work *w, int copy)
{
	const struct header_restore *o = w->restore;
	const bool serves = !w->what->had_one || (w->found.state[0] == HEADER_COPY_GOOD) == !copy;
	const char *name = header_copy_names[copy];
	const int fd = o->backing->header_fd;
	char kept[32];
	int r = -EEXIST;

	for (unsigned n = 1; r == -EEXIST && n < KEPT_MOST; n++) {
		(void)snprintf(kept, sizeof(kept), "%s" HEADER_KEPT "%u", name, n);
		r = o->sys->linkat(fd, name, fd, kept, 0);
	}
	if (r == 0 && (serves || !w->what->kept[0]))
		memcpy(w->what->kept, kept, sizeof(kept));
	return r == -ENOENT ? 0 : r;
}

static bool both_are_good(const struct work *w)
{
	const enum header_copy_state *s = w->found.state;

	return w->what->had_one && s[0] == HEADER_COPY_GOOD && s[1] == HEADER_COPY_GOOD;
}

/* What is to come is there already, twice: nothing would be lost. */
static bool is_there(const struct work *w)
{
	const struct volume_header *h = w->restore->header, *was = &w->found.header;

	return both_are_good(w) && memcmp(h->digest, was->digest, sizeof(h->digest)) == 0;
}

/* One of two that are the same, and both of any others. */
static int keep(const struct work *w, struct errmsg *reterr)
{
	const int copies = both_are_good(w) ? 1 : HEADER_COPIES;
	int r = 0;

	if (is_there(w))
		return 0;
	for (int i = 0; r == 0 && i < copies; i++)
		r = keep_copy(w, i);
	if (r == 0)
		r = w->restore->sys->fsync(w->restore->backing->header_fd);
	if (r == 0)
		return 0;
	errmsg_next(reterr, "look at %s and its file system", STORE_HEADER_DIR);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
			   "%s: not restored: cannot keep the header that is there: %s", w->label,
			   errno_text(r));
}

/* A pin that is lower than the header is one that a mount takes. */
static int put(const struct work *w, struct errmsg *reterr)
{
	const struct header_restore *o = w->restore;
	const struct pin now = pin_of_header(o->header);
	const bool lowered = w->has_pin && now.sequence < w->pin.sequence;
	int r = 0;

	if (o->volume && lowered)
		r = pin_write(o->sys, o->config->state_dir, o->volume->name, &now);
	if (r == 0)
		r = header_write(o->sys, o->backing->header_fd, o->header);
	if (r == 0 && o->volume && !lowered)
		r = pin_write(o->sys, o->config->state_dir, o->volume->name, &now);
	if (r == 0)
		return 0;
	errmsg_next(reterr, "look at the disk, then restore it again");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "%s: cannot write its header and pin: %s",
			   w->label, errno_text(r));
}

int volume_restore_header(const struct header_restore *o, struct header_restored *ret_what,
			  struct errmsg *reterr)
{
	CLEANUP_FREE struct work *w = calloc(1, sizeof(*w));
	CLEANUP_CLOSE int lock_fd = -1;
	int r;

	*ret_what = (struct header_restored){ 0 };
	if (!w)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	w->restore = o;
	w->label = o->volume ? o->volume->name : o->watch->volume;
	w->what = ret_what;
	r = backing_lock(o->backing, w->label, &lock_fd, reterr);
	if (r == 0)
		r = look(w, reterr);
	if (r == 0)
		r = check_whose(w, reterr);
	if (r == 0)
		r = prove(w, reterr);
	if (o->dry_run)
		return r;
	if (r == 0)
		r = keep(w, reterr);
	if (r == 0)
		r = put(w, reterr);
	if (r == 0)
		volume_event_header_restored(o->watch->audit, o->header, ret_what);
	return r;
}
