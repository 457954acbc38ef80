/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between two configs for one volume, and what of it a mounted one can take over. */
#include <stdio.h>
#include <string.h>

#include "keys.h"

/*
 * The daemon takes these over as it runs. Nothing here decides which key opens
 * the volume now, who asks for it, or where its bytes lie.
 */
static const char *const live[] = {
	"probe_interval",
	"probe_timeout",
	"denied_confirmations",
	"denied_confirm_interval",
	"drain_timeout",
	"on_denied",
	"denied_read_only_for",
	"outage_read_only_after",
	"outage_deny_after",
	"outage_extend_max",
	"heal_window",
	"rotation_poll",
	"auto_rotate",
	"expiry_warning",
	"inaccessible_delete",
	"on_event",
	"webhook_file",
	"webhook_ca_file",
	/* No daemon reads these once it has mounted. */
	"mount_timeout",
	"linked",
	/* The next rotation reads it; until then the header has the word. */
	"protector",
	"customer_managed_key",
	"minimum_rsa_bits",
	"require_purge_protection",
	"require_key_backup",
};

static bool is_live(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(live); i++)
		if (strcmp(live[i], name) == 0)
			return true;
	return false;
}

static struct key_target target_of(const struct config *c, const struct volume_config *vc)
{
	return (struct key_target){ .config = (struct config *)(uintptr_t)c,
				    .volume = (struct volume_config *)(uintptr_t)vc,
				    .settings = (struct settings *)(uintptr_t)&vc->settings };
}

/* Who we are to each [vault HOST]. */
static bool vaults_are_same(const struct settings *a, const struct settings *b)
{
	if (a->nvaults != b->nvaults)
		return false;
	for (size_t i = 0; i < a->nvaults; i++) {
		const struct key_target one = { .settings = &a->vaults[i].settings },
					other = { .settings = &b->vaults[i].settings };

		if (strcmp(a->vaults[i].host, b->vaults[i].host) != 0)
			return false;
		for (size_t n = 0; n < keys_count(); n++)
			if (key_is_of_vault(n) && !key_is_same(n, one, other))
				return false;
	}
	return true;
}

static void add_name(char *list, size_t len, const char *name)
{
	size_t at = strlen(list);

	(void)snprintf(list + at, len - at, "%s%s", at ? ", " : "", name);
}

void config_compare(const struct config *a, const struct volume_config *va, const struct config *b,
		    const struct volume_config *vb, struct config_changes *ret_changes)
{
	const struct key_target one = target_of(a, va), other = target_of(b, vb);

	*ret_changes = (struct config_changes){ 0 };
	for (size_t i = 0; i < keys_count(); i++) {
		const char *name = key_name(i);

		if (key_is_same(i, one, other))
			continue;
		if (is_live(name))
			add_name(ret_changes->live, sizeof(ret_changes->live), name);
		else
			add_name(ret_changes->fixed, sizeof(ret_changes->fixed), name);
	}
	if (!vaults_are_same(&va->settings, &vb->settings))
		add_name(ret_changes->fixed, sizeof(ret_changes->fixed), "a [vault HOST] section");
}
