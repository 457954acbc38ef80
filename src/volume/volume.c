/* SPDX-License-Identifier: Apache-2.0 */
/* A volume that is open: header and pin checked, keys and files tied together. */
#include "tdefs/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/log.h"
#include "tdefs/protector.h"
#include "volume_event.h"
#include "volume_expiry.h"
#include "volume_freeze.h"
#include "volume_internal.h"
#include "volume_newest.h"
#include "volume_rotate.h"
#include "volume_secondary.h"

#define CREW_MOST 64u

static void volume_free(struct volume *v)
{
	if (v->left_behind) /* a thread may still come back to it */
		return;
	config_free(v->taken);
	pthread_mutex_destroy(&v->reload_lock);
	file_keys_free(v->keys);
	secondary_close(v->secondary);
	newest_close(v->newest);
	expiry_free(v->expiry);
	rotor_free(v->rotor);
	freezer_free(v->freezer);
	key_box_free(v->key);
	backing_close(&v->backing);
	if (v->lock_fd >= 0)
		close(v->lock_fd);
	if (v->instance_fd >= 0)
		close(v->instance_fd);
	free(v);
}

static const struct {
	const char *name;
	const char *meaning;
} event_texts[] = {
	[FILE_EVENT_HEADER_DAMAGED] = { "file_header_damaged", "no usable record in its header: it "
							       "answers EBADMSG; restore "
							       "it from a backup" },
	[FILE_EVENT_HEADER_MISSING] = { "file_header_missing", "its header is all zero but data "
							       "follows: it answers EBADMSG; "
							       "restore it, or give the data up "
							       "with tdefsctl accept-lost" },
	[FILE_EVENT_RECORD_REPAIRED] = { "file_record_repaired",
					 "one record of its header was damaged; rewritten from the "
					 "other" },
	[FILE_EVENT_LENGTH_DAMAGED] = { "file_length_damaged", "no file of this format has its "
							       "length: it answers EBADMSG" },
	[FILE_EVENT_ERROR_LATCHED] = { "write_error_latched",
				       "a write that the kernel had acknowledged failed: the next "
				       "fsync reports it" },
	[FILE_EVENT_ABSOLUTE_SYMLINK] = { "absolute_symlink", "a symbolic link leads out of the "
							      "volume: what it points to "
							      "is not encrypted by it" },
};

static void log_event(void *arg, enum file_event event, uint64_t ino)
{
	const struct volume *v = arg;

	volume_event_file(v, event_texts[event].name, ino);
	log_warning("volume %s: event=%s inode=%llu: %s (find %s -inum %llu)", v->vc->name,
		    event_texts[event].name, (unsigned long long)ino, event_texts[event].meaning,
		    v->vc->backing, (unsigned long long)ino);
}

static int check_formatted(const struct volume *v, struct errmsg *reterr)
{
	if (v->backing.header_fd >= 0)
		return 0;
	errmsg_next(reterr, "mount the file system it is on; a new volume: tdefsctl format %s",
		    v->vc->name);
	return errmsg_fail(reterr, -ENOENT, EXIT_CODE_FAILED,
			   "volume %s: %s is not formatted: it has no " STORE_HEADER_DIR,
			   v->vc->name, v->vc->backing);
}

static bool is_direct(const void *settings, const char *name)
{
	return settings_is_direct(settings, name);
}

static int open_store(struct volume *v, struct errmsg *reterr)
{
	struct store_options o = {
		.files = { .sys = v->sys,
			   .keys = v->keys,
			   .counters = &v->counters,
			   .event = log_event,
			   .event_arg = v },
		.root_fd = v->backing.root_fd,
		.hide_lost_found = v->backing.is_mount_root,
		.is_direct = is_direct,
		.is_direct_arg = &v->vc->settings,
		.highest_node = v->highest_node,
	};
	int r;

	memcpy(o.files.key_domain_id, v->found.header.key_domain_id, 16);
	memcpy(o.files.dek_id, volume_header_active_slot(&v->found.header)->dek_id, DEK_ID_LEN);
	r = store_open(&o, &v->store);
	if (r == 0)
		return 0;
	errmsg_next(reterr, "look at the backing file system: it must give file handles "
			    "(name_to_handle_at(2)), and /proc must be mounted");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot open its files: %s",
			   v->vc->name, errno_text(r));
}

