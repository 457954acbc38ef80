/* SPDX-License-Identifier: Apache-2.0 */
/* One line of the event log: printing it, and finding its place in the chain. Pure. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "audit_internal.h"

#define HASH_MEMBER	",\"hash\":\""
#define HASH_MEMBER_LEN (sizeof(HASH_MEMBER) - 1)
#define TAIL_LEN	(HASH_MEMBER_LEN + HEX_LEN(SHA256_LEN) - 1 + 2) /* and "} */

static void print_time(uint64_t ms, char out[static 32])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, 32 - n, ".%03uZ", (unsigned)(ms % 1000));
}

int audit_line_print(char out[static AUDIT_LINE_MAX], const char *volume,
		     const struct audit_item *item, struct audit_link *link)
{
	char when[32], hex[HEX_LEN(SHA256_LEN)], seq[32] = "", prev[96] = "";
	struct audit_link next = { 0 };
	size_t n;
	int r;

	print_time(item->time_ms, when);
	if (link) {
		next.seq = link->seq + 1;
		(void)snprintf(seq, sizeof(seq), ",\"seq\":%" PRIu64, next.seq);
		(void)snprintf(prev, sizeof(prev), ",\"prev\":\"%s\"",
			       hex_encode(link->hash, SHA256_LEN, hex));
	}
	n = (size_t)snprintf(out, AUDIT_LINE_MAX,
			     "{\"v\":1%s,\"time\":\"%s\",\"volume\":\"%s\",\"event\":\"%s\"%s%s",
			     seq, when, volume, item->event, item->members, prev);
	if (n + TAIL_LEN >= AUDIT_LINE_MAX)
		return -EIO;
	if (!link) {
		memcpy(out + n, "}", 2);
		return (int)n + 1;
	}
	r = sha256(out, n, next.hash);
	if (r < 0)
		return r;
	*link = next;
	return (int)n + snprintf(out + n, AUDIT_LINE_MAX - n, HASH_MEMBER "%s\"}",
				 hex_encode(next.hash, SHA256_LEN, hex));
}

int audit_line_link(const char *line, size_t len, struct audit_link *ret_link)
{
	uint8_t hash[SHA256_LEN];
	struct audit_link link;
	char hex[HEX_LEN(SHA256_LEN)] = "", digits[24] = "";
	size_t body, ndigits;

	if (len <= TAIL_LEN || len >= AUDIT_LINE_MAX || memcmp(line, "{\"v\":1,\"seq\":", 13) != 0)
		return -EBADMSG;
	body = len - TAIL_LEN;
	memcpy(hex, line + body + HASH_MEMBER_LEN, sizeof(hex) - 1);
	if (memcmp(line + body, HASH_MEMBER, HASH_MEMBER_LEN) != 0 ||
	    memcmp(line + len - 2, "\"}", 2) != 0 || !hex_decode(hex, link.hash, SHA256_LEN))
		return -EBADMSG;
	if (sha256(line, body, hash) < 0 || memcmp(hash, link.hash, SHA256_LEN) != 0)
		return -EBADMSG;
	memcpy(digits, line + 13, body - 13 < 20 ? body - 13 : 20);
	ndigits = strspn(digits, "0123456789");
	if (ndigits == 0 || ndigits > 18 || line[13 + ndigits] != ',')
		return -EBADMSG;
	link.seq = strtoull(digits, NULL, 10);
	if (link.seq == 0)
		return -EBADMSG;
	*ret_link = link;
	return 0;
}

static char *members_of(json_t *details)
{
	static const char *const taken[] = {
		"v", "seq", "time", "volume", "event", "prev", "hash"
	};
	char *text;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		IGNORE_RESULT(json_object_del(details, taken[i]), "most have none of them");
	text = json_dumps(details, JSON_COMPACT | JSON_ENSURE_ASCII);
	if (!text)
		return NULL;
	len = strlen(text);
	if (len > AUDIT_DETAILS_MAX) {
		free(text);
		return strdup(",\"details_left_out\":\"too long\"");
	}
	/* "{...}" becomes ",..." */
	if (len <= 2) {
		text[0] = '\0';
		return text;
	}
	text[0] = ',';
	text[len - 1] = '\0';
	return text;
}

char *audit_members(json_t *details)
{
	char *members = json_is_object(details) ? members_of(details) : strdup("");

	json_decref(details);
	return members;
}
