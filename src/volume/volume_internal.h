/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a mounted volume share. Private to src/volume. */
#ifndef TDEFS_VOLUME_INTERNAL_H
#define TDEFS_VOLUME_INTERNAL_H

#include <time.h>

#include "tdefs/crew.h"
#include "tdefs/volume.h"
#include "tdefs/volume_vault.h"
#include "volume_key.h"

/* What this host expects, and whether it knows: 0, -ENOENT: never seen, or why it cannot be read. */
struct expectation {
	struct pin pin;
	int read;
};

struct volume {
	const struct config *config;
	const struct volume_config *vc;
	const struct sysio *sys;
	struct backing backing;
	int lock_fd, instance_fd;
	struct header_found found; /* as it was at open; `key` has the one in force */
	struct expectation expected;
	struct vault_watch watch;
	struct key_box *key; /* what a rotation exchanges */
	struct rotor *rotor;
	struct freezer *freezer;
	_Atomic bool protector_drift; /* the settings name another key than the header */
	struct secondary *secondary;  /* NULL: there is none */
	struct newest *newest;
	struct expiry *expiry;
	struct vault_counts vault_counts;
	_Atomic uint64_t probe_ms; /* how long the last probe or unlock took */
	struct counters counters;
	struct file_keys *keys;
	_Atomic uint64_t *highest_node;
	struct store *store;
	struct gate gate;

	/* Only the vault's thread sees these (guard_runner.h). */
	bool header_known; /* authenticated, pinned and repaired */

	bool accept_header;  /* whoever mounted it said so */
	bool mounted;	     /* it was told of; set and read by who serves the volume */
	bool persist_failed; /* it was told of; by who keeps the record */

	/* Of the drain's and of the purge's thread: a file that hangs does not hold up the rest. */
	struct crew *drain_crew, *purge_crew;

	struct guard_record remembered;
	struct guard_runner *runner;
	pthread_mutex_t reload_lock; /* guards `taken`; over reading the file; outermost */
	_Atomic uint64_t probe_timeout_ms, probe_interval_ms; /* as they were taken over last */
	struct volume_reloader reloader;
	struct config *taken; /* by the last reload; NULL: none */
	bool left_behind;     /* a thread of the runner hangs with the vault */
	_Atomic(const struct volume_cache *) cache; /* NULL: nobody serves it yet */
};

/* Of a call to a vault; a reload may change it. */
static inline unsigned volume_probe_timeout(const struct volume *v)
{
	return (unsigned)atomic_load(&v->probe_timeout_ms);
}

/* Whether another mount of this host has the UUID; the descriptor holds it. -EBUSY. */
int instance_lock(const struct volume *v, int *ret_fd, struct errmsg *reterr) WARN_UNUSED;

/* Read the header and check it against the pin; needs no key. */
int volume_read_header(struct volume *v, struct errmsg *reterr) WARN_UNUSED;

/*
 * Unwrap the DEK, authenticate the header by it, pin and repair it, and hand
 * the DEK to the files. The report's verdict is granted when all of that is done.
 */
enum vault_verdict volume_unlock(struct volume *v, struct vault_report *ret_report);

/* What is left to do once a vault has given the DEK, which is taken over. The same. */
enum vault_verdict volume_take_dek(struct volume *v, struct secret *dek,
				   struct vault_report *ret_report);

/* Whether these settings, the last that were read, name the key of the header in force. */
void volume_note_protector(struct volume *v, const struct settings *settings);

/* Is the key still granted? By the canary of the active slot, and its key's own version. */
enum vault_verdict volume_probe(struct volume *v, struct vault_report *ret_report);

/* What the kernel has cached of a node; it writes dirty pages first. May block, with the disk. */
void volume_drop_pages(const struct volume *v, uint64_t node);

/* What the guard's threads do to the volume; `arg` is the struct volume. */
extern const struct guard_ops volume_guard_ops;

#endif
