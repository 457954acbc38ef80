/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "challenge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SCOPE_SUFFIX	"/.default"
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"

/* One name="value" or name=value; what follows it, or NULL at the end or when it is malformed. */
static const char *parameter(const char *at, char *name, size_t name_room, char *value,
			     size_t value_room)
{
	size_t len;

	at += strspn(at, " ,\t");
	len = strcspn(at, "= ,\t");
	if (len == 0 || len >= name_room || at[len] != '=')
		return NULL;
	memcpy(name, at, len);
	name[len] = '\0';
	at += len + 1;
	if (*at == '"') {
		len = strcspn(++at, "\"");
		if (at[len] != '"' || len >= value_room || memchr(at, '\\', len))
			return NULL;
		memcpy(value, at, len);
		value[len] = '\0';
		return at + len + 1;
	}
	len = strcspn(at, " ,\t");
	if (len >= value_room)
		return NULL;
	memcpy(value, at, len);
	value[len] = '\0';
	return at + len;
}

/* NAME or NAME:PORT, in the characters of host names. */
static bool is_host(const char *text, size_t len)
{
	size_t name = strspn(text, HOST_CHARACTERS);

	if (name == 0 || name > len)
		return false;
	if (name == len)
		return true;
	return text[name] == ':' && len > name + 1 &&
	       strspn(text + name + 1, "0123456789") == len - name - 1;
}

bool url_host(const char *url, char *ret_host, unsigned room)
{
	size_t len;

	if (strncasecmp(url, "https://", 8) != 0)
		return false;
	url += 8;
	len = strcspn(url, "/?#");
	if (len >= room || !is_host(url, len))
		return false;
	for (size_t i = 0; i < len; i++)
		ret_host[i] = (char)(url[i] >= 'A' && url[i] <= 'Z' ? url[i] - 'A' + 'a' : url[i]);
	ret_host[len] = '\0';
	if (len > 4 && strcmp(ret_host + len - 4, ":443") == 0)
		ret_host[len - 4] = '\0';
	return true;
}

static bool take_authority(const char *url, struct challenge *c)
{
	const char *path;
	size_t len;

	if (!url_host(url, c->authority_host, sizeof(c->authority_host)))
		return false;
	path = strchr(url + 8, '/');
	path = path ? path + 1 : "";
	len = strcspn(path, "/?#");
	if (len == 0 || len >= sizeof(c->tenant) || strspn(path, HOST_CHARACTERS) < len)
		return false;
	memcpy(c->tenant, path, len);
	c->tenant[len] = '\0';
	return true;
}

static bool take_resource(const char *text, struct challenge *c)
{
	size_t len = strlen(text), suffix = strlen(SCOPE_SUFFIX);

	if (len > suffix && strcmp(text + len - suffix, SCOPE_SUFFIX) == 0)
		len -= suffix;
	while (len > 0 && text[len - 1] == '/')
		len--;
	if (len >= sizeof(c->resource))
		return false;
	memcpy(c->resource, text, len);
	c->resource[len] = '\0';
	return strncasecmp(c->resource, "https://", 8) == 0;
}

/* What follows the scheme Bearer, which may stand among others; NULL: it does not. */
static const char *find_bearer(const char *field)
{
	bool quoted = false, start = true;

	for (const char *at = field; *at; at++) {
		if (start && !quoted && strncasecmp(at, "Bearer ", 7) == 0)
			return at + 7;
		quoted ^= *at == '"';
		start = *at == ' ' || *at == ',' || *at == '\t';
	}
	return NULL;
}

int challenge_parse(const char *field, struct challenge *ret_challenge)
{
	char name[64], value[512];
	struct challenge c = { 0 };
	const char *at = find_bearer(field);
	bool good = at != NULL;

	while (good && (at = parameter(at, name, sizeof(name), value, sizeof(value)))) {
		if (strcasecmp(name, "authorization") == 0 ||
		    strcasecmp(name, "authorization_uri") == 0)
			good = take_authority(value, &c);
		else if (strcasecmp(name, "resource") == 0 || strcasecmp(name, "scope") == 0)
			good = take_resource(value, &c);
	}
	if (!good || !c.tenant[0] || !c.resource[0])
		return -EBADMSG;
	*ret_challenge = c;
	return 0;
}

bool challenge_resource_covers(const char *resource, const char *host)
{
	char domain[KID_HOST_MAX + 8];
	size_t host_len = strcspn(host, ":"), len;

	if (!url_host(resource, domain, sizeof(domain)))
		return false;
	if (strcasecmp(domain, host) == 0)
		return true;
	len = strlen(domain);
	if (host_len == len)
		return strncasecmp(domain, host, len) == 0;
	return host_len > len + 1 && host[host_len - len - 1] == '.' &&
	       strncasecmp(host + host_len - len, domain, len) == 0;
}
