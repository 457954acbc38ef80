/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that a mounted volume takes over from its file, read again. */
#include <errno.h>

#include "tdefs/log.h"
#include "volume_expiry.h"
#include "volume_internal.h"
#include "volume_newest.h"

static void take(struct volume *v, const struct volume_config *vc)
{
	guard_runner_set_policy(v->runner, &vc->settings.guard);
	atomic_store(&v->probe_timeout_ms, vc->settings.guard.probe_timeout_ms);
	atomic_store(&v->probe_interval_ms, vc->settings.guard.probe_interval_ms);
	newest_set(v->newest, &vc->settings);
	expiry_set_warning(v->expiry, vc->settings.expiry_warning_ms);
	atomic_store(&v->gate.delete_by_all, vc->settings.inaccessible_delete == DELETE_BY_ALL);
}

static int refuse(const struct volume *v, const struct config_changes *changes,
		  struct errmsg *reterr)
{
	errmsg_next(reterr, "unmount it and mount it again, or set back what was said of: %s",
		    changes->fixed);
	return errmsg_fail(reterr, -EBUSY, EXIT_CODE_CONFIG,
			   "volume %s: nothing was taken over: a mounted volume cannot change: %s",
			   v->vc->name, changes->fixed);
}

/* What a rotation took over since: the protector, and who we are to its vault. */
static void put_rotated(struct volume_config *was, const struct settings *rotated)
{
	struct settings *s = &was->settings;

	s->protector = rotated->protector;
	s->allowed_vaults = rotated->allowed_vaults;
	s->vaults = rotated->vaults;
	s->nvaults = rotated->nvaults;
	s->identity = rotated->identity;
	s->tenant_id = rotated->tenant_id;
	s->client_id = rotated->client_id;
	s->client_secret_file = rotated->client_secret_file;
	s->client_certificate_file = rotated->client_certificate_file;
	s->federated_token_file = rotated->federated_token_file;
	s->authority_host = rotated->authority_host;
	s->ca_file = rotated->ca_file;
}

/* Under reload_lock. */
static int reload(struct volume *v, struct config_changes *ret_changes, struct errmsg *reterr)
{
	const struct config *old = v->taken ? v->taken : v->config;
	const struct volume_config *vc, *old_vc;
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);
	CLEANUP_CONFIG struct config *config = NULL;
	struct config_changes changes;
	struct volume_config was;
	int r = config_load(v->config->path, &config, reterr);

	if (r == 0)
		r = config_volume(config, v->vc->name, &vc, reterr);
	if (r == 0)
		r = config_volume(old, v->vc->name, &old_vc, reterr);
	if (r != 0)
		return r;
	volume_note_protector(v, &vc->settings);
	was = *old_vc; /* borrowed, to compare */
	if (key->config)
		put_rotated(&was, key->settings);
	config_compare(old, &was, config, vc, &changes);
	if (changes.fixed[0])
		return refuse(v, &changes, reterr);
	if (v->reloader.reload)
		r = v->reloader.reload(v->reloader.arg, &vc->settings, &old_vc->settings, reterr);
	if (r < 0)
		return r;
	take(v, vc);
	config_free(v->taken);
	v->taken = TAKE_PTR(config);
	*ret_changes = changes;
	return 0;
}

int volume_reload(struct volume *v, struct config_changes *ret_changes, struct errmsg *reterr)
{
	int r;
	LOCK_SCOPE(&v->reload_lock);

	r = reload(v, ret_changes, reterr);
	if (r == 0)
		log_info("volume %s: event=reload taken=%s", v->vc->name,
			 ret_changes->live[0] ? ret_changes->live : "nothing");
	else
		log_error("volume %s: event=reload_refused: %s", v->vc->name, reterr->text);
	return r;
}
