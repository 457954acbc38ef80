/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys, and what they are by default. How a value is read is values.c's. */
#include "keys.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND ((uint64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define KIB    ((uint64_t)1024)

static const char *const cache_modes[] = {
	[CACHE_WRITE_THROUGH] = "write-through",
	[CACHE_WRITEBACK] = "writeback",
	NULL,
};

static const char *const io_uring_uses[] = {
	[IO_URING_NO] = "no",
	[IO_URING_YES] = "yes",
	[IO_URING_AUTO] = "auto",
	NULL,
};

static const char *const identities[] = {
	[IDENTITY_AUTO] = "auto",
	[IDENTITY_MANAGED] = "managed",
	[IDENTITY_CLIENT_SECRET] = "client-secret",
	[IDENTITY_CERTIFICATE] = "certificate",
	[IDENTITY_WORKLOAD] = "workload",
	[IDENTITY_NONE] = "none",
	NULL,
};

static const char *const denials[] = {
	[ON_DENIED_INACCESSIBLE] = "inaccessible",
	[ON_DENIED_READ_ONLY] = "read-only",
	NULL,
};

static const char *const deleters[] = {
	[DELETE_BY_ROOT] = "root",
	[DELETE_BY_ALL] = "all",
	NULL,
};

static const char *const effects[] = {
	[POLICY_AUDIT] = "audit",
	[POLICY_DENY] = "deny",
	[POLICY_DISABLED] = "disabled",
	NULL,
};

const char *cache_mode_name(enum cache_mode mode)
{
	return cache_modes[mode];
}

const char *io_uring_use_name(enum io_uring_use use)
{
	return io_uring_uses[use];
}

const char *identity_kind_name(enum identity_kind kind)
{
	return identities[kind];
}

const char *policy_effect_name(enum policy_effect effect)
{
	return effects[effect];
}

#define SETTING(member) offsetof(struct settings, member)
#define GUARD(member)	offsetof(struct settings, guard.member)

/* A duration that is inherited. */
#define DURATION(name, member, least, most, expected)                                              \
	{                                                                                          \
		name, KEY_IN_BOTH, &value_duration, GUARD(member), expected, least, most, NULL     \
	}
#define PLAIN(name, place, kind, offset, expected)                                                 \
	{                                                                                          \
		name, place, kind, offset, expected, 0, 0, NULL                                    \
	}

