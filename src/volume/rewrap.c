/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation of a header that nobody has mounted: a volume's own, or a copy's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/audit.h"
#include "tdefs/protector.h"
#include "volume_rotate.h"

struct work {
	const struct rewrap *rewrap;
	const struct rotation_request *request;
	const char *label;
	struct header_found found;
	struct rotation_result result;

	const struct key_slot *slot; /* what gives the DEK */
	size_t next_slot;	     /* where to look for another previous one */
	const struct settings *from_settings, *to_settings;
	char to_kid[KID_MAX + 1];
};

/* As a mount checks it: somebody may have put an older header there, or another one. */
static int check_pin(const struct work *w, struct errmsg *reterr)
{
	const struct rewrap *o = w->rewrap;
	struct pin pin;
	int r;

	if (!o->volume)
		return 0;
	r = pin_read(o->sys, o->config->state_dir, o->volume->name, &pin);
	if (r == 0)
		return pin_check(&pin, &w->found.header, w->label, reterr);
	errmsg_next(reterr, "mount it once with --accept-header, if this header is to be trusted");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot read its pin: %s",
			   w->label, errno_text(r));
}

/* What a volume was when it was unmounted counts: no rotation undoes a denial or a lock. */
static int check_state(const struct work *w, struct errmsg *reterr)
{
	struct guard_record record = { 0 };
	int r = guard_record_read(w->rewrap->sys, w->rewrap->backing->header_fd, &record);

	if (w->request->from_previous || r == -ENOENT ||
	    (r == 0 && !record.locked && !record.denied && !record.pending))
		return 0;
	errmsg_next(reterr, "mount it, and bring it online: tdefsctl resume");
	return errmsg_fail(reterr, r < 0 ? r : -EKEYREVOKED, EXIT_CODE_INACCESSIBLE,
			   "%s: no rotation: it is locked, or its key was denied", w->label);
}

static int check_log(const struct work *w, struct errmsg *reterr)
{
	struct audit *audit = w->rewrap->watch->audit;
	struct audit_view view;

	if (!audit)
		return 0;
	audit_view(audit, &view);
	if (!view.failing)
		return 0;
	errmsg_next(reterr, "see the disk of the event log");
	return errmsg_fail(reterr, -EAGAIN, EXIT_CODE_TRY_AGAIN,
			   "%s: no rotation while its event log cannot be written: %s", w->label,
			   view.error);
}

static const struct settings *settings_opening(const struct work *w, const char *kid)
{
	const struct settings *own = w->rewrap->volume ? &w->rewrap->volume->settings : NULL;

	if (own && protector_covers(protector_that_opens(own, kid), kid))
		return own;
	return own ? NULL : volume_settings_opening(w->rewrap->config, kid);
}

/* The first from `*at` on, which moves, whose key is configured or linked. */
static const struct key_slot *next_previous(const struct work *w, size_t *at)
{
	while (*at < VOLUME_SLOT_COUNT) {
		const struct key_slot *s = &w->found.header.slots[(*at)++];

		if (s->state == SLOT_PREVIOUS && settings_opening(w, s->kid))
			return s;
	}
	return NULL;
}

static int no_source(const struct work *w, struct errmsg *reterr)
{
	const struct volume_header *h = &w->found.header;
	int r;

	errmsg_next(reterr, "restore such a key, if it is gone; then tdefsctl link it%s",
		    w->request->from_previous
			    ? ""
			    : ". If only a previous slot's key is left: --from-previous");
	if (!w->slot)
		r = errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_CONFIG,
				"%s: it has no previous slot whose key is configured or linked",
				w->label);
	else
		r = errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_CONFIG,
				"%s: its DEK is wrapped by %s, which is neither configured nor "
				"linked",
				w->label, w->slot->kid);
	header_add_keys(h, reterr);
	return r;
}

static void take_source(struct work *w, const struct key_slot *slot)
{
	w->slot = slot;
	w->from_settings = slot ? settings_opening(w, slot->kid) : NULL;
}

static int choose_source(struct work *w, struct errmsg *reterr)
{
	w->next_slot = 0;
	take_source(w, w->request->from_previous ? next_previous(w, &w->next_slot)
						 : volume_header_active_slot(&w->found.header));
	return w->from_settings ? 0 : no_source(w, reterr);
}

/* Of a copy: whoever's protector it is. */
static const struct settings *settings_wrapping(const struct config *config, const char *kid)
{
	if (config->server.protector && protector_covers(config->server.protector, kid))
		return &config->server;
	for (size_t i = 0; i < config->nvolumes; i++)
		if (protector_covers(config->volumes[i].settings.protector, kid))
			return &config->volumes[i].settings;
	return NULL;
}

