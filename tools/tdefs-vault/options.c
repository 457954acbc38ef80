/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "completion.h"

#define FIRST_LONG 256 /* what getopt_long answers for the first of the table */

static const struct described_option described[OPTION_COUNT] = {
	[OPTION_DATA] = { "data", 'd', "DIR", "where the vault lives (mode 0700)" },
	[OPTION_JSON] = { "json", 'j', NULL, "answer as JSON" },
	[OPTION_MASTER_KEY] = { "master-key", 0, "FILE", "default " MASTER_DEFAULT_PATH },
	[OPTION_PASSPHRASE_FILE] = { "passphrase-file", 0, "FILE",
				     "derive the master key from a passphrase" },
	[OPTION_HELP] = { "help", 0, NULL, "this" },
	[OPTION_VERSION] = { "version", 0, NULL, "which tdefs this is" },
	[OPTION_LISTEN] = { "listen", 0, "HOST:PORT", "default 127.0.0.1:8443; port 0: any" },
	[OPTION_NAMES] = { "names", 0, "A,B", "more names of the certificate" },
	[OPTION_VAULT_NAME] = { "vault-name", 0, "NAME_OF_VAULT", "first start only" },
	[OPTION_RETENTION_DAYS] = { "retention-days", 0, "N", "7 to 90, first start only" },
	[OPTION_NO_PURGE_PROTECTION] = { "no-purge-protection", 0, NULL, "first start only" },
	[OPTION_RESOURCE] = { "resource", 0, "URL", "what tokens are for" },
	[OPTION_TOKEN_LIFETIME] = { "token-lifetime", 0, "SECONDS", "default 3600" },
	[OPTION_MAX_CLIENTS] = { "max-clients", 0, "N", "default 1024; more wait" },
	[OPTION_IMDS] = { "imds", 0, "PORT", "tokens for local processes, there" },
	[OPTION_IMDS_IDENTITY] = { "imds-identity", 0, "IDENTITY", "whose tokens those are" },
	[OPTION_IMDS_UID] = { "imds-uid", 0, "UID,UID", "users whose processes get them" },
	[OPTION_ALLOW_TEST_FAULTS] = { "allow-test-faults", 0, NULL, "for tests only" },
	[OPTION_SIZE] = { "size", 0, "2048|3072|4096", "bits of a new key" },
	[OPTION_OPS] = { "ops", 0, "wrapKey,unwrapKey", "all that the key may do" },
	[OPTION_CERTIFICATE] = { "certificate", 0, "FILE",
				 "the public certificate of one who signs" },
	[OPTION_FEDERATED] = { "federated", 0, NULL, "ISSUER SUBJECT JWKS_FILE follow the name" },
	[OPTION_EXPIRES_DAYS] = { "expires-days", 0, "N", "until the new secret ends" },
	[OPTION_COUNT_OF] = { "count", 0, "N", "so many times, else until clear" },
	[OPTION_CONFIG] = { "config", 0, "FILE", "tdefs.conf, whose volumes are compared" },
	[OPTION_YES] = { "yes", 0, NULL, "do not ask" },
};

enum option_kind { KIND_SWITCH, KIND_TEXT, KIND_NUMBER };

