/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys, and how each kind of value is read, copied and defaulted. */
#include "keys.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tdefs/kid.h"

static const char *const cache_modes[] = {
	[CACHE_WRITE_THROUGH] = "write-through",
	[CACHE_WRITEBACK] = "writeback",
};

const char *cache_mode_name(enum cache_mode mode)
{
	return cache_modes[mode];
}

static int replace_string(char **field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* One slash between names and none at the end, so that equal paths are equal strings. */
static void tidy_path(char *path)
{
	char *out = path;

	for (const char *in = path; *in; in++)
		if (*in != '/' || out == path || out[-1] != '/')
			*out++ = *in;
	if (out > path + 1 && out[-1] == '/')
		out--;
	*out = '\0';
}

static int read_path(const char *text, void *field)
{
	char **path = field;
	int r;

	if (text[0] != '/' || strlen(text) >= 4096)
		return -EINVAL;
	r = replace_string(path, text);
	if (r == 0)
		tidy_path(*path);
	return r;
}

static int read_protector(const char *text, void *field)
{
	struct kid kid;
	bool is_file = strncmp(text, "file:/", 6) == 0 && strlen(text) <= KID_MAX;

	return is_file || kid_parse(text, &kid) == 0 ? replace_string(field, text) : -EINVAL;
}

static int read_identity(const char *text, void *field)
{
	static const char *const kinds[] = {
		[IDENTITY_AUTO] = "auto",
		[IDENTITY_MANAGED] = "managed",
		[IDENTITY_CLIENT_SECRET] = "client-secret",
		[IDENTITY_CERTIFICATE] = "certificate",
		[IDENTITY_WORKLOAD] = "workload",
		[IDENTITY_NONE] = "none",
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(text, kinds[i]) == 0) {
			*(enum identity_kind *)field = (enum identity_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Ids become part of URLs and JSON. */
static int read_id(const char *text, void *field)
{
	size_t len = strlen(text);

	if (len == 0 || len > 100 ||
	    strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_") < len)
		return -EINVAL;
	return replace_string(field, text);
}

static int read_https(const char *text, void *field)
{
	return strncasecmp(text, "https://", 8) == 0 && text[8] ? replace_string(field, text)
								: -EINVAL;
}

static int read_log(const char *text, void *field)
{
	if (text[0] == '/')
		return read_path(text, field);
	if (strcmp(text, "stderr") != 0 && strcmp(text, "syslog") != 0)
		return -EINVAL;
	return replace_string(field, text);
}

static int read_cache(const char *text, void *field)
{
	for (size_t i = 0; i < ARRAY_SIZE(cache_modes); i++) {
		if (strcmp(text, cache_modes[i]) == 0) {
			*(enum cache_mode *)field = (enum cache_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int read_bool(const char *text, void *field)
{
	if (strcmp(text, "yes") == 0)
		*(bool *)field = true;
	else if (strcmp(text, "no") == 0)
		*(bool *)field = false;
	else
		return -EINVAL;
	return 0;
}

static int read_threads(const char *text, void *field)
{
	char *end;
	unsigned long n;

	if (strspn(text, "0123456789") != strlen(text) || !*text || strlen(text) > 4)
		return -EINVAL;
	n = strtoul(text, &end, 10);
	if (n < 2 || n > 256)
		return -EINVAL;
	*(unsigned *)field = (unsigned)n;
	return 0;
}

static int copy_string(const void *from, void *to)
{
	const char *text = *(char *const *)from;

	return text ? replace_string(to, text) : 0;
}

static int copy_cache(const void *from, void *to)
{
	*(enum cache_mode *)to = *(const enum cache_mode *)from;
	return 0;
}

static int copy_identity(const void *from, void *to)
{
	*(enum identity_kind *)to = *(const enum identity_kind *)from;
	return 0;
}

static int copy_bool(const void *from, void *to)
{
	*(bool *)to = *(const bool *)from;
	return 0;
}

static int copy_threads(const void *from, void *to)
{
	*(unsigned *)to = *(const unsigned *)from;
	return 0;
}

#define SETTING(member) offsetof(struct settings, member)

static const struct config_key keys[] = {
	{ "protector", KEY_IN_BOTH, read_protector, copy_string, SETTING(protector),
	  "https://VAULT/keys/NAME[/VERSION] or file:/absolute/path.pem" },
	{ "identity", KEY_IN_BOTH, read_identity, copy_identity, SETTING(identity),
	  "auto, managed, client-secret, certificate, workload or none" },
	{ "tenant_id", KEY_IN_BOTH, read_id, copy_string, SETTING(tenant_id), "a tenant's id" },
	{ "client_id", KEY_IN_BOTH, read_id, copy_string, SETTING(client_id), "a client's id" },
	{ "client_secret_file", KEY_IN_BOTH, read_path, copy_string, SETTING(client_secret_file),
	  "an absolute path" },
	{ "client_certificate_file", KEY_IN_BOTH, read_path, copy_string,
	  SETTING(client_certificate_file), "an absolute path" },
	{ "federated_token_file", KEY_IN_BOTH, read_path, copy_string,
	  SETTING(federated_token_file), "an absolute path" },
	{ "authority_host", KEY_IN_BOTH, read_https, copy_string, SETTING(authority_host),
	  "https://HOST" },
	{ "ca_file", KEY_IN_BOTH, read_path, copy_string, SETTING(ca_file), "an absolute path" },
	{ "cache", KEY_IN_BOTH, read_cache, copy_cache, SETTING(cache),
	  "write-through or writeback" },
	{ "threads", KEY_IN_BOTH, read_threads, copy_threads, SETTING(threads), "2 to 256" },
	{ "lock_memory", KEY_IN_BOTH, read_bool, copy_bool, SETTING(lock_memory), "yes or no" },
	{ "unsupported_backing", KEY_IN_BOTH, read_bool, copy_bool, SETTING(unsupported_backing),
	  "yes or no" },
	{ "log", KEY_IN_BOTH, read_log, copy_string, SETTING(log),
	  "stderr, syslog or an absolute path" },
	{ "state_dir", KEY_IN_SERVER, read_path, NULL, offsetof(struct config, state_dir),
	  "an absolute path" },
	{ "runtime_dir", KEY_IN_SERVER, read_path, NULL, offsetof(struct config, runtime_dir),
	  "an absolute path" },
	{ "require_purge_protection", KEY_IN_POLICY, read_bool, NULL,
	  offsetof(struct config, policy.require_purge_protection), "yes or no" },
	{ "require_key_backup", KEY_IN_POLICY, read_bool, NULL,
	  offsetof(struct config, policy.require_key_backup), "yes or no" },
	{ "backing", KEY_IN_VOLUME, read_path, NULL, offsetof(struct volume_config, backing),
	  "an absolute path" },
	{ "mount", KEY_IN_VOLUME, read_path, NULL, offsetof(struct volume_config, mount),
	  "an absolute path" },
};

const struct config_key *key_find(const char *name, enum key_place place)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].name, name) == 0 && keys[i].place & place)
			return &keys[i];
	return NULL;
}

static void *field_of(const struct config_key *key, struct key_target target)
{
	void *base = target.config;

	if (key->place == KEY_IN_BOTH)
		base = target.volume ? &target.volume->settings : &target.config->server;
	else if (key->place == KEY_IN_VOLUME)
		base = target.volume;
	return (char *)base + key->offset;
}

int key_assign(const struct config_key *key, struct key_target target, const char *text)
{
	return key->read(text, field_of(key, target));
}

static unsigned key_bit(const struct config_key *key)
{
	return 1u << (key - keys);
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

int keys_default(struct config *c)
{
	c->server = (struct settings){ .cache = CACHE_WRITE_THROUGH,
				       .threads = 16,
				       .lock_memory = true };
	c->policy = (struct policy){ .require_purge_protection = true };
	if (replace_string(&c->state_dir, "/var/lib/tdefs") < 0)
		return -ENOMEM;
	return replace_string(&c->runtime_dir, "/run/tdefs");
}

int keys_inherit(struct volume_config *v, const struct key_set *set, const struct config *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int r;

		if (!keys[i].copy || key_set_has(set, &keys[i]))
			continue;
		r = keys[i].copy((const char *)&c->server + keys[i].offset,
				 (char *)&v->settings + keys[i].offset);
		if (r < 0)
			return r;
	}
	return 0;
}

void keys_release(struct settings *s)
{
	free(s->protector);
	free(s->tenant_id);
	free(s->client_id);
	free(s->client_secret_file);
	free(s->client_certificate_file);
	free(s->federated_token_file);
	free(s->authority_host);
	free(s->ca_file);
	free(s->log);
}