static int choose_target(struct work *w, struct errmsg *reterr)
{
	const struct rewrap *o = w->rewrap;

	w->to_settings =
		o->volume ? &o->volume->settings : settings_wrapping(o->config, w->request->to);
	if (!w->to_settings) {
		errmsg_next(reterr, "set it as \"protector\" in %s", o->config->path);
		return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_CONFIG,
				   "%s: %s is nobody's configured protector", w->label,
				   w->request->to);
	}
	return rotation_target(w->request, w->to_settings, &o->config->policy, NULL, w->label,
			       w->to_kid, reterr);
}

/* One token and one connection do for two keys of one vault. */
static bool is_one_vault(const struct work *w)
{
	char from[KID_VAULT_MAX], to[KID_VAULT_MAX];

	return w->from_settings == w->to_settings && vault_host_of(w->slot->kid, from) == 0 &&
	       vault_host_of(w->to_kid, to) == 0 && strcmp(from, to) == 0;
}

static int carry_out(struct work *w, struct errmsg *reterr)
{
	const struct rewrap *o = w->rewrap;
	CLEANUP_WATCHED_VAULT struct watched_vault *from = NULL, *to = NULL;
	struct rotation rotation = {
		.sys = o->sys,
		.header_dirfd = o->backing->header_fd,
		.volume = w->label,
		.state_dir = o->volume ? o->config->state_dir : NULL,
		.policy = &o->config->policy,
		.now = o->now,
		.from_kid = protector_that_opens(w->from_settings, w->slot->kid),
		.from_slot = w->request->from_previous ? w->slot : NULL,
		.to_kid = w->to_kid,
		.choice = rotation_choice_of(w->request),
		.retire = w->request->retire,
		.dry_run = w->request->dry_run,
	};
	int r = watched_vault_open(o->watch, w->slot->kid, w->from_settings, &clock_kernel, &from,
				   reterr);

	if (r == 0 && !is_one_vault(w))
		r = watched_vault_open(o->watch, w->to_kid, w->to_settings, &clock_kernel, &to,
				       reterr);
	if (r < 0)
		return r;
	rotation.from = watched_vault_of(from);
	rotation.to = watched_vault_of(to ? to : from);
	return rotate_header(&rotation, &w->found.header, &w->result, reterr);
}

/* By each previous slot in turn: the key of one may be lost, too. The first error is told. */
static int carry_out_by_any(struct work *w, struct errmsg *reterr)
{
	int first = carry_out(w, reterr);

	while (first < 0 && w->request->from_previous && !w->result.rotated) {
		struct errmsg another = { 0 };
		const struct key_slot *slot = next_previous(w, &w->next_slot);

		if (!slot)
			break;
		take_source(w, slot);
		if (carry_out(w, &another) == 0)
			return 0;
		if (w->result.rotated)
			*reterr = another;
	}
	return first;
}

/* Under .tdefs/lock. */
static int rewrap(struct work *w, struct rotation_outcome *outcome)
{
	struct errmsg *err = &outcome->message;
	int r = header_read(w->rewrap->sys, w->rewrap->backing->header_fd, w->label, &w->found,
			    err);

	if (r < 0)
		return r;
	w->result.header = w->found.header;
	r = check_pin(w, err);
	if (r == 0)
		r = check_state(w, err);
	if (r == 0)
		r = check_log(w, err);
	if (r == 0)
		r = choose_source(w, err);
	if (r == 0)
		r = choose_target(w, err);
	if (r == 0)
		r = carry_out_by_any(w, err);
	rotation_outcome_of(&w->found.header, &w->result, r, outcome);
	outcome->policy = w->rewrap->config->policy;
	memcpy(outcome->to, w->to_kid, sizeof(outcome->to));
	return r;
}

int volume_rewrap(const struct rewrap *o, const struct rotation_request *request,
		  struct rotation_outcome *ret_outcome)
{
	CLEANUP_FREE struct work *w = calloc(1, sizeof(*w));
	CLEANUP_CLOSE int lock_fd = -1;
	struct errmsg *err = &ret_outcome->message;
	int r;

	*ret_outcome = (struct rotation_outcome){ 0 };
	if (!w)
		return ret_outcome->error =
			       errmsg_fail(err, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	w->rewrap = o;
	w->request = request;
	w->label = o->volume ? o->volume->name : o->watch->volume;
	r = request->dry_run ? 0 : backing_lock(o->backing, w->label, &lock_fd, err);
	if (r == 0)
		r = rewrap(w, ret_outcome);
	ret_outcome->error = r;
	if (!request->dry_run)
		volume_event_rotation(o->watch->audit, request, ret_outcome);
	return r;
}
