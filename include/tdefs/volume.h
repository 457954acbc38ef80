/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume: one encrypted backing directory with its header, and, once opened,
 * its keys and files tied together. The layers above serve it (src/fs) and
 * tell of it (src/control).
 */
#ifndef TDEFS_VOLUME_H
#define TDEFS_VOLUME_H

#include "tdefs/config.h"
#include "tdefs/errmsg.h"
#include "tdefs/gate.h"
#include "tdefs/guard_runner.h"
#include "tdefs/keyring.h"
#include "tdefs/store.h"
#include "tdefs/vault_counts.h"
#include "tdefs/volume_vault.h"

/* A backing directory that is open, and its header directory. */
struct backing {
	int root_fd;
	int header_fd;	    /* -1: there is no .tdefs */
	bool is_mount_root; /* it is a file system's own root: lost+found is not data */
};

/*
 * Open the directory `path`. `volume` names it in messages. Refused: what is
 * missing or not a directory, and file systems that fold case, or, unless
 * `any_filesystem`, are neither ext4 nor XFS.
 */
int backing_open(const char *path, const char *volume, bool any_filesystem,
		 struct backing *ret_backing, struct errmsg *reterr) WARN_UNUSED;
/* Once there is a .tdefs: refuse file systems that fold case without saying so. */
int backing_check_case(const struct backing *b, const char *path, const char *volume,
		       struct errmsg *reterr) WARN_UNUSED;
/* Refuse a directory in another volume's backing: that one's mount shows it, too. -ELOOP. */
int backing_check_nesting(const struct backing *b, const char *path, const char *volume,
			  struct errmsg *reterr) WARN_UNUSED;
void backing_close(struct backing *b); /* accepts one that was never opened: {-1, -1} */

static inline void cleanup_backing_(struct backing *b)
{
	backing_close(b);
}
#define CLEANUP_BACKING CLEANUP(cleanup_backing_)
#define BACKING_NONE	((struct backing){ .root_fd = -1, .header_fd = -1 })

/*
 * Take .tdefs/lock, which is held while a volume is mounted or rewritten. The
 * descriptor holds it. -EBUSY when somebody else does.
 */
int backing_lock(const struct backing *b, const char *volume, int *ret_lock_fd,
		 struct errmsg *reterr) WARN_UNUSED;

/*
 * Make an empty directory a volume: DEK, header, pin. `now` is seconds since
 * 1970. On error the directory is as it was.
 */
int volume_format(const struct sysio *sys, const struct config *config,
		  const struct volume_config *vc, const struct vault_watch *watch, uint64_t now,
		  struct volume_header *ret_header, struct errmsg *reterr) WARN_UNUSED;

struct volume;

/* What else takes over settings that were read again; all or nothing. `was`: those until now. */
struct volume_reloader {
	int (*reload)(void *arg, const struct settings *now, const struct settings *was,
		      struct errmsg *reterr);
	void *arg;
};

struct volume_options {
	struct volume_reloader reloader; /* of volume_reload(); none: zeros */
	const struct sysio *sys;
	struct audit *audit;		/* the event log, outlives the volume; may be NULL */
	bool accept_header;		/* a header that does not match the pin becomes the pin's */
	_Atomic uint64_t *highest_node; /* see store.h; may be NULL */
};

/*
 * Lock, read the header and what .tdefs/state remembers, check the header
 * against the pin, open the store. Asks no vault: the volume has no key yet.
 * Both configs outlive the volume.
 */
int volume_open(const struct config *config, const struct volume_config *vc,
		const struct volume_options *options, struct volume **ret_volume,
		struct errmsg *reterr) WARN_UNUSED;

/*
 * Start to guard the volume: unwrap the DEK, then probe. Wait for the outcome
 * by guard_runner_wait(volume_guard(v)).
 */
int volume_start(struct volume *v, struct errmsg *reterr) WARN_UNUSED;
struct guard_runner *volume_guard(struct volume *v); /* NULL before volume_start() */
struct gate *volume_gate(struct volume *v);

/*
 * Read the config's file again and take over what a mounted volume can: timers,
 * mostly. All or nothing: a file that is not valid, or that says otherwise of what
 * cannot change, changes nothing. Thread-safe, after volume_start().
 */
int volume_reload(struct volume *v, struct config_changes *ret_changes,
		  struct errmsg *reterr) WARN_UNUSED;

/*
 * How whoever serves the volume drops the cached pages of a node, writing dirty
 * ones first. Called from the guard's threads, with no lock held; may block.
 */
