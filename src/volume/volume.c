/* SPDX-License-Identifier: Apache-2.0 */
/* A volume that is open: header and pin checked, keys and files tied together. */
#include "tdefs/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/log.h"
#include "tdefs/protector.h"

struct volume {
	const struct config *config;
	const struct volume_config *vc;
	const struct sysio *sys;
	struct backing backing;
	int lock_fd;
	struct volume_header header;
	struct secret *dek;
	struct counters counters;
	struct store *store;
};

static void volume_free(struct volume *v)
{
	secret_free(v->dek);
	backing_close(&v->backing);
	if (v->lock_fd >= 0)
		close(v->lock_fd);
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

	log_warning("volume %s: event=%s inode=%llu: %s (find %s -inum %llu)", v->vc->name,
		    event_texts[event].name, (unsigned long long)ino, event_texts[event].meaning,
		    v->vc->backing, (unsigned long long)ino);
}

static int check_formatted(const struct volume *v, struct errmsg *reterr)
{
	if (v->backing.header_fd >= 0)
		return 0;
	errmsg_next(reterr, "format it (tdefsctl format %s), or mount the file system it is on",
		    v->vc->name);
	return errmsg_fail(reterr, -ENOENT, EXIT_CODE_FAILED,
			   "volume %s: %s is not formatted: it has no " STORE_HEADER_DIR,
			   v->vc->name, v->vc->backing);
}

/* What this host expects, and whether it knows: 0, -ENOENT: never seen, or why it cannot be read. */
struct expectation {
	struct pin pin;
	int read;
};

static int check_pin(const struct volume *v, const struct expectation *e, struct errmsg *reterr)
{
	const char *name = v->vc->name, *dir = v->config->state_dir;

	if (e->read == 0)
		return pin_check(&e->pin, &v->header, name, reterr);
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
static int update_pin(const struct volume *v, const struct expectation *e, struct errmsg *reterr)
{
	struct pin now = pin_of_header(&v->header);
	int r;

	if (e->read == 0 && memcmp(e->pin.uuid, now.uuid, 16) == 0 &&
	    memcmp(e->pin.dek_id, now.dek_id, 16) == 0 && e->pin.sequence == now.sequence)
		return 0;
	r = pin_write(v->sys, v->config->state_dir, v->vc->name, &now);
	if (r == 0)
		return 0;
	errmsg_next(reterr, "make %s writable", v->config->state_dir);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot write its pin: %s",
			   v->vc->name, errno_text(r));
}

/* A lost copy is made good now, while there is one to make it from. */
static void repair_header(const struct volume *v, const struct header_found *found)
{
	int r;

	if (!header_needs_repair(found))
		return;
	r = header_write(v->sys, v->backing.header_fd, &v->header);
	log_warning("volume %s: event=header_copy_bad header=%s header.bak=%s: %s%s", v->vc->name,
		    header_copy_state_text(found->state[0]),
		    header_copy_state_text(found->state[1]),
		    r < 0 ? "the other serves, but it could not be rewritten: "
			  : "rewritten from the other",
		    r < 0 ? errno_text(r) : "");
}

static int unlock(struct volume *v, struct errmsg *reterr)
{
	CLEANUP_VAULT struct vault *vault = NULL;
	const struct settings *settings = &v->vc->settings;
	const char *kid = settings->protector;
	int r = vault_open(kid, settings, &clock_kernel, &vault, reterr);

	return r < 0 ? r : keyring_unlock(vault, kid, &v->header, v->vc->name, &v->dek, reterr);
}

static int open_keys(struct volume *v, bool accept_header, struct errmsg *reterr)
{
	CLEANUP_FREE struct header_found *found = calloc(1, sizeof(*found));
	struct expectation e;
	int r;

	if (!found)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	r = header_read(v->sys, v->backing.header_fd, v->vc->name, found, reterr);
	if (r < 0)
		return r;
	v->header = found->header;
	e.read = pin_read(v->sys, v->config->state_dir, v->vc->name, &e.pin);
	r = accept_header ? 0 : check_pin(v, &e, reterr);
	if (r == 0)
		r = unlock(v, reterr);
	if (r == 0)
		r = update_pin(v, &e, reterr);
	if (r == 0)
		repair_header(v, found);
	return r;
}

static int open_store(struct volume *v, struct errmsg *reterr)
{
	struct store_options o = {
		.files = { .sys = v->sys,
			   .dek = v->dek,
			   .counters = &v->counters,
			   .event = log_event,
			   .event_arg = v },
		.root_fd = v->backing.root_fd,
		.hide_lost_found = v->backing.is_mount_root,
	};
	int r;

	memcpy(o.files.key_domain_id, v->header.key_domain_id, 16);
	memcpy(o.files.dek_id, volume_header_active_slot(&v->header)->dek_id, DEK_ID_LEN);
	r = store_open(&o, &v->store);
	if (r == 0)
		return 0;
	errmsg_next(reterr, "look at the backing file system: it must give file handles "
			    "(name_to_handle_at(2)), and /proc must be mounted");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot open its files: %s",
			   v->vc->name, errno_text(r));
}

static int open_all(struct volume *v, bool accept_header, struct errmsg *reterr)
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
		r = open_keys(v, accept_header, reterr);
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
	v->sys = options->sys;
	v->backing = BACKING_NONE;
	v->lock_fd = -1;
	r = open_all(v, options->accept_header, reterr);
	if (r < 0) {
		volume_free(v);
		return r;
	}
	*ret_volume = v;
	return 0;
}

int volume_close(struct volume *v)
{
	int r = store_close(v->store);

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

const struct volume_header *volume_header(const struct volume *v)
{
	return &v->header;
}

const struct counters *volume_counters(const struct volume *v)
{
	return &v->counters;
}

/* The settings whose protector covers `kid`; NULL: it is not configured. */
static const struct settings *settings_of_kid(const struct config *config, const char *kid)
{
	if (config->server.protector && protector_covers(config->server.protector, kid))
		return &config->server;
	for (size_t i = 0; i < config->nvolumes; i++)
		if (protector_covers(config->volumes[i].settings.protector, kid))
			return &config->volumes[i].settings;
	return NULL;
}

int volume_dek(const struct config *config, const struct volume_header *header, const char *volume,
	       struct secret **ret_dek, struct errmsg *reterr)
{
	const char *kid = volume_header_active_slot(header)->kid;
	const struct settings *settings = settings_of_kid(config, kid);
	CLEANUP_VAULT struct vault *vault = NULL;
	int r;

	if (!settings) {
		errmsg_next(reterr, "name it as \"protector\" in %s", config->path);
		return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_CONFIG,
				   "%s: its DEK is wrapped by %s, which is not configured", volume,
				   kid);
	}
	r = vault_open(kid, settings, &clock_kernel, &vault, reterr);
	return r < 0 ? r
		     : keyring_unlock(vault, settings->protector, header, volume, ret_dek, reterr);
}
