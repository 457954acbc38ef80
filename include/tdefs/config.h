/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tdefs.conf: ini text into one validated struct. Settings of [server] are
 * inherited by each [volume NAME], which may override any of them.
 *
 * Unknown keys, bad values and missing settings are errors that name file,
 * line and what was expected. Nothing is opened here but the file itself.
 */
#ifndef TDEFS_CONFIG_H
#define TDEFS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/errmsg.h"
#include "tdefs/cleanup.h"
#include "tdefs/kid.h"

#define CONFIG_DEFAULT_PATH "/etc/tdefs/tdefs.conf"
#define CONFIG_ENVIRONMENT  "TDEFS_CONFIG"

enum cache_mode { CACHE_WRITE_THROUGH, CACHE_WRITEBACK };
enum io_uring_use { IO_URING_NO, IO_URING_YES, IO_URING_AUTO };

/* Who we are to a key vault. */
enum identity_kind {
	IDENTITY_AUTO, /* by what the environment and the settings give */
	IDENTITY_MANAGED,
	IDENTITY_CLIENT_SECRET,
	IDENTITY_CERTIFICATE,
	IDENTITY_WORKLOAD,
	IDENTITY_NONE, /* no token at all */
};

/* What a confirmed denial leads to. */
enum on_denied { ON_DENIED_INACCESSIBLE, ON_DENIED_READ_ONLY };

/* Who may delete names while a volume is inaccessible. */
enum inaccessible_delete { DELETE_BY_ROOT, DELETE_BY_ALL };

/* When a volume goes down and comes back (DESIGN.md, "Contract: key access"). Milliseconds. */
struct guard_policy {
	uint64_t probe_interval_ms;
	uint64_t probe_timeout_ms;
	unsigned denied_confirmations; /* further probes that must say no, too */
	uint64_t denied_confirm_interval_ms;
	uint64_t drain_timeout_ms;
	enum on_denied on_denied;
	uint64_t denied_read_only_for_ms; /* with ON_DENIED_READ_ONLY; then inaccessible */
	uint64_t outage_read_only_after_ms, outage_deny_after_ms;
	uint64_t outage_extend_max_ms; /* most that tdefsctl extend gives; 0: nothing */
	uint64_t heal_window_ms;       /* how long a denial heals by itself */
};

struct vault_settings;

/* What a volume inherits from [server]. Strings are owned by the config. */
struct settings {
	char *protector; /* file:/absolute/path.pem, or https://VAULT/keys/NAME[/VERSION] */
	char *start;	 /* the protector's version that a volume is formatted by; NULL: as above */
	char *secondary; /* the same key in another vault, https://...; NULL: none */
	char *linked;	 /* "KID ...": may open a header, never wrap; NULL: none */
	char *allowed_vaults; /* "HOST[:PORT] ..."; NULL: those of protector, secondary, linked */
	struct vault_settings *vaults; /* what each [vault HOST] says otherwise, filled in */
	size_t nvaults;
	enum identity_kind identity;
	char *tenant_id, *client_id; /* NULL: from the environment; so are all below */
	char *client_secret_file, *client_certificate_file, *federated_token_file;
	char *authority_host; /* https://HOST */
	char *ca_file;	      /* instead of the system's roots */
	enum cache_mode cache;
	char *direct_files;	    /* see settings_is_direct(); NULL: the default */
	enum io_uring_use io_uring; /* how requests come; YES: that way, or no mount */
	unsigned threads;	    /* most request threads, 2..256 */
	bool lock_memory;	    /* mlockall(2); no only where it cannot be had */
	bool seccomp;		    /* system calls are filtered; no only in an emergency */
	bool unsupported_backing;   /* file systems other than ext4 and XFS */
	char *log;		    /* "stderr", "syslog" or a path; NULL: by how it was started */
	char *metrics_listen;	    /* 127.0.0.1:PORT, [::1]:PORT or a path; NULL or "": nowhere */
	struct guard_policy guard;
	uint64_t rotation_poll_ms;  /* how often a newer version is looked for; 0: never */
	bool auto_rotate;	    /* it is taken without being asked to */
	uint64_t expiry_warning_ms; /* how long before the protector expires; 0: never */
	uint64_t mount_timeout_ms;  /* how long a mount waits for a vault; 0: for ever */
	enum inaccessible_delete inaccessible_delete;
	char *on_event;	 /* the command run for each event, and its arguments; NULL: none */
	char *hook_user; /* whom it is run as */
	char *webhook_file, *webhook_ca_file; /* NULL: none; the system's roots */
};

/* [vault HOST]: its identity settings; the others of `settings` are unset. */
struct vault_settings {
	char *host; /* HOST[:PORT], lower case, without the port 443 */
	struct settings settings;
};

