/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs-vault: the table of verbs, and the options they share. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "cli.h"

static const struct verb {
	const char *name;
	int min_args, max_args;
	int (*run)(struct call *call);
	const char *arguments;
	const char *what;
} verbs[] = {
	{ "serve", 0, 0, verb_serve, "--listen HOST:PORT", "serve the protocol over TLS" },
	{ "key", 1, 3, verb_key, "create|import|list|show|rotate|...", "manage keys" },
	{ "identity", 1, 5, verb_identity, "add|list|remove NAME", "who may call" },
	{ "grant", 3, 3, verb_grant, "IDENTITY KEY|'*' PERMISSIONS|all", "allow" },
	{ "revoke", 3, 3, verb_revoke, "IDENTITY KEY|'*' PERMISSIONS|all", "no longer allow" },
	{ "status", 0, 0, verb_status, "", "certificates, keys, risks" },
	{ "firewall", 1, 2, verb_firewall, "list|on|off|allow|remove ADDRESS", "who may connect" },
	{ "audit", 0, 1, verb_audit, "[LINES]", "show the audit log's last lines" },
	{ "backup", 1, 1, verb_backup, "FILE", "the whole vault, sealed" },
	{ "restore", 1, 1, verb_restore, "FILE", "a backup into an empty DIR" },
	{ "fault", 1, 4, verb_fault, "add|list|clear ...", "faults, for tests only" },
};

static void print_usage(void)
{
	puts("usage: tdefs-vault VERB ... --data DIR [--json] [--master-key FILE]\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-9s%-33s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].what);
	puts("\n"
	     "  -d, --data DIR            where the vault lives (mode 0700)\n"
	     "  -j, --json                answer as JSON\n"
	     "      --master-key FILE     default: systemd credential " MASTER_CREDENTIAL ",\n"
	     "                            then " MASTER_DEFAULT_PATH "; the first\n"
	     "                            start makes it\n"
	     "      --passphrase-file FILE  derive the master key from a passphrase instead\n"
	     "serve:\n"
	     "      --listen HOST:PORT    default 127.0.0.1:8443; port 0: any\n"
	     "      --names A,B           more names and addresses for the certificate\n"
	     "      --vault-name NAME     first start only\n"
	     "      --retention-days N    7..90, first start only\n"
	     "      --no-purge-protection first start only\n"
	     "      --resource URL        what tokens are for, default " DEFAULT_RESOURCE "\n"
	     "      --token-lifetime SEC  default 3600\n"
	     "      --max-clients N       default 1024; more wait in the kernel's queue\n"
	     "      --imds PORT --imds-identity NAME --imds-uid UID[,UID]\n"
	     "                            tokens for local processes of those users\n"
	     "      --allow-test-faults   for tests only\n"
	     "key create:    --size 2048|3072|4096  --ops wrapKey,unwrapKey\n"
	     "identity add:  --certificate PEM | --federated ISSUER SUBJECT JWKS_FILE |\n"
	     "               --expires-days N\n"
	     "\n"
	     "exit: 0 done, 1 failed, 2 usage or configuration, 7 refused by policy");
}

int usage_error(const char *what)
{
	fprintf(stderr, PROGRAM ": %s\n  next: see " PROGRAM " --help\n", what);
	return EXIT_CODE_CONFIG;
}

int call_failed(struct call *call)
{
	return errmsg_print(&call->err, PROGRAM);
}

int call_errno(struct call *call, int r, const char *what)
{
	if (!call->err.text[0])
		(void)errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s: %s", what, errno_text(r));
	return call_failed(call);
}

int print_json(json_t *object, int code)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (!text) {
		fputs(PROGRAM ": out of memory\n  next: free some and try again\n", stderr);
		return EXIT_CODE_FAILED;
	}
	puts(text);
	free(text);
	return code;
}

enum {
	HELP = 256,
	VERSION,
	MASTER_KEY,
	PASSPHRASE,
	LISTEN,
	NAMES,
	VAULT_NAME,
	RETENTION,
	NO_PURGE,
	RESOURCE,
	LIFETIME,
	MAX_CLIENTS,
	IMDS,
	IMDS_IDENTITY,
	IMDS_UID,
	FAULTS,
	SIZE,
	OPS,
	CERTIFICATE,
	FEDERATED,
	EXPIRES,
	COUNT,
	CONFIG,
};

static const struct option options[] = {
	{ "data", required_argument, NULL, 'd' },
	{ "json", no_argument, NULL, 'j' },
	{ "master-key", required_argument, NULL, MASTER_KEY },
	{ "passphrase-file", required_argument, NULL, PASSPHRASE },
	{ "listen", required_argument, NULL, LISTEN },
	{ "names", required_argument, NULL, NAMES },
	{ "vault-name", required_argument, NULL, VAULT_NAME },
	{ "retention-days", required_argument, NULL, RETENTION },
	{ "no-purge-protection", no_argument, NULL, NO_PURGE },
	{ "resource", required_argument, NULL, RESOURCE },
	{ "token-lifetime", required_argument, NULL, LIFETIME },
	{ "max-clients", required_argument, NULL, MAX_CLIENTS },
	{ "imds", required_argument, NULL, IMDS },
	{ "imds-identity", required_argument, NULL, IMDS_IDENTITY },
	{ "imds-uid", required_argument, NULL, IMDS_UID },
	{ "allow-test-faults", no_argument, NULL, FAULTS },
	{ "size", required_argument, NULL, SIZE },
	{ "ops", required_argument, NULL, OPS },
	{ "certificate", required_argument, NULL, CERTIFICATE },
	{ "federated", no_argument, NULL, FEDERATED },
	{ "expires-days", required_argument, NULL, EXPIRES },
	{ "count", required_argument, NULL, COUNT },
	{ "config", required_argument, NULL, CONFIG },
	{ "help", no_argument, NULL, HELP },
	{ "version", no_argument, NULL, VERSION },
	{ 0 },
};

