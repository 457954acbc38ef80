/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation of a mounted volume: one at a time, in a thread that keeps nobody waiting. */
#include "volume_rotate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tdefs/log.h"
#include "tdefs/protector.h"
#include "tdefs/threads.h"
#include "tdefs/volume_event.h"
#include "volume_auto.h"
#include "volume_freeze.h"
#include "volume_newest.h"
#include "volume_secondary.h"

#define STOP_GRACE_MS 2000u /* after the time that a few questions may take */

struct rotor {
	struct volume *volume;

	/* Guards what follows; above guard_runner.lock and a recorder's, held for no call to a vault. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ended;		  /* the volume's guard goes away: nothing is written any more */
	bool left;		  /* nobody waits for the thread: the event log may be gone, too */
	struct watched_vault *to; /* the vault of the rotation at work; NULL: none */
	struct rotation_request request;
	struct rotation_view view;
};

struct rotor *rotor_new(struct volume *v)
{
	struct rotor *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->volume = v;
	pthread_mutex_init(&o->lock, NULL);
	cond_init_monotonic(&o->changed);
	return o;
}

bool rotor_stop(struct rotor *o)
{
	const uint64_t wait_ms = 3 * (uint64_t)volume_probe_timeout(o->volume) + STOP_GRACE_MS;
	struct timespec until;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(wait_ms / 1000) + 1;
	LOCK_SCOPE(&o->lock);
	o->ended = true;
	while (o->view.busy && error == 0)
		error = pthread_cond_timedwait(&o->changed, &o->lock, &until);
	o->left = o->view.busy;
	return !o->left;
}

void rotor_silence(struct rotor *o)
{
	LOCK_SCOPE(&o->lock);
	watched_vault_end(o->to);
}

void rotor_free(struct rotor *o)
{
	if (!o)
		return;
	pthread_cond_destroy(&o->changed);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

void volume_rotation_view(const struct volume *v, struct rotation_view *ret_view)
{
	LOCK_SCOPE(&v->rotor->lock);
	*ret_view = v->rotor->view;
}

/* Under the lock. A volume that is not online may not have its revocation undone. */
static int check_online(const struct rotor *o, struct errmsg *reterr)
{
	const struct volume *v = o->volume;
	struct guard_view view = { .guard.state = GUARD_STARTING };
	bool online;

	if (!o->ended && v->runner)
		guard_runner_view(v->runner, &view);
	if (!o->ended && freezer_is_frozen(v->freezer)) {
		errmsg_next(reterr, "tdefsctl thaw %s, or wait", v->vc->name);
		return errmsg_fail(reterr, -EAGAIN, EXIT_CODE_TRY_AGAIN,
				   "volume %s: no rotation while it is frozen", v->vc->name);
	}
	online = view.guard.state == GUARD_ONLINE && view.guard.reasons == 0;
	if (online && view.guard.denials == 0)
		return 0;
	errmsg_next(reterr, "bring it online first: see tdefsctl status %s", v->vc->name);
	return errmsg_fail(reterr, -EAGAIN, EXIT_CODE_TRY_AGAIN,
			   "volume %s: no rotation while it is %s", v->vc->name,
			   o->ended ? "being unmounted"
			   : online ? "being denied its key"
				    : guard_state_name(view.guard.state));
}

static int check_log(const struct volume *v, struct errmsg *reterr)
{
	if (!volume_event_log_failing(v))
		return 0;
	errmsg_next(reterr, "see event_log in tdefsctl status %s, and its disk", v->vc->name);
	return errmsg_fail(reterr, -EAGAIN, EXIT_CODE_TRY_AGAIN,
			   "volume %s: no rotation while its event log cannot be written",
			   v->vc->name);
}

/* Asked before each write of the header. */
static int may_write(void *arg, struct errmsg *reterr)
{
	struct rotor *o = arg;
	LOCK_SCOPE(&o->lock);

	return check_online(o, reterr);
}

/* The settings as tdefs.conf has them now, and what of them says which key, by whom. */
struct target {
	struct config *config;
	const struct volume_config *vc;
	char kid[KID_MAX + 1];
	struct watched_vault *vault;
};

static int read_config(struct volume *v, struct target *t, struct errmsg *reterr)
{
	int r;
	LOCK_SCOPE(&v->reload_lock);

	r = config_load(v->config->path, &t->config, reterr);
	return r < 0 ? r : config_volume(t->config, v->vc->name, &t->vc, reterr);
}

static int find_target(struct volume *v, const struct rotation_request *request, struct target *t,
		       struct errmsg *reterr)
{
	int r = read_config(v, t, reterr);

	if (r < 0)
		return r;
	volume_note_protector(v, &t->vc->settings);
	r = rotation_target(request, &t->vc->settings, &t->config->policy,
			    v->vc->settings.secondary, v->vc->name, t->kid, reterr);
	return r < 0 ? r
		     : watched_vault_open(&v->watch, t->kid, &t->vc->settings, &clock_kernel,
					  &t->vault, reterr);
}

static void hide_vault(struct rotor *o)
{
	LOCK_SCOPE(&o->lock);
	o->to = NULL;
}

/* From now on an unmount that does not wait for us can silence it. */
static int show_vault(struct rotor *o, struct watched_vault *vault, struct errmsg *reterr)
{
	LOCK_SCOPE(&o->lock);
	o->to = vault;
	return o->ended ? check_online(o, reterr) : 0;
}

/* From now on the guard asks for that key. Takes over what the target has. */
static int take_key(struct volume *v, const struct rotation_result *result, struct target *t,
		    struct errmsg *reterr)
{
	const struct settings *settings = &t->vc->settings;
	struct volume_key *key = NULL;
	int r = volume_key_new(&result->header, TAKE_PTR(t->vault), settings, TAKE_PTR(t->config),
			       &key);

	if (r < 0) {
		errmsg_next(reterr, "unmount it and mount it again");
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
				   "volume %s: its new header is in force, but out of memory",
				   v->vc->name);
	}
	key_box_put(v->key, key);
	volume_note_protector(v, settings);
	secondary_look_again(v->secondary);
	newest_look_again(v->newest);
	return 0;
}

