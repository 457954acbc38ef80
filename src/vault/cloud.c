/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Names: Key Vault documentation, "about keys, secrets and certificates". */
#include "cloud.h"

#include <stddef.h>
#include <string.h>

#define ENTRA	    "login.microsoftonline.com"
#define ENTRA_CHINA "login.chinacloudapi.cn"
#define ENTRA_US    "login.microsoftonline.us"

static const struct cloud clouds[] = {
	{ ".vault.azure.net", "https://vault.azure.net", ENTRA },
	{ ".vault.azure.cn", "https://vault.azure.cn", ENTRA_CHINA },
	{ ".vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net", ENTRA_US },
	{ ".managedhsm.azure.net", "https://managedhsm.azure.net", ENTRA },
	{ ".managedhsm.azure.cn", "https://managedhsm.azure.cn", ENTRA_CHINA },
	{ ".managedhsm.usgovcloudapi.net", "https://managedhsm.usgovcloudapi.net", ENTRA_US },
};

static const char *const authorities[] = {
	ENTRA, ENTRA_CHINA, ENTRA_US, "login.windows.net", "login.partner.microsoftonline.cn",
};

const struct cloud *cloud_of_host(const char *host)
{
	size_t len = strlen(host);

	for (size_t i = 0; i < sizeof(clouds) / sizeof(clouds[0]); i++) {
		size_t suffix = strlen(clouds[i].suffix);

		if (len > suffix && strcmp(host + len - suffix, clouds[i].suffix) == 0)
			return &clouds[i];
	}
	return NULL;
}

bool cloud_is_authority(const char *host)
{
	for (size_t i = 0; i < sizeof(authorities) / sizeof(authorities[0]); i++)
		if (strcmp(host, authorities[i]) == 0)
			return true;
	return false;
}
