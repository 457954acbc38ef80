/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys would open a header, for whoever has none of them. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tdefs/bytes.h"
#include "tdefs/keyring.h"

static const char *day(uint64_t seconds, char out[static 32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		(void)snprintf(out, 32, "?");
	return out;
}

/* When the next newer slot was made; 0: there is none. */
static uint64_t until(const struct volume_header *h, const struct key_slot *slot)
{
	uint64_t next = volume_header_active_slot(h)->created;

	if (slot->state == SLOT_ACTIVE)
		return 0;
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++) {
		const struct key_slot *s = &h->slots[i];

		if (s->state == SLOT_PREVIOUS && s->created > slot->created && s->created < next)
			next = s->created;
	}
	return next;
}

static void add(const struct volume_header *h, const struct key_slot *slot, struct errmsg *e)
{
	const size_t at = strlen(e->text);
	const uint64_t end = until(h, slot);
	char thumbprint[HEX_LEN(THUMBPRINT_LEN)], from[32], to[32] = "now";

	if (end)
		day(end, to);
	(void)snprintf(e->text + at, sizeof(e->text) - at, "%s: thumbprint %s, in use %s to %s, %s",
		       slot->state == SLOT_ACTIVE ? "active" : "; previous",
		       hex_encode(slot->thumbprint, THUMBPRINT_LEN, thumbprint),
		       day(slot->created, from), to, slot->kid);
}

void header_add_keys(const struct volume_header *h, struct errmsg *e)
{
	static const char intro[] = "; the keys of its header: ";
	const size_t at = strlen(e->text);

	(void)snprintf(e->text + at, sizeof(e->text) - at, "%s", intro);
	for (int state = SLOT_ACTIVE; state <= SLOT_PREVIOUS; state++)
		for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
			if ((int)h->slots[i].state == state)
				add(h, &h->slots[i], e);
}