static const struct config_key keys[] = {
	PLAIN("protector", KEY_IN_BOTH, &value_protector, SETTING(protector),
	      "https://VAULT/keys/NAME[/VERSION] or file:/absolute/path.pem"),
	PLAIN("secondary", KEY_IN_BOTH, &value_kid, SETTING(secondary),
	      "https://VAULT/keys/NAME[/VERSION]: the same key in another vault"),
	PLAIN("linked", KEY_IN_BOTH, &value_kids, SETTING(linked),
	      "kids, several with spaces or commas: keys that open headers of before a rotation"),
	PLAIN("allowed_vaults", KEY_IN_BOTH, &value_hosts, SETTING(allowed_vaults),
	      "HOST or HOST:PORT, several with spaces or commas"),
	{ "identity", KEY_IN_ALL, &value_choice, SETTING(identity),
	  "auto, managed, client-secret, certificate, workload or none", 0, 0, identities },
	PLAIN("tenant_id", KEY_IN_ALL, &value_id, SETTING(tenant_id), "a tenant's id"),
	PLAIN("client_id", KEY_IN_ALL, &value_id, SETTING(client_id), "a client's id"),
	PLAIN("client_secret_file", KEY_IN_ALL, &value_path, SETTING(client_secret_file),
	      "an absolute path"),
	PLAIN("client_certificate_file", KEY_IN_ALL, &value_path, SETTING(client_certificate_file),
	      "an absolute path"),
	PLAIN("federated_token_file", KEY_IN_ALL, &value_path, SETTING(federated_token_file),
	      "an absolute path"),
	PLAIN("authority_host", KEY_IN_ALL, &value_https, SETTING(authority_host), "https://HOST"),
	PLAIN("ca_file", KEY_IN_ALL, &value_path, SETTING(ca_file), "an absolute path"),
	{ "cache", KEY_IN_BOTH, &value_choice, SETTING(cache), "write-through or writeback", 0, 0,
	  cache_modes },
	PLAIN("direct_files", KEY_IN_BOTH, &value_patterns, SETTING(direct_files),
	      "patterns of files' own names, with spaces, default among them for the logs of known "
	      "engines; or none"),
	{ "io_uring", KEY_IN_BOTH, &value_choice, SETTING(io_uring), "yes, no or auto", 0, 0,
	  io_uring_uses },
	{ "threads", KEY_IN_BOTH, &value_count, SETTING(threads), "2 to 256", 2, 256, NULL },
	PLAIN("lock_memory", KEY_IN_BOTH, &value_bool, SETTING(lock_memory), "yes or no"),
	PLAIN("seccomp", KEY_IN_BOTH, &value_bool, SETTING(seccomp), "yes or no"),
	PLAIN("unsupported_backing", KEY_IN_BOTH, &value_bool, SETTING(unsupported_backing),
	      "yes or no"),
	PLAIN("log", KEY_IN_BOTH, &value_log, SETTING(log), "stderr, syslog or an absolute path"),
	PLAIN("metrics_listen", KEY_IN_BOTH, &value_listen, SETTING(metrics_listen),
	      "127.0.0.1:PORT or [::1]:PORT with a port of 1024 to 65535, an absolute path of at "
	      "most 107 bytes, or none"),
	DURATION("probe_interval", probe_interval_ms, SECOND, 5 * MINUTE, "1s to 5m"),
	DURATION("probe_timeout", probe_timeout_ms, SECOND, MINUTE, "1s to 60s"),
	{ "denied_confirmations", KEY_IN_BOTH, &value_count, GUARD(denied_confirmations), "0 to 10",
	  0, 10, NULL },
	DURATION("denied_confirm_interval", denied_confirm_interval_ms, SECOND, MINUTE,
		 "1s to 60s"),
	DURATION("drain_timeout", drain_timeout_ms, SECOND, 5 * MINUTE, "1s to 5m"),
	{ "on_denied", KEY_IN_BOTH, &value_choice, GUARD(on_denied), "inaccessible or read-only", 0,
	  0, denials },
	DURATION("denied_read_only_for", denied_read_only_for_ms, 0, DAY, "0 to 1d"),
	DURATION("outage_read_only_after", outage_read_only_after_ms, 0, 30 * DAY, "0 to 30d"),
	DURATION("outage_deny_after", outage_deny_after_ms, 0, 30 * DAY, "0 to 30d"),
	DURATION("outage_extend_max", outage_extend_max_ms, 0, 30 * DAY, "0 to 30d"),
	DURATION("heal_window", heal_window_ms, 0, DAY, "0 to 1d"),
	{ "rotation_poll", KEY_IN_BOTH, &value_period, SETTING(rotation_poll_ms),
	  "1m to 1d, or 0 for never", MINUTE, DAY, NULL },
	PLAIN("auto_rotate", KEY_IN_BOTH, &value_bool, SETTING(auto_rotate), "yes or no"),
	{ "expiry_warning", KEY_IN_BOTH, &value_duration, SETTING(expiry_warning_ms),
	  "0 to 365d; 0: no warning", 0, 365 * DAY, NULL },
	{ "mount_timeout", KEY_IN_BOTH, &value_duration, SETTING(mount_timeout_ms),
	  "1s to 1d, or 0 to wait for ever", 0, DAY, NULL },
	{ "inaccessible_delete", KEY_IN_BOTH, &value_choice, SETTING(inaccessible_delete),
	  "root or all", 0, 0, deleters },
	PLAIN("on_event", KEY_IN_BOTH, &value_command, SETTING(on_event),
	      "an absolute path, and arguments"),
	PLAIN("hook_user", KEY_IN_BOTH, &value_id, SETTING(hook_user), "a user's name"),
	PLAIN("webhook_file", KEY_IN_BOTH, &value_path, SETTING(webhook_file), "an absolute path"),
	PLAIN("webhook_ca_file", KEY_IN_BOTH, &value_path, SETTING(webhook_ca_file),
	      "an absolute path"),
	PLAIN("state_dir", KEY_IN_SERVER, &value_path, offsetof(struct config, state_dir),
	      "an absolute path"),
	PLAIN("runtime_dir", KEY_IN_SERVER, &value_path, offsetof(struct config, runtime_dir),
	      "an absolute path"),
	PLAIN("event_dir", KEY_IN_SERVER, &value_path, offsetof(struct config, event_dir),
	      "an absolute path"),
	{ "event_log_size", KEY_IN_SERVER, &value_size, offsetof(struct config, event_log_size),
	  "64K to 1G", 64 * KIB, KIB *KIB *KIB, NULL },
	{ "event_log_keep", KEY_IN_SERVER, &value_count, offsetof(struct config, event_log_keep),
	  "1 to 100", 1, 100, NULL },
	{ "customer_managed_key", KEY_IN_POLICY, &value_choice,
	  offsetof(struct config, policy.customer_managed_key), "audit, deny or disabled", 0, 0,
	  effects },
	{ "minimum_rsa_bits", KEY_IN_POLICY, &value_count,
	  offsetof(struct config, policy.minimum_rsa_bits), "2048 to 4096", 2048, 4096, NULL },
	PLAIN("require_purge_protection", KEY_IN_POLICY, &value_bool,
	      offsetof(struct config, policy.require_purge_protection), "yes or no"),
	PLAIN("require_key_backup", KEY_IN_POLICY, &value_bool,
	      offsetof(struct config, policy.require_key_backup), "yes or no"),
	PLAIN("backing", KEY_IN_VOLUME, &value_path, offsetof(struct volume_config, backing),
	      "an absolute path"),
	PLAIN("mount", KEY_IN_VOLUME, &value_path, offsetof(struct volume_config, mount),
	      "an absolute path"),
};