struct volume_cache {
	void (*drop)(void *arg, uint64_t node);
	void *arg;
};
/* `cache` stays until volume_stop(). */
void volume_set_cache(struct volume *v, const struct volume_cache *cache);

/*
 * Wipe the keys, end the guard's threads; after that nothing is asked of a vault
 * or of the cache. False: a thread hangs with the vault and was left behind, and
 * so is the volume when it is closed: end the process by _exit(2).
 */
bool volume_stop(struct volume *v) WARN_UNUSED;

/* Everything durable, keys wiped, lock released. An error: something may not be on disk. */
int volume_close(struct volume *v) WARN_UNUSED;

/* What is known of a volume's secondary, the second vault that has its key. */
struct secondary_view {
	char kid[KID_MAX + 1];		  /* the key there; "": not found yet */
	bool answered;			  /* it was asked, and the report says what it said */
	struct vault_report report;	  /* its last answer */
	uint64_t report_at;		  /* when, seconds since 1970 */
	bool primary_failed;		  /* the primary did not answer when it was last asked */
	struct errmsg primary;		  /* why */
	bool ha_broken;			  /* it would not do */
	struct errmsg reason;		  /* why */
	uint64_t broken_since, proved_at; /* seconds since 1970; 0: never */
};
/* False: there is none. Thread-safe. */
bool volume_secondary_view(const struct volume *v, struct secondary_view *ret_view);

/* What is known of the newest version of the protector's key; asked for each rotation_poll. */
struct newest_view {
	bool newer; /* than the active slot's, enabled and valid; then the next three are set */
	char kid[KID_MAX + 1];
	uint8_t thumbprint[THUMBPRINT_LEN];
	uint64_t created;    /* seconds since 1970; 0: the vault did not say */
	unsigned failures;   /* in a row, until now */
	struct errmsg error; /* the last of them */
	bool unknown;	     /* there were so many that somebody must look */
};
/* Empty where the protector has no versions. Thread-safe. */
void volume_newest_view(const struct volume *v, struct newest_view *ret_view);

/* What rotation by itself is at (auto_rotate). Thread-safe. */
struct auto_rotation_view {
	bool enabled;
	uint64_t at;	   /* when it is tried next, seconds since 1970; 0: nothing is to be done */
	bool held;	   /* a newer version waits until the secondary has it */
	bool left;	   /* it is an operator's to take: pinned, or another key is configured */
	unsigned failures; /* in a row, until now */
	struct errmsg why; /* the last failure, or what it is held for */
};
void volume_auto_rotation_view(const struct volume *v, struct auto_rotation_view *ret_view);

/* When the protector in use expires, as the last probe heard it. Thread-safe. */
struct expiry_view {
	uint64_t expires; /* seconds since 1970; 0: never, or not known */
	bool soon;	  /* within expiry_warning, or it has */
};
void volume_expiry_view(const struct volume *v, struct expiry_view *ret_view);

struct store *volume_store(struct volume *v);
const struct volume_config *volume_config(const struct volume *v);
/* The header in force: a rotation exchanges it. Thread-safe. */
void volume_header(const struct volume *v, struct volume_header *ret_header);
/* Whether tdefs.conf, as it was read last, names another protector than the header. */
bool volume_protector_drift(const struct volume *v);
struct counters *volume_counters(struct volume *v);
const struct vault_counts *volume_vault_counts(const struct volume *v);
/* Who we are to its vault; asks nobody. */
void volume_describe_vault(const struct volume *v, struct vault_identity *ret_identity);
uint64_t volume_probe_ms(const struct volume *v); /* how long the last probe took; 0: none yet */

/*
 * Whether the configured mount point can be used: an empty directory, no mount
 * on it, neither in the backing nor around it. Changes nothing.
 */
int mountpoint_check(const struct volume_config *vc, struct errmsg *reterr) WARN_UNUSED;

/* The settings that name `kid` as protector or linked, and so reach its vault; NULL: none do. */
const struct settings *volume_settings_opening(const struct config *config, const char *kid);

/*
 * The DEK of a header outside a mounted volume (tdefsctl verify), by whichever
 * protector of `config` its active slot names; `watch->volume` names it in messages.
 */
int volume_dek(const struct config *config, const struct vault_watch *watch,
	       const struct volume_header *header, struct secret **ret_dek,
	       struct errmsg *reterr) WARN_UNUSED;
/* The same by these settings only. -EKEYREJECTED: they do not name the key. */
int volume_dek_by(const struct settings *settings, const struct vault_watch *watch,
		  const struct volume_header *header, struct secret **ret_dek,
		  struct errmsg *reterr) WARN_UNUSED;

#endif