static void rotate(struct rotor *o, struct target *t, struct rotation_outcome *outcome)
{
	struct volume *v = o->volume;
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);
	CLEANUP_FREE struct rotation_result *result = calloc(1, sizeof(*result));
	struct errmsg *err = &outcome->message;
	struct rotation rotation = {
		.sys = v->sys,
		.header_dirfd = v->backing.header_fd,
		.volume = v->vc->name,
		.state_dir = v->config->state_dir,
		.now = clock_kernel.now(),
		.from = watched_vault_of(key->vault),
		.from_kid = protector_that_opens(key->settings, volume_key_slot(key)->kid),
		.to_kid = t->kid,
		.choice = rotation_choice_of(&o->request),
		.retire = o->request.retire,
		.dek_timeout_ms = volume_probe_timeout(v),
		.may_write = may_write,
		.arg = o,
	};
	int r;

	if (!result) {
		outcome->error = errmsg_fail(err, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
		return;
	}
	result->header = key->header;
	r = find_target(v, &o->request, t, err);
	if (r == 0)
		r = show_vault(o, t->vault, err);
	if (r == 0) {
		rotation.to = watched_vault_of(t->vault);
		outcome->policy = t->config->policy;
		rotation.policy = &outcome->policy;
		r = rotate_header(&rotation, &key->header, result, err);
	}
	hide_vault(o); /* nothing more is asked of it here */
	memcpy(outcome->to, t->kid, sizeof(outcome->to));
	if (result->rotated || result->retired || result->pin_changed) {
		int taken = take_key(v, result, t, err);

		r = r < 0 ? r : taken;
	}
	rotation_outcome_of(&key->header, result, r, outcome);
}

static void tell(struct rotor *o, const struct rotation_outcome *outcome)
{
	const struct volume *v = o->volume;

	if (outcome->error < 0)
		log_error("volume %s: event=rotation_failed: %s", v->vc->name,
			  outcome->message.text);
	else
		log_info("volume %s: event=rotated: its protector is %s%s", v->vc->name,
			 outcome->after.kid, outcome->retired ? "; no previous slot" : "");
	LOCK_SCOPE(&o->lock);
	if (!o->left)
		volume_event_rotation(v->watch.audit, &o->request, outcome);
}

static void *rotate_in_thread(void *arg)
{
	struct rotor *o = arg;
	struct rotation_outcome outcome = { 0 };
	struct target target = { 0 };

	rotate(o, &target, &outcome);
	watched_vault_close(target.vault);
	config_free(target.config);
	tell(o, &outcome);
	if (o->request.by_itself)
		auto_rotated(o->volume->newest, &outcome);
	LOCK_SCOPE(&o->lock);
	o->view.outcome = outcome;
	o->view.at = clock_kernel.now();
	o->view.busy = false;
	pthread_cond_broadcast(&o->changed);
	return NULL;
}

/* Under the lock: whoever decided without being asked may have been overtaken. */
static bool is_overtaken(const struct volume *v, const struct rotation_request *request)
{
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);

	return request->by_itself && request->if_sequence != key->header.sequence;
}

/* Under the lock. */
static int check_turn(const struct rotor *o, const struct rotation_request *request,
		      struct errmsg *reterr)
{
	const struct volume *v = o->volume;
	int r = check_online(o, reterr);

	if (r < 0)
		return r;
	if (!o->view.busy && !is_overtaken(v, request))
		return 0;
	errmsg_next(reterr, "wait for its end");
	return errmsg_fail(reterr, -EAGAIN, EXIT_CODE_TRY_AGAIN, "volume %s: a rotation is at work",
			   v->vc->name);
}

int volume_rotate(struct volume *v, const struct rotation_request *request, uint64_t *ret_number,
		  struct errmsg *reterr)
{
	struct rotor *o = v->rotor;
	struct rotation_view was;
	int r = check_log(v, reterr);
	LOCK_SCOPE(&o->lock);

	if (r == 0)
		r = check_turn(o, request, reterr);
	if (r < 0)
		return r;
	was = o->view;
	o->request = *request;
	o->view = (struct rotation_view){ .number = was.number + 1,
					  .by_itself = request->by_itself,
					  .busy = true };
	r = thread_start_detached(rotate_in_thread, o);
	if (r < 0) {
		o->view = was; /* none was begun */
		errmsg_next(reterr, "free memory or raise the limit of threads, then try again");
		return errmsg_fail(reterr, r, EXIT_CODE_TRY_AGAIN,
				   "volume %s: cannot start a thread: %s", v->vc->name,
				   errno_text(r));
	}
	*ret_number = o->view.number;
	return 0;
}
