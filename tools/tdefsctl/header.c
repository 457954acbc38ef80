/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl header: its verbs, and of them dump: everything a header says, which is nothing secret. */
#include "header_copy.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tdefs/bytes.h"
#include "tdefs/rsa.h"
#include "tdefsctl.h"

const char *slot_state_text(enum slot_state state)
{
	return state == SLOT_ACTIVE ? "active" : "previous";
}

static const char *algorithm_text(uint32_t algorithm)
{
	return algorithm == WRAP_RSA_OAEP_256 ? "RSA-OAEP-256"
	       : algorithm == WRAP_RSA_OAEP   ? "RSA-OAEP"
					      : "unknown";
}

static json_t *hex_json(const uint8_t *bytes, size_t len)
{
	char text[HEX_LEN(VOLUME_WRAPPED_MAX)];

	return json_string(hex_encode(bytes, len, text));
}

static json_t *slot_json(const struct key_slot *s)
{
	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:I, s:o, s:o, s:o}", "state",
			 slot_state_text(s->state), "kid", text_json(s->kid), "wrap_algorithm",
			 algorithm_text(s->wrap_algorithm), "thumbprint",
			 hex_json(s->thumbprint, 32), "dek_id", hex_json(s->dek_id, 16), "created",
			 (json_int_t)s->created, "wrapped_dek",
			 hex_json(s->wrapped_dek, s->wrapped_dek_len), "wrapped_canary",
			 hex_json(s->wrapped_canary, s->wrapped_canary_len), "canary_hash",
			 hex_json(s->canary_hash, 32));
}

static json_t *slots_json(const struct volume_header *h)
{
	json_t *slots = json_array();

	for (size_t i = 0; slots && i < VOLUME_SLOT_COUNT; i++)
		if (h->slots[i].state != SLOT_EMPTY &&
		    json_array_append_new(slots, slot_json(&h->slots[i])) < 0)
			return NULL;
	return slots;
}

static json_t *header_json(const struct target *t)
{
	const struct volume_header *h = &t->header.header;
	char uuid[UUID_TEXT_LEN];

	return json_pack("{s:o, s:s, s:o, s:s, s:i, s:I, s:I, s:b, s:s, s:s, s:o}", "backing",
			 text_json(t->backing_path), "uuid", uuid_format(h->uuid, uuid),
			 "key_domain_id", hex_json(h->key_domain_id, 16), "cipher", "aes-256-xts",
			 "sector_size", (int)h->sector_size, "sequence", (json_int_t)h->sequence,
			 "created", (json_int_t)h->created, "pinned",
			 (int)volume_header_is_pinned(h), "header",
			 header_copy_state_text(t->header.state[0]), "header_bak",
			 header_copy_state_text(t->header.state[1]), "slots", slots_json(h));
}

const char *time_text(uint64_t seconds, char out[static 32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		(void)snprintf(out, 32, "?");
	return out;
}

static void print_slot(size_t i, const struct key_slot *s)
{
	CLEANUP_FREE char *kid = text_new(s->kid);
	char hex[HEX_LEN(32)], when[32];

	printf("slot %zu       %s\n"
	       "  protector  %s\n"
	       "  thumbprint %s\n",
	       i, slot_state_text(s->state), kid ? kid : "?", hex_encode(s->thumbprint, 32, hex));
	printf("  dek id     %s\n"
	       "  wrapped by %s, %zu bytes, %s\n",
	       hex_encode(s->dek_id, 16, hex), algorithm_text(s->wrap_algorithm),
	       s->wrapped_dek_len, time_text(s->created, when));
}

static void print_header(const struct target *t)
{
	const struct volume_header *h = &t->header.header;
	CLEANUP_FREE char *backing = text_new(t->backing_path);
	char uuid[UUID_TEXT_LEN], domain[HEX_LEN(16)], when[32];

	printf("backing      %s\n"
	       "uuid         %s\n"
	       "key domain   %s\n"
	       "cipher       aes-256-xts, sectors of %u bytes\n"
	       "sequence     %llu\n"
	       "formatted    %s\n"
	       "copies       header %s, header.bak %s\n",
	       backing ? backing : "?", uuid_format(h->uuid, uuid),
	       hex_encode(h->key_domain_id, 16, domain), h->sector_size,
	       (unsigned long long)h->sequence, time_text(h->created, when),
	       header_copy_state_text(t->header.state[0]),
	       header_copy_state_text(t->header.state[1]));
	if (volume_header_is_pinned(h))
		puts("pinned       to the version of its active slot");
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		if (h->slots[i].state != SLOT_EMPTY)
			print_slot(i, &h->slots[i]);
}

int verb_header(struct call *call)
{
	struct target t;
	int code = EXIT_CODE_DONE;

	if (call->nargs == 3 && strcmp(call->args[0], "restore") == 0)
		return header_restore(call, call->args[1], call->args[2]);
	if (call->nargs == 3 && strcmp(call->args[0], "backup") == 0)
		return header_backup(call, call->args[1], call->args[2]);
	if (call->nargs != 2 || strcmp(call->args[0], "dump") != 0)
		return usage_error(call, "it is header dump NAME, header backup NAME FILE or "
					 "header restore NAME FILE");
	if (target_open(call, call->args[1], &t) < 0)
		return call_failed(call);
	if (call->json)
		code = print_json(header_json(&t), code);
	else
		print_header(&t);
	target_close(&t);
	return code;
}