/* A whole number in its range, else false and a message. */
static bool take_number(struct call *call, const char *what, int64_t min, int64_t max, int64_t *ret)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(optarg, &end, 10);
	if (errno == 0 && end != optarg && *end == '\0' && n >= min && n <= max) {
		*ret = n;
		return true;
	}
	errmsg_next(&call->err, "give a number from %lld to %lld", (long long)min, (long long)max);
	(void)errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "%s %s: not such a number", what,
			  optarg);
	return false;
}

static bool take_numbers(int option, struct call *call, bool *ret_ok)
{
	int64_t clients;

	switch (option) {
	case RETENTION:
		*ret_ok = take_number(call, "--retention-days", 7, 90, &call->retention_days);
		return true;
	case LIFETIME:
		*ret_ok = take_number(call, "--token-lifetime", 1, 86400, &call->token_lifetime);
		return true;
	case MAX_CLIENTS:
		*ret_ok = take_number(call, "--max-clients", 1, 10000, &clients);
		if (*ret_ok)
			call->max_clients = (unsigned)clients;
		return true;
	case SIZE:
		*ret_ok = take_number(call, "--size", 2048, 4096, &call->key_size);
		return true;
	case EXPIRES:
		*ret_ok = take_number(call, "--expires-days", 0, 3650, &call->expires_days);
		return true;
	case COUNT:
		*ret_ok = take_number(call, "--count", 1, 1000000, &call->count);
		return true;
	default:
		return false;
	}
}

static bool take_switch(int option, struct call *call)
{
	switch (option) {
	case 'j':
		return call->json = true;
	case NO_PURGE:
		return call->no_purge_protection = true;
	case FAULTS:
		return call->allow_test_faults = true;
	case FEDERATED:
		return call->federated = true;
	default:
		return false;
	}
}

static bool take_text(int option, struct call *call)
{
	const struct {
		int option;
		const char **where;
	} texts[] = {
		{ 'd', &call->data },
		{ MASTER_KEY, &call->master.key_path },
		{ PASSPHRASE, &call->master.passphrase_path },
		{ LISTEN, &call->listen },
		{ NAMES, &call->names },
		{ VAULT_NAME, &call->vault_name },
		{ RESOURCE, &call->resource },
		{ IMDS, &call->imds },
		{ IMDS_IDENTITY, &call->imds_identity },
		{ IMDS_UID, &call->imds_uids },
		{ OPS, &call->key_ops },
		{ CERTIFICATE, &call->certificate },
		{ CONFIG, &call->config },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (texts[i].option == option) {
			*texts[i].where = optarg;
			return true;
		}
	}
	return false;
}

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct call *call)
{
	int c;

	while ((c = getopt_long(argc, argv, "d:j", options, NULL)) != -1) {
		bool ok = true;

		if (c == HELP) {
			print_usage();
			return EXIT_CODE_DONE;
		}
		if (c == VERSION) {
			puts(PROGRAM " " TDEFS_VERSION);
			return EXIT_CODE_DONE;
		}
		if (take_numbers(c, call, &ok)) {
			if (!ok)
				return call_failed(call);
		} else if (!take_switch(c, call) && !take_text(c, call)) {
			return usage_error("unusable arguments"); /* getopt_long said which */
		}
	}
	return -1;
}

static int run(int argc, char **argv, struct call *call)
{
	const char *name = optind < argc ? argv[optind] : NULL;

	if (!name)
		return usage_error("a verb is expected");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].name, name) != 0)
			continue;
		call->nargs = argc - optind - 1;
		call->args = argv + optind + 1;
		if (call->nargs < verbs[i].min_args || call->nargs > verbs[i].max_args)
			return usage_error("wrong number of arguments for this verb");
		if (!call->data)
			return usage_error("name the vault's directory: --data DIR");
		return verbs[i].run(call);
	}
	return usage_error("no such verb");
}

/* JSON texts hold keys and tokens: nothing of them stays in freed memory. */
static void free_wiped(void *p)
{
	if (p)
		secret_wipe(p, malloc_usable_size(p));
	free(p);
}

int main(int argc, char **argv)
{
	struct call call = {
		.listen = "127.0.0.1:8443",
		.token_lifetime = DEFAULT_TOKEN_LIFETIME,
		.retention_days = DEFAULT_RETENTION_DAYS,
		.max_clients = 1024,
		.key_size = 2048,
		.count = -1,
	};
	const struct rlimit no_core = { 0 };
	int code = parse_options(argc, argv, &call);

	if (code >= 0)
		return code;
	umask(077);
	json_set_alloc_funcs(malloc, free_wiped);
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
		return usage_error("cannot keep secrets out of core dumps");
	return run(argc, argv, &call);
}
