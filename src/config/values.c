/* SPDX-License-Identifier: Apache-2.0 */
/* How each kind of value is read and copied. Which key has which kind stands in keys.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "keys.h"
#include "tdefs/kid.h"

int value_replace_string(char **field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

int value_copy(const struct value_kind *kind, const void *from, void *to)
{
	const char *text;

	if (kind->size) {
		memcpy(to, from, kind->size);
		return 0;
	}
	text = *(char *const *)from;
	return text ? value_replace_string(to, text) : 0;
}

bool value_is_same(const struct value_kind *kind, const void *a, const void *b)
{
	const char *one, *other;

	if (kind->size)
		return memcmp(a, b, kind->size) == 0;
	one = *(char *const *)a;
	other = *(char *const *)b;
	return one == other || (one && other && strcmp(one, other) == 0);
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

static int read_path(const char *text, const struct config_key *key, void *field)
{
	char **path = field;
	int r;

	(void)key;
	if (text[0] != '/' || strlen(text) >= 4096)
		return -EINVAL;
	r = value_replace_string(path, text);
	if (r == 0)
		tidy_path(*path);
	return r;
}

/* Words, the first of which is a path. */
static int read_command(const char *text, const struct config_key *key, void *field)
{
	(void)key;
	return text[0] == '/' && strlen(text) < 4096 ? value_replace_string(field, text) : -EINVAL;
}

static int read_protector(const char *text, const struct config_key *key, void *field)
{
	struct kid kid;
	bool is_file = strncmp(text, "file:/", 6) == 0 && strlen(text) <= KID_MAX;

	(void)key;
	return is_file || kid_parse(text, &kid) == 0 ? value_replace_string(field, text) : -EINVAL;
}

static int read_kid(const char *text, const struct config_key *key, void *field)
{
	struct kid kid;

	(void)key;
	return kid_parse(text, &kid) == 0 ? value_replace_string(field, text) : -EINVAL;
}

/* Ids become part of URLs and JSON. */
static int read_id(const char *text, const struct config_key *key, void *field)
{
	size_t len = strlen(text);

	(void)key;
	if (len == 0 || len > 100 ||
	    strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_") < len)
		return -EINVAL;
	return value_replace_string(field, text);
}

static int read_https(const char *text, const struct config_key *key, void *field)
{
	(void)key;
	return strncasecmp(text, "https://", 8) == 0 && text[8] ? value_replace_string(field, text)
								: -EINVAL;
}

static int read_log(const char *text, const struct config_key *key, void *field)
{
	if (text[0] == '/')
		return read_path(text, key, field);
	if (strcmp(text, "stderr") != 0 && strcmp(text, "syslog") != 0)
		return -EINVAL;
	return value_replace_string(field, text);
}

/* Digits at the start of `text`, at most nine of them. */
static int read_digits(const char *text, uint64_t *ret_n, const char **ret_rest)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 9)
		return -EINVAL;
	*ret_n = strtoull(text, NULL, 10);
	*ret_rest = text + digits;
	return 0;
}

/* Of a port; lower ones need a privilege that the daemon drops. */
#define PORT_MIN	 1024
#define PORT_MAX	 65535
#define LOCAL_SOCKET_MAX 107 /* bytes in sun_path */

/* A port as it is written by whoever prints a number: equal places are equal texts. */
static bool is_port(const char *text)
{
	uint64_t port;
	const char *rest;

	return text[0] != '0' && read_digits(text, &port, &rest) == 0 && !*rest &&
	       port >= PORT_MIN && port <= PORT_MAX;
}

/* Only what this machine reaches. */
static int read_listen(const char *text, const struct config_key *key, void *field)
{
	static const char *const hosts[] = { "127.0.0.1:", "[::1]:" };

	if (strcmp(text, "none") == 0)
		return value_replace_string(field, "");
	if (text[0] == '/')
		return strlen(text) <= LOCAL_SOCKET_MAX ? read_path(text, key, field) : -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
		if (strncmp(text, hosts[i], strlen(hosts[i])) == 0 &&
		    is_port(text + strlen(hosts[i])))
			return value_replace_string(field, text);
	return -EINVAL;
}

static int read_choice(const char *text, const struct config_key *key, void *field)
{
	for (unsigned i = 0; key->choices[i]; i++) {
		if (strcmp(text, key->choices[i]) == 0) {
			memcpy(field, &i, sizeof(i));
			return 0;
		}
	}
	return -EINVAL;
}

static int read_bool(const char *text, const struct config_key *key, void *field)
{
	(void)key;
	if (strcmp(text, "yes") == 0)
		*(bool *)field = true;
	else if (strcmp(text, "no") == 0)
		*(bool *)field = false;
	else
		return -EINVAL;
	return 0;
}

static int read_count(const char *text, const struct config_key *key, void *field)
{
	const char *rest;
	uint64_t n;

	if (read_digits(text, &n, &rest) < 0 || *rest || n < key->min || n > key->max)
		return -EINVAL;
	*(unsigned *)field = (unsigned)n;
	return 0;
}

/* Milliseconds in a unit; 0: there is no such unit. */
static uint64_t unit_ms(const char *unit)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(unit, units[i].unit) == 0)
			return units[i].ms;
	return 0;
}

int config_duration(const char *text, uint64_t *ret_ms)
{
	const char *unit;
	uint64_t n;

	if (read_digits(text, &n, &unit) < 0 || (*unit && !unit_ms(unit)) || (n > 0 && !*unit))
		return -EINVAL;
	*ret_ms = n * unit_ms(unit);
	return 0;
}

static int read_duration(const char *text, const struct config_key *key, void *field)
{
	uint64_t ms;
	int r = config_duration(text, &ms);

	if (r < 0 || ms < key->min || ms > key->max)
		return -EINVAL;
	*(uint64_t *)field = ms;
	return 0;
}

/* How often; 0: never. */
static int read_period(const char *text, const struct config_key *key, void *field)
{
	uint64_t ms;

	if (config_duration(text, &ms) < 0 || ms > 0)
		return read_duration(text, key, field);
	*(uint64_t *)field = 0;
	return 0;
}

/* Bytes, or with K, M or G at the end. */
static int read_size(const char *text, const struct config_key *key, void *field)
{
	static const char units[] = "KMG";
	const char *rest, *unit;
	uint64_t n;

	if (read_digits(text, &n, &rest) < 0)
		return -EINVAL;
	unit = *rest ? strchr(units, *rest) : NULL;
	if (*rest && (!unit || rest[1]))
		return -EINVAL;
	n <<= unit ? 10 * (unit - units + 1) : 0;
	if (n < key->min || n > key->max)
		return -EINVAL;
	*(uint64_t *)field = n;
	return 0;
}

const struct value_kind value_path = { .read = read_path },
			value_command = { .read = read_command },
			value_protector = { .read = read_protector },
			value_kid = { .read = read_kid }, value_id = { .read = read_id },
			value_https = { .read = read_https }, value_log = { .read = read_log },
			value_listen = { .read = read_listen },
			value_bool = { .read = read_bool, .size = sizeof(bool) },
			value_count = { .read = read_count, .size = sizeof(unsigned) },
			value_duration = { .read = read_duration, .size = sizeof(uint64_t) },
			value_period = { .read = read_period, .size = sizeof(uint64_t) },
			value_size = { .read = read_size, .size = sizeof(uint64_t) },
			value_choice = { .read = read_choice, .size = sizeof(unsigned) };
