/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "key_facts.h"

#include <stdio.h>
#include <string.h>

#include "tdefs/secondary.h"

static bool is_same_vault(const char *a, const char *b)
{
	char one[KID_VAULT_MAX], other[KID_VAULT_MAX];

	return vault_host_of(a, one) == 0 && vault_host_of(b, other) == 0 &&
	       strcmp(one, other) == 0;
}

static bool tells_of(const struct key_fact *fact, const struct key_asker *asker, const char *kid,
		     const struct key_slot *slot)
{
	if (fact->is_away && is_same_vault(fact->kid, kid))
		return true;
	return strcmp(fact->kid, kid) == 0 && fact->slot == slot &&
	       (fact->verdict == VAULT_GRANTED || fact->settings == asker->settings);
}

static enum vault_verdict ask(struct vault *v, struct key_fact *fact, const char *label,
			      struct vault_report *report)
{
	if (!fact->slot)
		return v->ops->get(v, fact->kid, VAULT_PROBE_TIMEOUT_MS, &fact->key, report);
	memcpy(fact->key.thumbprint, fact->slot->thumbprint, THUMBPRINT_LEN);
	return secondary_find(v, fact->kid, fact->slot, label, &clock_kernel,
			      VAULT_PROBE_TIMEOUT_MS, fact->key.kid, report);
}

/* In a call of its own: the event log is the volume's that the key is asked for. */
static void find_out(const struct key_facts *f, const struct key_asker *asker,
		     struct key_fact *fact, struct vault_report *report)
{
	struct call call = { .config = f->call->config };
	const char *label = asker->volume ? asker->volume : fact->kid;
	const struct vault_watch watch = call_watch(&call, f->verb, label, asker->volume);
	struct watched_vault *vault = NULL;

	if (watched_vault_open(&watch, fact->kid, asker->settings, &clock_kernel, &vault,
			       &report->error) == 0)
		fact->verdict = ask(watched_vault_of(vault), fact, label, report);
	watched_vault_close(vault);
	call_close_log(&call);
	fact->is_away = fact->verdict == VAULT_UNREACHABLE && !report->credential_alarm;
	fact->error = report->error;
}

const struct key_fact *key_facts_ask(struct key_facts *f, const struct key_asker *asker,
				     const char *kid, const struct key_slot *slot)
{
	CLEANUP_FREE struct vault_report *report = calloc(1, sizeof(*report));
	struct key_fact *list, *fact;

	for (size_t i = 0; i < f->count; i++)
		if (tells_of(&f->list[i], asker, kid, slot))
			return &f->list[i];
	list = reallocarray(f->list, f->count + 1, sizeof(*list));
	if (list)
		f->list = list;
	if (!list || !report)
		return NULL;
	fact = &list[f->count++];
	*fact = (struct key_fact){ .slot = slot,
				   .settings = asker->settings,
				   .verdict = VAULT_BROKEN };
	(void)snprintf(fact->kid, sizeof(fact->kid), "%s", kid);
	find_out(f, asker, fact, report);
	return fact;
}

void key_facts_release(struct key_facts *f)
{
	free(f->list);
	*f = (struct key_facts){ 0 };
}
