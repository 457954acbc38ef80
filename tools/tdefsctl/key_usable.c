/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "key_usable.h"

#include <errno.h>
#include <string.h>

#include "tdefs/protector.h"
#include "tdefs/secret.h"

#define HTTP_BAD_REQUEST 400

/* A number below any modulus of that length. */
static int make_noise(const struct vault_key *key, struct vault_wrapped *ret_noise)
{
	struct vault_wrapped w = { .algorithm = WRAP_RSA_OAEP_256, .len = key->bits / 8 };
	int r = w.len == 0 || w.len > sizeof(w.bytes) ? -EKEYREJECTED
						      : random_bytes(w.bytes, w.len);

	w.bytes[0] = 0;
	memcpy(w.kid, key->kid, sizeof(w.kid));
	*ret_noise = w;
	return r;
}

static int not_fit(struct errmsg *err, const struct vault_key *key)
{
	errmsg_next(err, key->enabled ? "az keyvault key set-attributes --ops unwrapKey, on it"
				      : "enable it: az keyvault key set-attributes --enabled true");
	return errmsg_fail(err, -EKEYREJECTED, EXIT_CODE_CONFIG, "%s: %s", key->kid,
			   key->enabled ? "its key_ops lack unwrapKey" : "it is disabled");
}

/* A file's key has been read by now; of a vault's, `get` says nothing of the permission. */
static int ask(struct vault *vault, const char *kid, struct vault_report *report)
{
	CLEANUP_SECRET struct secret *nothing = NULL;
	struct vault_wrapped noise;
	struct vault_key key = { 0 };
	enum vault_verdict verdict =
		vault->ops->get(vault, kid, VAULT_PROBE_TIMEOUT_MS, &key, report);
	int r;

	if (verdict != VAULT_GRANTED)
		return protector_failed(report, NULL);
	if (!key.remote)
		return 0;
	if (!key.enabled || !key.may_unwrap)
		return not_fit(&report->error, &key);
	r = make_noise(&key, &noise);
	if (r < 0)
		return errmsg_fail(&report->error, r, EXIT_CODE_FAILED, "%s: cannot make bytes: %s",
				   kid, errno_text(r));
	verdict = vault->ops->unwrap(vault, &noise, VAULT_PROBE_TIMEOUT_MS, &nothing, report);
	if (verdict == VAULT_GRANTED ||
	    (verdict == VAULT_BROKEN && report->http_status == HTTP_BAD_REQUEST))
		return 0;
	return protector_failed(report, NULL);
}

int key_usable(struct call *call, const struct vault_watch *watch, const struct settings *settings,
	       const char *kid, const struct key_slot *slot)
{
	CLEANUP_WATCHED_VAULT struct watched_vault *vault = NULL;
	struct vault_report report = { 0 };
	int r = watched_vault_open(watch, kid, settings, &clock_kernel, &vault, &call->err);

	if (r < 0)
		return r;
	secret_lock_memory(settings->lock_memory);
	if (!slot)
		r = ask(watched_vault_of(vault), kid, &report);
	else if (keyring_probe(watched_vault_of(vault), slot, watch->volume, &clock_kernel,
			       VAULT_PROBE_TIMEOUT_MS, &report) != VAULT_GRANTED)
		r = protector_failed(&report, NULL);
	if (r < 0)
		call->err = report.error;
	if (r == -ENOKEY)
		call->err.exit_code = EXIT_CODE_TRY_AGAIN;
	return r;
}
