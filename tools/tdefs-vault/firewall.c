/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's firewall: which addresses may call. Switching it is cmd_firewall.c's. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"

/* IPv4 as IPv6 (RFC 4291, 2.5.5.2), so that one comparison serves both. */
static int parse_address(const char *text, uint8_t out[static 16], unsigned *ret_bits)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct in_addr v4;

	if (inet_pton(AF_INET6, text, out) == 1) {
		*ret_bits = 128;
		return 0;
	}
	if (inet_pton(AF_INET, text, &v4) != 1)
		return -EINVAL;
	memcpy(out, mapped, sizeof(mapped));
	memcpy(out + 12, &v4, 4);
	*ret_bits = 32;
	return 0;
}

static bool parse_bits(const char *text, unsigned max, unsigned *ret_bits)
{
	char *end;
	unsigned long bits = strtoul(text, &end, 10);

	if (end == text || *end || *text == '-' || bits > max)
		return false;
	*ret_bits = (unsigned)bits;
	return true;
}

int firewall_parse(const char *text, uint8_t ret_address[static 16], unsigned *ret_bits)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned max, bits;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (parse_address(address, ret_address, &max) < 0)
		return -EINVAL;
	bits = max;
	if (slash && !parse_bits(slash + 1, max, &bits))
		return -EINVAL;
	*ret_bits = bits + (max == 32 ? 96 : 0);
	return 0;
}

static bool matches(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

int firewall_allows(sqlite3 *db, const char *address, bool *ret_allowed)
{
	CLEANUP_STMT sqlite3_stmt *stmt = NULL;
	uint8_t caller[16], allowed[16];
	unsigned bits;
	int64_t on;
	int r = db_meta_number(db, "firewall", &on);

	*ret_allowed = true;
	if (r == -ENOENT || (r == 0 && !on))
		return 0;
	if (r < 0)
		return r;
	*ret_allowed = false;
	if (firewall_parse(address, caller, &bits) < 0)
		return 0;
	r = db_prepare(db, &stmt, "SELECT address FROM firewall", "");
	if (r < 0)
		return r;
	while ((r = db_step(stmt)) == 1)
		if (firewall_parse(db_text(stmt, 0), allowed, &bits) == 0 &&
		    matches(caller, allowed, bits))
			*ret_allowed = true;
	return r;
}
