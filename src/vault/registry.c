/* SPDX-License-Identifier: Apache-2.0 */
/* Which vault serves a key identifier. */
#include "tdefs/vault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloud.h"
#include "identity.h"

static const struct vault_ops *const kinds[] = { &vault_file_ops, &vault_azure_ops };

int vault_init(void)
{
	identity_environment_secret(ENVIRONMENT_CLIENT_SECRET);
	unsetenv("SSLKEYLOGFILE"); /* libcurl obeys it */
	return net_init();
}

int vault_open(const char *kid, const struct settings *settings, const struct clock *clock,
	       struct vault **ret_vault, struct errmsg *reterr)
{
	int r = vault_check_allowed(kid, settings, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(kid, kinds[i]->kid_prefix, strlen(kinds[i]->kid_prefix)) == 0)
			return kinds[i]->open(kid, settings_for_vault(settings, kid), clock,
					      ret_vault, reterr);
	errmsg_next(reterr, "use https://VAULT/keys/NAME[/VERSION], or file:/absolute/path.pem");
	return errmsg_fail(reterr, -EINVAL, EXIT_CODE_CONFIG, "%s: no vault serves this key", kid);
}

void vault_close(struct vault *v)
{
	if (v)
		v->ops->close(v);
}

bool vault_is_azure(const char *host)
{
	return cloud_of_host(host);
}

const char *vault_verdict_name(enum vault_verdict verdict)
{
	static const char *const names[] = {
		[VAULT_GRANTED] = "granted",
		[VAULT_DENIED] = "denied",
		[VAULT_UNREACHABLE] = "unreachable",
		[VAULT_BROKEN] = "broken",
	};

	return names[verdict];
}

void vault_describe(struct vault *v, struct vault_identity *ret_identity)
{
	if (v->ops->describe)
		v->ops->describe(v, ret_identity);
	else
		*ret_identity = (struct vault_identity){ .kind = "none" };
}