static_assert(ARRAY_SIZE(keys) <= 64, "a key_set has 64 bits");

const struct config_key *key_find(const char *name, enum key_place place)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].name, name) == 0 && keys[i].place & place)
			return &keys[i];
	return NULL;
}

static bool is_inherited(const struct config_key *key)
{
	return (key->place & KEY_IN_BOTH) == KEY_IN_BOTH;
}

static void *field_of(const struct config_key *key, struct key_target target)
{
	void *base = target.config;

	if (is_inherited(key))
		base = target.settings;
	else if (key->place == KEY_IN_VOLUME)
		base = target.volume;
	return (char *)base + key->offset;
}

int key_assign(const struct config_key *key, struct key_target target, const char *text)
{
	return key->kind->read(text, key, field_of(key, target));
}

static uint64_t key_bit(const struct config_key *key)
{
	return (uint64_t)1 << (key - keys);
}

bool key_set_has(const struct key_set *set, const struct config_key *key)
{
	return set->bits & key_bit(key);
}

void key_set_add(struct key_set *set, const struct config_key *key)
{
	set->bits |= key_bit(key);
}

void keys_list(enum key_place place, char *out, size_t len)
{
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys) && at < len; i++)
		if (keys[i].place & place)
			at += (size_t)snprintf(out + at, len - at, "%s%s", at ? ", " : "",
					       keys[i].name);
}

size_t keys_count(void)
{
	return ARRAY_SIZE(keys);
}