/*
 * What a restart must not undo. A record that cannot be read may have said
 * "locked" or "denied": it counts as both.
 */
static int read_record(struct volume *v, struct errmsg *reterr)
{
	int r = guard_record_read(v->sys, v->backing.header_fd, &v->remembered);

	if (r == 0 || r == -ENOENT)
		return 0;
	if (r == -EBADMSG) {
		log_error("volume %s: event=state_damaged: .tdefs/state is damaged: the volume "
			  "counts as locked, and as denied by its primary vault, until tdefsctl "
			  "resume",
			  v->vc->name);
		volume_event_state_damaged(v);
		v->remembered = (struct guard_record){ .locked = true, .denied = true };
		return 0;
	}
	errmsg_next(reterr, "look at the backing file system and the kernel's log");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot read .tdefs/state: %s",
			   v->vc->name, errno_text(r));
}

/* The key that the header names, if it is configured or linked; else the protector, and refused. */
static int open_key(struct volume *v, struct errmsg *reterr)
{
	const struct settings *s = &v->vc->settings;
	const char *slot_kid = volume_header_active_slot(&v->found.header)->kid;
	struct watched_vault *vault = NULL;
	struct volume_key *key = NULL;
	int r = watched_vault_open(&v->watch, protector_that_opens(s, slot_kid), s, &clock_kernel,
				   &vault, reterr);

	if (r == 0 && volume_key_new(&v->found.header, vault, s, NULL, &key) < 0)
		r = errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	if (r < 0)
		return r;
	key_box_put(v->key, key);
	volume_note_protector(v, s);
	return 0;
}

static int open_all(struct volume *v, struct errmsg *reterr)
{
	int r = backing_open(v->vc->backing, v->vc->name, v->vc->settings.unsupported_backing,
			     &v->backing, reterr);

	if (r == 0)
		r = check_formatted(v, reterr);
	if (r == 0)
		r = backing_check_nesting(&v->backing, v->vc->backing, v->vc->name, reterr);
	if (r == 0)
		r = backing_lock(&v->backing, v->vc->name, &v->lock_fd, reterr);
	if (r == 0)
		r = volume_read_header(v, reterr);
	if (r == 0)
		r = instance_lock(v, &v->instance_fd, reterr);
	if (r == 0)
		r = read_record(v, reterr);
	if (r == 0)
		r = open_key(v, reterr);
	if (r == 0)
		r = secondary_open(v, reterr);
	if (r == 0)
		r = newest_open(v, reterr);
	return r < 0 ? r : open_store(v, reterr);
}

int volume_open(const struct config *config, const struct volume_config *vc,
		const struct volume_options *options, struct volume **ret_volume,
		struct errmsg *reterr)
{
	struct volume *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	v->config = config;
	v->vc = vc;
	v->watch.volume = vc->name;
	v->watch.audit = options->audit;
	v->watch.by = "unlock";
	v->accept_header = options->accept_header;
	v->watch.counts = &v->vault_counts;
	v->sys = options->sys;
	v->highest_node = options->highest_node;
	v->reloader = options->reloader;
	atomic_store(&v->probe_timeout_ms, vc->settings.guard.probe_timeout_ms);
	atomic_store(&v->probe_interval_ms, vc->settings.guard.probe_interval_ms);
	pthread_mutex_init(&v->reload_lock, NULL);
	v->backing = BACKING_NONE;
	v->lock_fd = v->instance_fd = -1;
	atomic_store(&v->gate.delete_by_all, vc->settings.inaccessible_delete == DELETE_BY_ALL);
	v->keys = file_keys_new();
	v->key = key_box_new();
	v->rotor = rotor_new(v);
	v->freezer = freezer_new(v);
	v->expiry = expiry_new(vc->settings.expiry_warning_ms);
	r = v->keys && v->key && v->rotor && v->freezer && v->expiry
		    ? 0
		    : errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	if (r == 0)
		r = open_all(v, reterr);
	if (r < 0) {
		volume_free(v);
		return r;
	}
	*ret_volume = v;
	return 0;
}

