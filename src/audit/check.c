/* SPDX-License-Identifier: Apache-2.0 */
/* The chain, line by line. Pure: which files the lines come from is verify.c's. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "audit_internal.h"
#include "tdefs/audit_read.h"

/* What a line says of itself. */
struct claim {
	struct audit_link link;
	uint8_t prev[SHA256_LEN];
	bool is_anchor, is_torn, is_head_lost, is_ours;
};

static void tell(struct audit_check *c, enum audit_finding finding, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void tell(struct audit_check *c, enum audit_finding finding, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->ndamaged += audit_finding_is_damage(finding);
	c->told(c->arg, finding, text);
}

static const char *string_of(const json_t *line, const char *name)
{
	const char *text = json_string_value(json_object_get(line, name));

	return text ? text : "";
}

static bool read_members(const json_t *line, const char *volume, struct claim *claim)
{
	const char *prev = string_of(line, "prev"), *event = string_of(line, "event");

	if (strlen(prev) != 2 * (size_t)SHA256_LEN || !hex_decode(prev, claim->prev, SHA256_LEN) ||
	    json_integer_value(json_object_get(line, "seq")) != (json_int_t)claim->link.seq)
		return false;
	claim->is_anchor = strcmp(event, "anchor") == 0;
	claim->is_torn = strcmp(event, "log_torn") == 0;
	claim->is_head_lost = strcmp(event, "log_head_lost") == 0;
	claim->is_ours = strcmp(string_of(line, "volume"), volume) == 0;
	return true;
}

static bool read_line(const struct audit_raw *raw, const char *volume, struct claim *ret_claim)
{
	json_t *line;
	bool ok;

	if (!raw->whole || audit_line_link(raw->text, raw->len, &ret_claim->link) < 0)
		return false;
	line = json_loadb(raw->text, raw->len, JSON_REJECT_DUPLICATES, NULL);
	ok = json_is_object(line) && read_members(line, volume, ret_claim);
	json_decref(line);
	return ok;
}

static void take_bad_line(struct audit_check *c, const struct audit_raw *raw)
{
	if (c->nbad == 0)
		(void)snprintf(c->bad_where, sizeof(c->bad_where), "%s:%" PRIu64, raw->file,
			       raw->number);
	c->nbad++;
	c->nbad_whole += raw->whole;
}

/* Lines that are none, now that it is known what follows them. */
static void settle_bad_lines(struct audit_check *c, bool torn)
{
	if (c->nbad == 0)
		return;
	if (torn) {
		c->ntorn++;
		tell(c, AUDIT_TORN, "%s: torn by a crash while it was written", c->bad_where);
	} else
		tell(c, AUDIT_EDITED, "%s: %" PRIu64 " line%s not as written", c->bad_where,
		     c->nbad, c->nbad == 1 ? " is" : "s are");
	c->nbad = c->nbad_whole = 0;
}

/* `claim` does not follow the line before it. */
static void tell_break(struct audit_check *c, const struct audit_raw *raw,
		       const struct claim *claim, uint64_t nbad)
{
	uint64_t next = c->last_seq + 1, seq = claim->link.seq;

	if (seq < next)
		tell(c, AUDIT_GAP, "%s:%" PRIu64 ": event %" PRIu64 " stands after event %" PRIu64,
		     raw->file, raw->number, seq, c->last_seq);
	else if (seq - next > nbad)
		tell(c, AUDIT_GAP,
		     "%s:%" PRIu64 ": events are missing: %" PRIu64 " is followed by %" PRIu64,
		     raw->file, raw->number, c->last_seq, seq);
	else if (seq == next)
		tell(c, AUDIT_EDITED,
		     "%s:%" PRIu64 ": event %" PRIu64 " does not follow the one "
		     "before it: one of them was exchanged",
		     raw->file, raw->number, seq);
}

static void check_expected(struct audit_check *c, const struct claim *claim)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->expected); i++)
		if (c->expected[i].seq == claim->link.seq)
			c->expected[i].found =
				memcmp(c->expected[i].hash, claim->link.hash, SHA256_LEN) == 0
					? AUDIT_SAME
					: AUDIT_OTHER;
}

void audit_check_line(struct audit_check *c, const struct audit_raw *raw)
{
	struct claim claim;
	uint64_t nbad = c->nbad;
	bool first = c->nlines == 0, follows;

	if (!read_line(raw, c->volume, &claim)) {
		take_bad_line(c, raw);
		return;
	}
	/* Before the first line of all are zeros; what preceded the oldest file is not known. */
	follows = first ? claim.link.seq > 1 || bytes_all_zero(claim.prev, SHA256_LEN)
			: claim.link.seq == c->last_seq + 1 &&
				  memcmp(claim.prev, c->last_hash, SHA256_LEN) == 0;
	settle_bad_lines(c, follows && claim.is_torn);
	if (!follows)
		tell_break(c, raw, &claim, nbad);
	if (!claim.is_ours)
		tell(c, AUDIT_EDITED, "%s:%" PRIu64 ": an event of another volume", raw->file,
		     raw->number);
	if (claim.is_head_lost)
		tell(c, AUDIT_HEAD,
		     "%s:%" PRIu64 ": the head of the log was lost before event %" PRIu64
		     ": whether events are missing there is not known",
		     raw->file, raw->number, claim.link.seq);
	if (first)
		c->first_seq = claim.link.seq;
	if (claim.is_anchor)
		c->last_anchor = claim.link.seq;
	check_expected(c, &claim);
	c->nlines++;
	c->last_seq = claim.link.seq;
	memcpy(c->last_hash, claim.link.hash, SHA256_LEN);
}

void audit_check_end(struct audit_check *c)
{
	settle_bad_lines(c, c->nbad_whole == 0);
}
