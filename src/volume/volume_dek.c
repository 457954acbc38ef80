/* SPDX-License-Identifier: Apache-2.0 */
/* The DEK of a header that no daemon serves. */
#include <errno.h>

#include "tdefs/protector.h"
#include "tdefs/volume.h"

const struct settings *volume_settings_opening(const struct config *config, const char *kid)
{
	const struct settings *s = &config->server;

	if (s->protector && protector_covers(protector_that_opens(s, kid), kid))
		return s;
	for (size_t i = 0; i < config->nvolumes; i++) {
		s = &config->volumes[i].settings;
		if (protector_covers(protector_that_opens(s, kid), kid))
			return s;
	}
	return NULL;
}

int volume_dek_by(const struct settings *settings, const struct vault_watch *watch,
		  const struct volume_header *header, struct secret **ret_dek,
		  struct errmsg *reterr)
{
	const char *kid = volume_header_active_slot(header)->kid;
	CLEANUP_WATCHED_VAULT struct watched_vault *vault = NULL;
	struct vault_report report = { 0 };
	int r = watched_vault_open(watch, kid, settings, &clock_kernel, &vault, reterr);

	if (r < 0)
		return r;
	r = keyring_unlock(watched_vault_of(vault), protector_that_opens(settings, kid), header,
			   watch->volume, VAULT_COMMAND_TIMEOUT_MS, ret_dek, &report);
	if (r < 0)
		*reterr = report.error;
	if (r == -ENOKEY)
		reterr->exit_code = EXIT_CODE_TRY_AGAIN;
	return r;
}

int volume_dek(const struct config *config, const struct vault_watch *watch,
	       const struct volume_header *header, struct secret **ret_dek, struct errmsg *reterr)
{
	const char *kid = volume_header_active_slot(header)->kid;
	const struct settings *settings = volume_settings_opening(config, kid);
	int r;

	if (!settings) {
		errmsg_next(reterr,
			    "restore that key, if it is gone; then tdefsctl link it, or set "
			    "\"protector = %s\" in %s",
			    kid, config->path);
		r = errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_CONFIG,
				"%s: its DEK is wrapped by %s, which is neither configured nor "
				"linked",
				watch->volume, kid);
		header_add_keys(header, reterr);
		return r;
	}
	return volume_dek_by(settings, watch, header, ret_dek, reterr);
}
