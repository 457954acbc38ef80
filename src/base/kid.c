/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/kid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"

/* Copy what is in `set`, at least 1 and at most `max` characters; what follows, or NULL. */
static const char *take(const char *text, const char *set, size_t max, char *out)
{
	size_t len = strspn(text, set);

	if (len == 0 || len > max)
		return NULL;
	memcpy(out, text, len);
	out[len] = '\0';
	return text + len;
}

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static const char *take_port(const char *at, unsigned *ret_port)
{
	char digits[6];

	*ret_port = HTTPS_PORT;
	if (*at != ':')
		return at;
	at = take(at + 1, DIGITS, 5, digits);
	if (!at)
		return NULL;
	*ret_port = (unsigned)strtoul(digits, NULL, 10);
	return *ret_port > 0 && *ret_port < 65536 ? at : NULL;
}

static const char *take_version(const char *at, char *version)
{
	if (*at != '/' || at[1] == '\0')
		return at;
	at = take(at + 1, DIGITS "abcdefABCDEF", KID_VERSION_LEN, version);
	return at && strlen(version) == KID_VERSION_LEN ? at : NULL;
}

int kid_parse(const char *text, struct kid *ret_kid)
{
	struct kid k = { 0 };
	const char *at = text;

	if (strlen(text) > KID_MAX || strncasecmp(at, "https://", 8) != 0)
		return -EINVAL;
	at = take(at + 8, LETTERS DIGITS ".-", KID_HOST_MAX, k.host);
	if (!at || at[-1] == '.') /* "vault.example." would be another vault than the same */
		return -EINVAL;
	at = take_port(at, &k.port);
	if (!at || strncmp(at, "/keys/", 6) != 0)
		return -EINVAL;
	at = take(at + 6, LETTERS DIGITS "-", KID_NAME_MAX, k.name);
	at = at ? take_version(at, k.version) : NULL;
	if (!at || strcmp(at, *at == '/' ? "/" : "") != 0)
		return -EINVAL;
	lower(k.host);
	lower(k.version);
	*ret_kid = k;
	return 0;
}

bool kid_equal(const struct kid *a, const struct kid *b)
{
	return strcmp(a->host, b->host) == 0 && a->port == b->port &&
	       strcasecmp(a->name, b->name) == 0 && strcmp(a->version, b->version) == 0;
}

char *kid_vault(const struct kid *k, char out[static KID_VAULT_MAX])
{
	if (k->port == HTTPS_PORT)
		(void)snprintf(out, KID_VAULT_MAX, "https://%s", k->host);
	else
		(void)snprintf(out, KID_VAULT_MAX, "https://%s:%u", k->host, k->port);
	return out;
}
