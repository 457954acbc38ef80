/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event logs of any bytes: verified without a crash, whole only if each line
 * follows the one before, and shown without what talks to a terminal. After a
 * first byte '#' the lines get the hash that they lack: no fuzzer finds one.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tdefs/audit_read.h"

static void told(void *arg, enum audit_finding finding, const char *text)
{
	uint64_t *damaged = arg;

	assert(text[0]);
	*damaged += audit_finding_is_damage(finding);
}

static void check_text(const char *line, size_t len)
{
	char *text = audit_text(line, len);

	for (const char *c = text ? text : ""; *c; c++)
		assert((unsigned char)*c >= 0x20 && *c != 0x7f);
	free(text);
}

static void check_line(struct audit_check *c, const char *line, size_t len, bool ended, bool hashed)
{
	struct audit_raw raw = { .file = "v.jsonl", .number = c->nlines + 1 };
	char *copy = malloc(len + 128), hex[HEX_LEN(SHA256_LEN)];
	uint8_t hash[SHA256_LEN];

	assert(copy);
	memcpy(copy, line, len);
	if (hashed && sha256(line, len, hash) == 0)
		len += (size_t)sprintf(copy + len, ",\"hash\":\"%s\"}",
				       hex_encode(hash, SHA256_LEN, hex));
	raw.text = copy;
	raw.len = len;
	raw.whole = ended && len < AUDIT_LINE_MAX;
	audit_check_line(c, &raw);
	check_text(copy, len);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t damaged = 0;
	struct audit_check c = { .volume = "v", .told = told, .arg = &damaged };
	bool hashed = size > 0 && data[0] == '#';
	const char *at = (const char *)data + hashed, *end = (const char *)data + size;

	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));

		check_line(&c, at, (size_t)((eol ? eol : end) - at), eol != NULL, hashed);
		at = eol ? eol + 1 : end;
	}
	audit_check_end(&c);
	assert(c.ndamaged == damaged);
	if (damaged == 0 && c.nlines > 0)
		assert(c.last_seq - c.first_seq + 1 == c.nlines);
	return 0;
}
