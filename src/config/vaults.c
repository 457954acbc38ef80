/* SPDX-License-Identifier: Apache-2.0 */
/* Which vaults there are, which of them may be contacted, and as whom: [vault HOST]. */
#include "vaults.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATORS " \t,"

int vault_host_of(const char *kid, char ret_host[static KID_VAULT_MAX])
{
	char url[KID_VAULT_MAX];
	struct kid k;
	int r = kid_parse(kid, &k);

	if (r < 0)
		return r;
	(void)snprintf(ret_host, KID_VAULT_MAX, "%s", kid_vault(&k, url) + strlen("https://"));
	return 0;
}

/* HOST[:PORT] as it is compared. */
static int normalise(const char *text, size_t len, char ret_host[static KID_VAULT_MAX])
{
	char kid[KID_MAX + 1];

	if (len > KID_VAULT_MAX)
		return -EINVAL;
	(void)snprintf(kid, sizeof(kid), "https://%.*s/keys/k", (int)len, text);
	return vault_host_of(kid, ret_host);
}

/* Hosts as one text, a space between two of them. */
static int read_hosts(const char *text, const struct config_key *key, void *field)
{
	CLEANUP_FREE char *hosts = calloc(1, strlen(text) + 2);
	char host[KID_VAULT_MAX];
	size_t at = 0;

	(void)key;
	if (!hosts)
		return -ENOMEM;
	for (text += strspn(text, SEPARATORS); *text; text += strspn(text, SEPARATORS)) {
		size_t len = strcspn(text, SEPARATORS);
		int n;

		if (normalise(text, len, host) < 0)
			return -EINVAL;
		n = snprintf(hosts + at, len + 2, "%s%s", at ? " " : "", host);
		at += (size_t)n;
		text += len;
	}
	return at ? value_replace_string(field, hosts) : -EINVAL;
}

static bool next_word(const char **at, char *out, size_t len)
{
	size_t n;

	*at += strspn(*at, SEPARATORS);
	n = strcspn(*at, SEPARATORS);
	(void)snprintf(out, len, "%.*s", (int)n, *at);
	*at += n;
	return n > 0;
}

bool settings_next_linked(const char **at, char ret_kid[static KID_MAX + 1])
{
	return next_word(at, ret_kid, KID_MAX + 1);
}

static int add_words(char **field, const char *text)
{
	CLEANUP_FREE char *all = NULL;

	if (!*field)
		return value_replace_string(field, text);
	if (asprintf(&all, "%s %s", *field, text) < 0) {
		all = NULL;
		return -ENOMEM;
	}
	return value_replace_string(field, all);
}

/* Kids as they are written; a line has room for one or two, so that there may be several lines. */
static int read_kids(const char *text, const struct config_key *key, void *field)
{
	char word[KID_MAX + 2];
	const char *at = text;
	bool any = false;

	(void)key;
	for (; next_word(&at, word, sizeof(word)); any = true) {
		CLEANUP_FREE char *one = NULL;
		int r = strlen(word) > KID_MAX ? -EINVAL : value_protector.read(word, key, &one);

		if (r < 0)
			return r;
	}
	return any ? add_words(field, text) : -EINVAL;
}

const struct value_kind value_kids = { .read = read_kids, .adds = true };

const struct value_kind value_hosts = { .read = read_hosts };

static bool lists(const char *hosts, const char *host)
{
	size_t len = strlen(host);

	for (const char *at = hosts; *at; at += strspn(at, " ")) {
		if (strcspn(at, " ") == len && memcmp(at, host, len) == 0)
			return true;
		at += strcspn(at, " ");
	}
	return false;
}

static bool is_on(const char *kid, const char *host)
{
	char its[KID_VAULT_MAX];

	return kid && vault_host_of(kid, its) == 0 && strcmp(its, host) == 0;
}

bool settings_allow_host(const struct settings *s, const char *host)
{
	const char *at = s->linked;
	char kid[KID_MAX + 1];

	if (s->allowed_vaults)
		return lists(s->allowed_vaults, host);
	while (at && settings_next_linked(&at, kid))
		if (is_on(kid, host))
			return true;
	return is_on(s->protector, host) || is_on(s->secondary, host);
}

const struct settings *settings_for_vault(const struct settings *s, const char *kid)
{
	for (size_t i = 0; i < s->nvaults; i++)
		if (is_on(kid, s->vaults[i].host))
			return &s->vaults[i].settings;
	return s;
}

