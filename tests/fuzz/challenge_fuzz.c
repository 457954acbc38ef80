/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields of any text: challenges, and when to ask again. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../src/vault/azure_answer.h"
#include "../../src/vault/challenge.h"
#include "fuzz.h"

#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789.-:"

static const char *const vault = "v.vault.azure.net";

static void check_challenge(const struct challenge *c)
{
	char host[KID_VAULT_MAX];

	assert(c->tenant[0] && !strpbrk(c->tenant, "/?#@ \r\n\"\\"));
	assert(c->authority_host[0]);
	assert(strspn(c->authority_host, HOST_CHARACTERS) == strlen(c->authority_host));
	assert(strncasecmp(c->resource, "https://", 8) == 0);
	assert(c->resource[strlen(c->resource) - 1] != '/' || strlen(c->resource) == 8);
	if (!url_host(c->resource, host, sizeof(host))) {
		assert(!challenge_resource_covers(c->resource, vault));
		return;
	}
	assert(challenge_resource_covers(c->resource, host));
	if (challenge_resource_covers(c->resource, vault)) {
		host[strcspn(host, ":")] = '\0';
		assert(strlen(host) <= strlen(vault));
		assert(strcmp(vault + strlen(vault) - strlen(host), host) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct challenge c;
	int r;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	r = challenge_parse(text, &c);
	assert(r == 0 || r == -EBADMSG);
	if (r == 0)
		check_challenge(&c);
	assert(azure_retry_after_ms(text, 1700000000) <= 3600000);
	free(text);
	return 0;
}
