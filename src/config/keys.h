/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of tdefs.conf as one table: name, where it may stand, how its text
 * is read, what is expected. Private to src/config.
 */
#ifndef TDEFS_CONFIG_KEYS_H
#define TDEFS_CONFIG_KEYS_H

#include "tdefs/config.h"

enum key_place {
	KEY_IN_SERVER = 1,
	KEY_IN_VOLUME = 2,
	KEY_IN_BOTH = KEY_IN_SERVER | KEY_IN_VOLUME, /* inherited */
	KEY_IN_POLICY = 4,
	KEY_IN_VAULT = 8,
	KEY_IN_ALL = KEY_IN_BOTH | KEY_IN_VAULT, /* who we are to a vault */
};

struct config_key;

/* How a value is read and kept (values.c). */
struct value_kind {
	int (*read)(const char *text, const struct config_key *key,
		    void *field); /* -EINVAL: not what is expected */
	size_t size;		  /* of the field; 0: a string, which is owned */
	bool adds;		  /* a list: set again in a section, it goes on */
};

struct config_key {
	const char *name;
	enum key_place place;
	const struct value_kind *kind;
	size_t offset; /* in struct settings, volume_config or config, by place */
	const char *expected;
	uint64_t min, max;	    /* of a count, a duration in ms, a size in bytes */
	const char *const *choices; /* words, NULL ends them; the field is an enum of their order */
};

extern const struct value_kind value_path, value_command, value_protector, value_id, value_https,
	value_log, value_listen, value_bool, value_count, value_duration, value_period, value_size,
	value_choice, value_kid, value_kids, value_hosts, value_patterns;

int value_copy(const struct value_kind *kind, const void *from, void *to) WARN_UNUSED;
bool value_is_same(const struct value_kind *kind, const void *a, const void *b);
int value_replace_string(char **field, const char *text) WARN_UNUSED;

/* Where a value goes: `settings` are the section's own. */
struct key_target {
	struct config *config;
	struct volume_config *volume; /* NULL: not in one */
	struct settings *settings;
};

/* Which keys a section has set. */
struct key_set {
	uint64_t bits;
};

const struct config_key *key_find(const char *name, enum key_place place);
int key_assign(const struct config_key *key, struct key_target target, const char *text);
bool key_set_has(const struct key_set *set, const struct config_key *key);
void key_set_add(struct key_set *set, const struct config_key *key);

/* Names of a section's keys, comma-separated. */
void keys_list(enum key_place place, char *out, size_t len);

/* Of two configs, by the n-th key: a name, and whether it says the same of their volumes. */
size_t keys_count(void);
const char *key_name(size_t n);
bool key_is_of_vault(size_t n);
bool key_is_same(size_t n, struct key_target a, struct key_target b);

int keys_default(struct config *c) WARN_UNUSED;
/* Fill what the volume did not set from [server]. */
int keys_inherit(struct volume_config *v, const struct key_set *set,
		 const struct config *c) WARN_UNUSED;
/* The same for a [vault HOST], from whoever reaches it so. */
int keys_inherit_identity(struct settings *to, const struct key_set *set,
			  const struct settings *from) WARN_UNUSED;
void keys_release(struct settings *s);

#endif