bool vault_section_is_valid(const char *host)
{
	char ignored[KID_VAULT_MAX];

	return normalise(host, strlen(host), ignored) == 0;
}

int vault_section(struct config *c, struct key_set **sets, const char *text,
		  struct settings **ret_settings, struct key_set **ret_set)
{
	char host[KID_VAULT_MAX];
	struct vault_settings *vaults;
	struct key_set *more;
	size_t i;

	if (normalise(text, strlen(text), host) < 0)
		return -EINVAL;
	for (i = 0; i < c->nvaults; i++)
		if (strcmp(c->vaults[i].host, host) == 0)
			break;
	if (i == c->nvaults) {
		vaults = reallocarray(c->vaults, i + 1, sizeof(*vaults));
		if (!vaults)
			return -ENOMEM;
		c->vaults = vaults;
		more = reallocarray(*sets, i + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		*sets = more;
		vaults[i] = (struct vault_settings){ .host = strdup(host) };
		more[i] = (struct key_set){ 0 };
		if (!vaults[i].host)
			return -ENOMEM;
		c->nvaults++;
	}
	*ret_settings = &c->vaults[i].settings;
	*ret_set = &(*sets)[i];
	return 0;
}

int vaults_give(const struct config *c, const struct key_set *sets, struct settings *s)
{
	static const struct key_set nothing;
	int r = 0;

	if (c->nvaults == 0)
		return 0;
	s->vaults = calloc(c->nvaults, sizeof(*s->vaults));
	if (!s->vaults)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < c->nvaults; i++) {
		struct vault_settings *v = &s->vaults[i];

		s->nvaults++;
		v->host = strdup(c->vaults[i].host);
		r = v->host ? 0 : -ENOMEM;
		if (r == 0) /* what the section says, then what it leaves out */
			r = keys_inherit_identity(&v->settings, &nothing, &c->vaults[i].settings);
		if (r == 0)
			r = keys_inherit_identity(&v->settings, &sets[i], s);
	}
	return r;
}

static int refuse(struct errmsg *reterr, const struct config *c, const char *volume,
		  const char *what, const char *host)
{
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "%s: volume %s: %s %s", c->path,
			   volume, what, host);
}

static int check_allowed(const struct config *c, const struct volume_config *v, const char *kid,
			 struct errmsg *reterr)
{
	char host[KID_VAULT_MAX];

	if (!kid || vault_host_of(kid, host) < 0 || settings_allow_host(&v->settings, host))
		return 0;
	errmsg_next(reterr, "add %s to \"allowed_vaults\"", host);
	return refuse(reterr, c, v->name, "its allowed_vaults lack the host of", kid);
}

int check_vaults_of(const struct config *c, const struct volume_config *v, struct errmsg *reterr)
{
	const struct settings *s = &v->settings;
	char host[KID_VAULT_MAX], kid[KID_MAX + 1];
	const char *at = s->linked;
	int r = check_allowed(c, v, s->protector, reterr);

	while (r == 0 && at && settings_next_linked(&at, kid))
		r = check_allowed(c, v, kid, reterr);
	if (r == 0)
		r = check_allowed(c, v, s->secondary, reterr);
	if (r < 0 || !s->secondary || vault_host_of(s->secondary, host) < 0 ||
	    !is_on(s->protector, host))
		return r;
	errmsg_next(reterr, "put the same key into another vault, and name that one; or remove "
			    "\"secondary\"");
	return refuse(reterr, c, v->name, "protector and secondary are in the same vault,", host);
}

int check_vaults_used(const struct config *c, struct errmsg *reterr)
{
	for (size_t i = 0; i < c->nvaults; i++) {
		const char *host = c->vaults[i].host;
		bool used = settings_allow_host(&c->server, host);

		for (size_t j = 0; !used && j < c->nvolumes; j++)
			used = settings_allow_host(&c->volumes[j].settings, host);
		if (used)
			continue;
		errmsg_next(reterr,
			    "correct its host (HOST, or HOST:PORT), name it in a "
			    "\"protector\", \"secondary\" or \"allowed_vaults\", or remove it");
		return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG,
				   "%s: [vault %s]: no volume uses this vault", c->path, host);
	}
	return 0;
}
