/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "key_name.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tdefs/bytes.h"

bool key_name_is_kid(const char *text)
{
	struct kid kid;

	return strncmp(text, "file:/", strlen("file:/")) == 0 || kid_parse(text, &kid) == 0;
}

int key_name_parse(const char *text, struct key_name *ret_name)
{
	struct key_name name = { 0 };

	if (key_name_is_kid(text))
		name.kid = text;
	else if (!hex_decode(text, name.thumbprint, THUMBPRINT_LEN))
		return -EINVAL;
	*ret_name = name;
	return 0;
}

/* A file has as many names as one likes to write. */
static bool is_same_file(const char *a, const char *b)
{
	const size_t prefix = strlen("file:");
	struct stat one, other;

	return strncmp(a, "file:", prefix) == 0 && strncmp(b, "file:", prefix) == 0 &&
	       stat(a + prefix, &one) == 0 && stat(b + prefix, &other) == 0 &&
	       one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static bool covers(const char *name, const char *kid)
{
	return protector_covers(name, kid) || is_same_file(name, kid);
}

bool key_name_is_of(const struct key_name *name, const char *kid, const uint8_t *thumbprint)
{
	if (name->kid)
		return covers(name->kid, kid);
	return thumbprint && memcmp(name->thumbprint, thumbprint, THUMBPRINT_LEN) == 0;
}

static bool has_no_version(const char *kid)
{
	struct kid k;

	return kid_parse(kid, &k) == 0 && !k.version[0];
}

bool key_name_rules_out(const struct key_name *name, const char *kid, bool linked)
{
	if (name->kid && covers(name->kid, kid))
		return false;
	if (linked && has_no_version(kid))
		return true;
	return name->kid && !protector_covers(kid, name->kid);
}