const char *key_name(size_t n)
{
	return keys[n].name;
}

bool key_is_of_vault(size_t n)
{
	return keys[n].place & KEY_IN_VAULT;
}

bool key_is_same(size_t n, struct key_target a, struct key_target b)
{
	return value_is_same(keys[n].kind, field_of(&keys[n], a), field_of(&keys[n], b));
}

static const struct guard_policy guard_defaults = {
	.probe_interval_ms = MINUTE,
	.probe_timeout_ms = 10 * SECOND,
	.denied_confirmations = 2,
	.denied_confirm_interval_ms = 5 * SECOND,
	.drain_timeout_ms = 10 * SECOND,
	.on_denied = ON_DENIED_INACCESSIBLE,
	.denied_read_only_for_ms = 30 * MINUTE,
	.outage_read_only_after_ms = 4 * HOUR,
	.outage_deny_after_ms = 8 * HOUR,
	.heal_window_ms = 30 * MINUTE,
};

int keys_default(struct config *c)
{
	c->server = (struct settings){ .cache = CACHE_WRITE_THROUGH,
				       .threads = 16,
				       .lock_memory = true,
				       .seccomp = true,
				       .rotation_poll_ms = 10 * MINUTE,
				       .expiry_warning_ms = 30 * DAY,
				       .mount_timeout_ms = MINUTE,
				       .inaccessible_delete = DELETE_BY_ROOT,
				       .guard = guard_defaults };
	c->policy = (struct policy){ .customer_managed_key = POLICY_AUDIT,
				     .minimum_rsa_bits = 2048,
				     .require_purge_protection = true };
	c->event_log_size = 16 * KIB * KIB;
	c->event_log_keep = 10;
	if (value_replace_string(&c->server.hook_user, "nobody") < 0 ||
	    value_replace_string(&c->event_dir, "/var/log/tdefs") < 0)
		return -ENOMEM;
	if (value_replace_string(&c->state_dir, "/var/lib/tdefs") < 0)
		return -ENOMEM;
	return value_replace_string(&c->runtime_dir, "/run/tdefs");
}

/* Fill from `from` what `set` does not have of the keys of a place. */
static int inherit(struct settings *to, const struct key_set *set, const struct settings *from,
		   enum key_place place)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int r;

		if ((keys[i].place & place) != place || key_set_has(set, &keys[i]))
			continue;
		r = value_copy(keys[i].kind, (const char *)from + keys[i].offset,
			       (char *)to + keys[i].offset);
		if (r < 0)
			return r;
	}
	return 0;
}

int keys_inherit(struct volume_config *v, const struct key_set *set, const struct config *c)
{
	bool own_protector = v->settings.protector, own_secondary = v->settings.secondary;
	int r = inherit(&v->settings, set, &c->server, KEY_IN_BOTH);

	if (r == 0 && own_protector && !own_secondary) { /* that is of another key */
		free(v->settings.secondary);
		v->settings.secondary = NULL;
	}
	return r;
}

int keys_inherit_identity(struct settings *to, const struct key_set *set,
			  const struct settings *from)
{
	return inherit(to, set, from, KEY_IN_ALL);
}

void keys_release(struct settings *s)
{
	for (size_t i = 0; i < s->nvaults; i++) {
		free(s->vaults[i].host);
		keys_release(&s->vaults[i].settings);
	}
	free(s->vaults);
	free(s->protector);
	free(s->start);
	free(s->secondary);
	free(s->linked);
	free(s->allowed_vaults);
	free(s->tenant_id);
	free(s->client_id);
	free(s->client_secret_file);
	free(s->client_certificate_file);
	free(s->federated_token_file);
	free(s->authority_host);
	free(s->ca_file);
	free(s->direct_files);
	free(s->log);
	free(s->on_event);
	free(s->hook_user);
	free(s->webhook_file);
	free(s->webhook_ca_file);
	free(s->metrics_listen);
}