int volume_close(struct volume *v)
{
	int r;

	IGNORE_RESULT(volume_stop(v), "then it stays");
	rotor_silence(v->rotor);
	secondary_silence(v->secondary);
	key_box_end(v->key); /* the sum of its probes comes before the unmount */
	newest_silence(v->newest);
	r = store_close(v->store);
	volume_event_unmounted(v, r);
	volume_free(v);
	return r;
}

struct store *volume_store(struct volume *v)
{
	return v->store;
}

const struct volume_config *volume_config(const struct volume *v)
{
	return v->vc;
}

void volume_header(const struct volume *v, struct volume_header *ret_header)
{
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);

	*ret_header = key->header;
}

bool volume_protector_drift(const struct volume *v)
{
	return atomic_load(&v->protector_drift);
}

void volume_note_protector(struct volume *v, const struct settings *settings)
{
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);

	atomic_store(&v->protector_drift,
		     !protector_covers(settings->protector, volume_key_slot(key)->kid));
	newest_note_protector(v->newest, settings->protector);
}

struct gate *volume_gate(struct volume *v)
{
	return &v->gate;
}

static int make_crews(struct volume *v)
{
	v->drain_crew = crew_new(CREW_MOST);
	v->purge_crew = crew_new(CREW_MOST);
	return v->drain_crew && v->purge_crew ? 0 : -ENOMEM;
}

int volume_start(struct volume *v, struct errmsg *reterr)
{
	struct guard_view view;
	int r = make_crews(v);

	if (r == 0)
		r = guard_runner_new(&v->vc->settings.guard, &clock_kernel, &volume_guard_ops, v,
				     &v->remembered, &v->runner);

	if (r == 0) {
		guard_runner_view(v->runner, &view);
		gate_move(&v->gate, &view.guard); /* closed, until the guard opens it */
		r = guard_runner_start(v->runner);
	}
	if (r == 0)
		r = secondary_start(v->secondary);
	if (r == 0)
		r = newest_start(v->newest);
	if (r == 0)
		return 0;
	errmsg_next(reterr, "free memory or raise the limit of threads, then try again");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot start its guard: %s",
			   v->vc->name, errno_text(r));
}

bool volume_stop(struct volume *v)
{
	bool rotated;

	if (v->left_behind) /* it was waited for once */
		return false;
	freezer_stop(v->freezer); /* while what was held can be carried out */
	rotated = rotor_stop(v->rotor);
	secondary_end(v->secondary);
	newest_end(v->newest);
	v->left_behind = !guard_runner_free(v->runner);
	v->runner = NULL;
	crew_free(v->drain_crew);
	crew_free(v->purge_crew);
	v->drain_crew = v->purge_crew = NULL;
	v->left_behind = !secondary_stop(v->secondary) || !rotated || v->left_behind;
	v->left_behind = !newest_stop(v->newest) || v->left_behind;
	return !v->left_behind;
}

struct guard_runner *volume_guard(struct volume *v)
{
	return v->runner;
}

void volume_set_cache(struct volume *v, const struct volume_cache *cache)
{
	atomic_store(&v->cache, cache);
}

struct counters *volume_counters(struct volume *v)
{
	return &v->counters;
}

const struct vault_counts *volume_vault_counts(const struct volume *v)
{
	return &v->vault_counts;
}

void volume_describe_vault(const struct volume *v, struct vault_identity *ret_identity)
{
	CLEANUP_VOLUME_KEY struct volume_key *key = key_box_hold(v->key);

	vault_describe(watched_vault_of(key->vault), ret_identity);
}

uint64_t volume_probe_ms(const struct volume *v)
{
	return atomic_load(&v->probe_ms);
}
