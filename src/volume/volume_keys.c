/* SPDX-License-Identifier: Apache-2.0 */
/* A volume's header and DEK: read, pinned, unwrapped, probed. */
#include <errno.h>
#include <string.h>

#include "tdefs/log.h"
#include "tdefs/protector.h"
#include "volume_event.h"
#include "volume_expiry.h"
#include "volume_internal.h"

static int check_pin(const struct volume *v, struct errmsg *reterr)
{
	const struct expectation *e = &v->expected;
	const char *name = v->vc->name, *dir = v->config->state_dir;

	if (e->read == 0)
		return pin_check(&e->pin, &v->found.header, name, reterr);
	if (e->read == -ENOENT) {
		errmsg_next(reterr, "if you moved or restored it to this host, mount once with "
				    "--accept-header");
		return errmsg_fail(reterr, e->read, EXIT_CODE_FAILED,
				   "volume %s: no pin in %s: this host never saw this volume", name,
				   dir);
	}
	errmsg_next(reterr, "restore %s/%s.pin, or mount once with --accept-header", dir, name);
	return errmsg_fail(reterr, e->read, EXIT_CODE_FAILED, "volume %s: cannot read its pin: %s",
			   name, errno_text(e->read));
}

/* Remember the header that was just authenticated. */
static int update_pin(const struct volume *v, struct errmsg *reterr)
{
	const struct expectation *e = &v->expected;
	struct pin now = pin_of_header(&v->found.header);
	int r;

	if (e->read == 0 && memcmp(e->pin.uuid, now.uuid, 16) == 0 &&
	    memcmp(e->pin.dek_id, now.dek_id, 16) == 0 && e->pin.sequence == now.sequence)
		return 0;
	r = pin_write(v->sys, v->config->state_dir, v->vc->name, &now);
	if (r == 0)
		volume_event_pin_updated(v, &now);
	if (r == 0)
		return 0;
	errmsg_next(reterr, "make %s writable", v->config->state_dir);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot write its pin: %s",
			   v->vc->name, errno_text(r));
}

/* A lost copy is made good now, while there is one to make it from. */
static void repair_header(const struct volume *v)
{
	const struct header_found *found = &v->found;
	int r;

	if (!header_needs_repair(found))
		return;
	r = header_write(v->sys, v->backing.header_fd, &v->found.header);
	volume_event_header_repaired(v, r);
	log_warning("volume %s: event=header_copy_bad header=%s header.bak=%s: %s%s", v->vc->name,
		    header_copy_state_text(found->state[0]),
		    header_copy_state_text(found->state[1]),
		    r < 0 ? "the other serves, but it could not be rewritten: "
			  : "rewritten from the other",
		    r < 0 ? errno_text(r) : "");
}

int volume_read_header(struct volume *v, struct errmsg *reterr)
{
	int r = header_read(v->sys, v->backing.header_fd, v->vc->name, &v->found, reterr);

	if (r < 0)
		return r;
	v->expected.read = pin_read(v->sys, v->config->state_dir, v->vc->name, &v->expected.pin);
	return v->accept_header ? 0 : check_pin(v, reterr);
}

/*
 * After the first unwrap in this mount: the header is what it was said to be. A copy that a killed
 * rotation left may not be safe on disk: it becomes so before the pin refuses the one before.
 */
static int know_header(struct volume *v, struct errmsg *reterr)
{
	int r;

	if (v->header_known)
		return 0;
	repair_header(v);
	r = update_pin(v, reterr);
	v->header_known = r == 0;
	return r;
}

static int give_dek(struct volume *v, struct secret *dek, struct errmsg *reterr)
{
	int r = file_keys_set(v->keys, dek);

	if (r == 0)
		return 0;
	errmsg_next(reterr, "free memory, raise RLIMIT_MEMLOCK, then try again");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot make file keys: %s",
			   v->vc->name, errno_text(r));
}

enum vault_verdict volume_take_dek(struct volume *v, struct secret *dek,
				   struct vault_report *ret_report)
{
	CLEANUP_SECRET struct secret *own = dek;
	int r = know_header(v, &ret_report->error);

	if (r == 0)
		r = give_dek(v, TAKE_PTR(own), &ret_report->error);
	if (r < 0)
		ret_report->verdict = VAULT_BROKEN;
	return ret_report->verdict;
}

enum vault_verdict volume_unlock(struct volume *v, struct vault_report *ret_report)
{
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);
	CLEANUP_SECRET struct secret *dek = NULL;
	int r = keyring_unlock(watched_vault_of(key->vault),
			       protector_that_opens(key->settings, volume_key_slot(key)->kid),
			       &key->header, v->vc->name, volume_probe_timeout(v), &dek,
			       ret_report);

	if (r == 0)
		return volume_take_dek(v, TAKE_PTR(dek), ret_report);
	if (ret_report->verdict == VAULT_GRANTED)
		ret_report->verdict = VAULT_BROKEN;
	return ret_report->verdict;
}

/* True: it is no longer the key that counts. */
static bool probe_key(struct volume *v, struct vault_report *ret_report)
{
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key), *now = NULL;
	struct vault_key said;

	watched_vault_probing(key->vault);
	keyring_probe_key(watched_vault_of(key->vault), volume_key_slot(key), v->vc->name,
			  &clock_kernel, volume_probe_timeout(v), &said, ret_report);
	watched_vault_probed(key->vault);
	if (ret_report->verdict == VAULT_GRANTED)
		expiry_heard(v, volume_key_slot(key)->kid, said.expires);
	now = key_box_hold(v->key);
	return now != key;
}

enum vault_verdict volume_probe(struct volume *v, struct vault_report *ret_report)
{
	/* What is said of a key that a rotation put away meanwhile says nothing of the volume. */
	if (probe_key(v, ret_report) && ret_report->verdict != VAULT_GRANTED)
		IGNORE_RESULT(probe_key(v, ret_report), "once: two rotations are far apart");
	return ret_report->verdict;
}