/* Where each goes, and the range of a number. */
static const struct {
	enum option_kind kind;
	unsigned offset; /* in struct call */
	int64_t least, most;
} places[OPTION_COUNT] = {
#define CALL(member) ((unsigned)offsetof(struct call, member))
	[OPTION_DATA] = { KIND_TEXT, CALL(data), 0, 0 },
	[OPTION_JSON] = { KIND_SWITCH, CALL(json), 0, 0 },
	[OPTION_MASTER_KEY] = { KIND_TEXT, CALL(master.key_path), 0, 0 },
	[OPTION_PASSPHRASE_FILE] = { KIND_TEXT, CALL(master.passphrase_path), 0, 0 },
	[OPTION_HELP] = { KIND_SWITCH, CALL(help), 0, 0 },
	[OPTION_VERSION] = { KIND_SWITCH, CALL(version), 0, 0 },
	[OPTION_LISTEN] = { KIND_TEXT, CALL(listen), 0, 0 },
	[OPTION_NAMES] = { KIND_TEXT, CALL(names), 0, 0 },
	[OPTION_VAULT_NAME] = { KIND_TEXT, CALL(vault_name), 0, 0 },
	[OPTION_RETENTION_DAYS] = { KIND_NUMBER, CALL(retention_days), 7, 90 },
	[OPTION_NO_PURGE_PROTECTION] = { KIND_SWITCH, CALL(no_purge_protection), 0, 0 },
	[OPTION_RESOURCE] = { KIND_TEXT, CALL(resource), 0, 0 },
	[OPTION_TOKEN_LIFETIME] = { KIND_NUMBER, CALL(token_lifetime), 1, 86400 },
	[OPTION_MAX_CLIENTS] = { KIND_NUMBER, CALL(max_clients), 1, 10000 },
	[OPTION_IMDS] = { KIND_TEXT, CALL(imds), 0, 0 },
	[OPTION_IMDS_IDENTITY] = { KIND_TEXT, CALL(imds_identity), 0, 0 },
	[OPTION_IMDS_UID] = { KIND_TEXT, CALL(imds_uids), 0, 0 },
	[OPTION_ALLOW_TEST_FAULTS] = { KIND_SWITCH, CALL(allow_test_faults), 0, 0 },
	[OPTION_SIZE] = { KIND_NUMBER, CALL(key_size), 2048, 4096 },
	[OPTION_OPS] = { KIND_TEXT, CALL(key_ops), 0, 0 },
	[OPTION_CERTIFICATE] = { KIND_TEXT, CALL(certificate), 0, 0 },
	[OPTION_FEDERATED] = { KIND_SWITCH, CALL(federated), 0, 0 },
	[OPTION_EXPIRES_DAYS] = { KIND_NUMBER, CALL(expires_days), 0, 3650 },
	[OPTION_COUNT_OF] = { KIND_NUMBER, CALL(count), 1, 1000000 },
	[OPTION_CONFIG] = { KIND_TEXT, CALL(config), 0, 0 },
	[OPTION_YES] = { KIND_SWITCH, CALL(yes), 0, 0 },
#undef CALL
};

/* A whole number in its range, else an error. */
static int take_number(struct call *call, enum option_id id, const char *text, int64_t *ret)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && n >= places[id].least &&
	    n <= places[id].most) {
		*ret = n;
		return 0;
	}
	errmsg_next(&call->err, "give a number from %lld to %lld", (long long)places[id].least,
		    (long long)places[id].most);
	return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "--%s %s: not such a number",
			   described[id].name, text);
}

static int take(struct call *call, enum option_id id, const char *argument)
{
	void *field = (char *)call + places[id].offset;

	call->given |= OPTION_BIT(id);
	switch (places[id].kind) {
	case KIND_SWITCH:
		*(bool *)field = true;
		return 0;
	case KIND_TEXT:
		*(const char **)field = argument;
		return 0;
	case KIND_NUMBER:
		return take_number(call, id, argument, field);
	}
	return 0;
}

static int id_of(int c)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (c == FIRST_LONG + i || (described[i].letter && c == described[i].letter))
			return i;
	return -1;
}

int options_parse(struct call *call, int argc, char **argv)
{
	struct option options[OPTION_COUNT + 1] = { 0 };
	int c, r = 0;

	for (int i = 0; i < OPTION_COUNT; i++)
		options[i] = (struct option){
			.name = described[i].name,
			.has_arg = described[i].argument ? required_argument : no_argument,
			.val = FIRST_LONG + i,
		};
	while (r == 0 && (c = getopt_long(argc, argv, "d:j", options, NULL)) != -1) {
		int id = id_of(c);

		r = id < 0 ? usage_fail(call, "unusable arguments") /* getopt_long said which */
			   : take(call, (enum option_id)id, optarg);
	}
	return r;
}

const char *options_foreign(const struct call *call, uint64_t allowed)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (call->given & ~allowed & OPTION_BIT(i))
			return described[i].name;
	return NULL;
}

void options_print(uint64_t which)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		const char *argument = described[i].argument ? described[i].argument : "";
		char letter[] = { '-', described[i].letter, ',', '\0' };

		if (which & OPTION_BIT(i))
			printf("  %3s --%s %-*s %s\n", described[i].letter ? letter : "",
			       described[i].name, 24 - (int)strlen(described[i].name), argument,
			       described[i].what);
	}
}

const struct described_option *options_described(void)
{
	return described;
}
