/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "tdefs/secondary.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/crypto.h"

/* One search for the version of a slot's key. */
struct search {
	struct vault *vault;
	const struct key_slot *slot;
	const struct clock *clock;
	uint64_t until_ms;
	struct vault_key key; /* the last that was looked at */
};

static unsigned time_left(const struct search *s)
{
	uint64_t now = s->clock->boot_ms();

	return now < s->until_ms ? (unsigned)(s->until_ms - now) : 1;
}

/* True: `kid` is it. */
static bool is_it(struct search *s, const char *kid, struct vault_report *rep)
{
	return s->vault->ops->get(s->vault, kid, time_left(s), &s->key, rep) == VAULT_GRANTED &&
	       constant_time_equal(s->key.thumbprint, s->slot->thumbprint, THUMBPRINT_LEN);
}

static enum vault_verdict not_there(const char *configured, const char *volume,
				    struct vault_report *rep)
{
	*rep = (struct vault_report){ .verdict = VAULT_BROKEN };
	errmsg_next(&rep->error, "import the protector's key there (or restore its backup), and "
				 "give that version: tdefsctl header dump shows the thumbprint");
	IGNORE_RESULT(errmsg_fail(&rep->error, -EKEYREJECTED, EXIT_CODE_FAILED,
				  "volume %s: the secondary %s is not the key that wrapped its DEK",
				  volume, configured),
		      "the message is what is wanted");
	return rep->verdict;
}

/* Without the list nobody knows; that is no denial of the key. */
static enum vault_verdict not_listed(const char *configured, const char *volume,
				     struct vault_report *rep)
{
	char why[sizeof(rep->error.text)];

	(void)snprintf(why, sizeof(why), "%s", rep->error.text);
	rep->verdict = VAULT_BROKEN;
	errmsg_next(&rep->error, "give the version in \"secondary\", or grant list there");
	IGNORE_RESULT(errmsg_fail(&rep->error, -EKEYREJECTED, EXIT_CODE_FAILED,
				  "volume %s: the newest version of the secondary %s is another "
				  "key, and its versions cannot be listed: %.500s",
				  volume, configured, why),
		      "the message is what is wanted");
	return rep->verdict;
}

/* Another version than the newest: each is looked at while there is time. */
static enum vault_verdict find_version(struct search *s, const char *configured, const char *volume,
				       struct vault_report *rep)
{
	CLEANUP_FREE struct vault_versions *list = calloc(1, sizeof(*list));
	enum vault_verdict listed;

	if (!list)
		return not_there(configured, volume, rep);
	listed = s->vault->ops->versions(s->vault, configured, time_left(s), list, rep);
	if (listed == VAULT_UNREACHABLE)
		return listed;
	if (listed != VAULT_GRANTED)
		return not_listed(configured, volume, rep);
	for (size_t i = 0; i < list->count; i++) {
		if (is_it(s, list->versions[i].kid, rep))
			return VAULT_GRANTED;
		if (rep->verdict == VAULT_UNREACHABLE)
			return rep->verdict;
	}
	return not_there(configured, volume, rep);
}

enum vault_verdict secondary_find(struct vault *vault, const char *configured,
				  const struct key_slot *slot, const char *volume,
				  const struct clock *clock, unsigned timeout_ms,
				  char ret_kid[static KID_MAX + 1], struct vault_report *ret_report)
{
	struct search s = { .vault = vault,
			    .slot = slot,
			    .clock = clock,
			    .until_ms = clock->boot_ms() + timeout_ms };
	enum vault_verdict verdict = VAULT_GRANTED;
	struct kid kid = { 0 };

	*ret_report = (struct vault_report){ 0 };
	if (!is_it(&s, configured, ret_report)) {
		bool one =
			kid_parse(configured, &kid) < 0 || kid.version[0] || !vault->ops->versions;

		if (ret_report->verdict != VAULT_GRANTED)
			return ret_report->verdict;
		verdict = one ? not_there(configured, volume, ret_report)
			      : find_version(&s, configured, volume, ret_report);
	}
	if (verdict == VAULT_GRANTED)
		(void)snprintf(ret_kid, KID_MAX + 1, "%s", s.key.kid);
	return verdict;
}

enum vault_verdict secondary_probe(struct vault *vault, const char *kid,
				   const struct key_slot *slot, const char *volume,
				   const struct clock *clock, unsigned timeout_ms,
				   struct vault_report *ret_report)
{
	struct key_slot there = *slot;

	(void)snprintf(there.kid, sizeof(there.kid), "%s", kid);
	return keyring_probe(vault, &there, volume, clock, timeout_ms, ret_report);
}

enum vault_verdict secondary_unlock(struct vault *vault, const char *kid,
				    const struct volume_header *header, const char *volume,
				    unsigned timeout_ms, struct secret **ret_dek,
				    struct vault_report *ret_report)
{
	int r = keyring_unlock_by(vault, kid, header, volume, timeout_ms, ret_dek, ret_report);

	if (r < 0 && ret_report->verdict == VAULT_GRANTED)
		ret_report->verdict = VAULT_BROKEN;
	return ret_report->verdict;
}
