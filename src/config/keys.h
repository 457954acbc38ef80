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
};

struct config_key {
	const char *name;
	enum key_place place;
	int (*read)(const char *text, void *field); /* -EINVAL: not what is expected */
	int (*copy)(const void *from, void *to);    /* for keys that are inherited */
	size_t offset; /* in struct settings, volume_config or config, by place */
	const char *expected;
};

/* Where a value goes: volume is NULL in [server]. */
struct key_target {
	struct config *config;
	struct volume_config *volume;
};

/* Which keys a section has set. */
struct key_set {
	unsigned bits;
};

const struct config_key *key_find(const char *name, enum key_place place);
int key_assign(const struct config_key *key, struct key_target target, const char *text);
bool key_set_has(const struct key_set *set, const struct config_key *key);
void key_set_add(struct key_set *set, const struct config_key *key);

/* Names of a section's keys, comma-separated. */
void keys_list(enum key_place place, char *out, size_t len);

int keys_default(struct config *c) WARN_UNUSED;
/* Fill what the volume did not set from [server]. */
int keys_inherit(struct volume_config *v, const struct key_set *set,
		 const struct config *c) WARN_UNUSED;
void keys_release(struct settings *s);

#endif