/* What a protector that is no key of a key vault leads to (tdefs/policy.h). */
enum policy_effect { POLICY_AUDIT, POLICY_DENY, POLICY_DISABLED };

/* [policy]: what is asked of protectors before anything is wrapped with one. */
struct policy {
	enum policy_effect customer_managed_key;
	unsigned minimum_rsa_bits;     /* default: 2048 */
	bool require_purge_protection; /* default: yes */
	bool require_key_backup;       /* default: no, a warning */
};

/* Names of policies, as tdefs.conf and events have them. */
#define POLICY_CUSTOMER_MANAGED_KEY "customer_managed_key"
#define POLICY_MINIMUM_RSA_BITS	    "minimum_rsa_bits"
#define POLICY_PURGE_PROTECTION	    "require_purge_protection"
#define POLICY_KEY_BACKUP	    "require_key_backup"
#define POLICY_ALLOWED_VAULTS	    "allowed_vaults"

struct volume_config {
	char *name; /* letters, digits, '.', '_', '-'; not starting with '.' or '-' */
	char *backing;
	char *mount;
	struct settings settings; /* what was inherited is filled in */
};

struct config {
	char *path;
	char *state_dir;	 /* pins; default /var/lib/tdefs */
	char *runtime_dir;	 /* control sockets; default /run/tdefs */
	char *event_dir;	 /* event logs; default /var/log/tdefs */
	uint64_t event_log_size; /* bytes; a longer file is rotated */
	unsigned event_log_keep; /* rotated files that are kept */
	struct settings server;
	struct policy policy;
	struct volume_config *volumes;
	size_t nvolumes;
	struct vault_settings *vaults; /* as they are written; see settings.vaults */
	size_t nvaults;
};

/*
 * Read and validate a file. `path` NULL means $TDEFS_CONFIG, then
 * CONFIG_DEFAULT_PATH. Not thread-safe (reads the environment).
 */
int config_load(const char *path, struct config **ret_config, struct errmsg *reterr) WARN_UNUSED;

/* The same from memory; `path` is used in messages. For tests and fuzzing. */
int config_parse(const char *path, const char *text, struct config **ret_config,
		 struct errmsg *reterr) WARN_UNUSED;

void config_free(struct config *config); /* accepts NULL */

/* -ENOENT, with the names that exist, when there is no such volume. */
int config_volume(const struct config *config, const char *name,
		  const struct volume_config **ret_volume, struct errmsg *reterr) WARN_UNUSED;

/* HOST[:PORT] of a key identifier, as in struct vault_settings; -EINVAL: it is of no vault. */
int vault_host_of(const char *kid, char ret_host[static KID_VAULT_MAX]) WARN_UNUSED;

/* The settings by which a key's vault is reached: those of its [vault HOST], or `s` itself. */
const struct settings *settings_for_vault(const struct settings *s, const char *kid);

/* The next kid of `linked`, from `*at` on, which moves; false: that was all. */
bool settings_next_linked(const char **at, char ret_kid[static KID_MAX + 1]);

/* Whether a vault may be contacted, by `allowed_vaults`. */
bool settings_allow_host(const struct settings *s, const char *host);

/* Bytes in a pattern of `direct_files`: no name is longer, a pattern may be. */
#define DIRECT_PATTERN_MAX 255

/*
 * Whether a file first seen under this name (its own, without a directory) is to
 * be opened direct, past the page cache. And the list that says so.
 */
bool settings_is_direct(const struct settings *s, const char *name);
const char *settings_direct_files(const struct settings *s);

/*
 * What two configs say otherwise of one volume, as names with commas: what a
 * mounted volume takes over, and what it cannot.
 */
struct config_changes {
	char live[512], fixed[1024];
};
void config_compare(const struct config *a, const struct volume_config *va, const struct config *b,
		    const struct volume_config *vb, struct config_changes *ret_changes);

/* Is `inner` the same as `outer`, or beneath it? Both absolute, without needless slashes. */
bool path_is_beneath(const char *inner, const char *outer);

/* "30s", "5m", "4h", "1d" or "0", as settings have it. -EINVAL. */
int config_duration(const char *text, uint64_t *ret_ms) WARN_UNUSED;

const char *cache_mode_name(enum cache_mode mode);
const char *io_uring_use_name(enum io_uring_use use);
const char *identity_kind_name(enum identity_kind kind);
const char *policy_effect_name(enum policy_effect effect);

static inline void cleanup_config_(struct config **c)
{
	config_free(*c);
}
#define CLEANUP_CONFIG CLEANUP(cleanup_config_)

#endif
