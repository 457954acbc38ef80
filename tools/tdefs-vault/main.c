/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs-vault: the table of verbs, and from the command line to one of them. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "completion.h"
#include "confirm.h"
#include "options.h"

#define O(id) OPTION_BIT(OPTION_##id)

static const struct verb {
	const char *name;
	int min_args, max_args;
	int (*run)(struct call *call);
	const char *arguments;
	const char *what;
	uint64_t options; /* without those of all */
} verbs[] = {
	{ "serve", 0, 0, verb_serve, "", "serve the protocol over TLS",
	  O(LISTEN) | O(NAMES) | O(VAULT_NAME) | O(RETENTION_DAYS) | O(NO_PURGE_PROTECTION) |
		  O(RESOURCE) | O(TOKEN_LIFETIME) | O(MAX_CLIENTS) | O(IMDS) | O(IMDS_IDENTITY) |
		  O(IMDS_UID) | O(ALLOW_TEST_FAULTS) },
	{ "key", 1, 3, verb_key,
	  "create|import|list|versions|show|rotate|enable|disable|delete|recover|purge KEY [PEM]",
	  "manage keys", O(SIZE) | O(OPS) | O(YES) },
	{ "identity", 1, 5, verb_identity, "add|list|remove IDENTITY", "who may call",
	  O(CERTIFICATE) | O(FEDERATED) | O(EXPIRES_DAYS) | O(YES) },
	{ "grant", 3, 3, verb_grant, "IDENTITY KEY|'*' PERMISSIONS|all", "allow", 0 },
	{ "revoke", 3, 3, verb_revoke, "IDENTITY KEY|'*' PERMISSIONS|all", "no longer allow", 0 },
	{ "status", 0, 0, verb_status, "", "certificates, keys, risks", O(CONFIG) },
	{ "firewall", 1, 2, verb_firewall, "list|on|off|allow|remove ADDRESS", "who may connect",
	  0 },
	{ "audit", 0, 1, verb_audit, "[LINES]", "the audit log's last lines", 0 },
	{ "backup", 1, 1, verb_backup, "FILE", "the whole vault, sealed", 0 },
	{ "restore", 1, 1, verb_restore, "FILE", "a backup into an empty DIR", 0 },
	{ "fault", 1, 4, verb_fault, "add|list|clear KIND GLOB VALUE", "faults, for tests only",
	  O(COUNT_OF) | O(ALLOW_TEST_FAULTS) },
};

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* From column `at` on, in lines of at most 80, broken after a '|'; where it ended. */
static int print_arguments(int at, const char *arguments)
{
	const int begin = at;

	for (const char *p = arguments; *p;) {
		const int len = (int)strcspn(p, "|") + (p[strcspn(p, "|")] == '|');

		if (at + len > 80)
			at = printf("\n%*s", begin, "") - 1;
		at += printf("%.*s", len, p);
		p += len;
	}
	return at;
}

static void print_line(const struct verb *verb)
{
	const int at = print_arguments(printf("  %-9s", verb->name), verb->arguments);

	printf("%*s %s\n", at < 44 ? 44 - at : 0, "", verb->what);
}

static void print_usage(void)
{
	puts("usage: " PROGRAM " VERB ... --data DIR [--json] [--master-key FILE]\n"
	     "       " PROGRAM " VERB --help");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		print_line(&verbs[i]);
	options_print(OPTIONS_OF_ALL);
	puts("exit: 0 done, 1 failed, 2 usage or configuration, 7 refused by policy");
}

static void print_verb(const struct verb *verb)
{
	(void)print_arguments(printf("usage: " PROGRAM " %s ", verb->name), verb->arguments);
	printf("\n%s\n", verb->what);
	options_print(verb->options | OPTIONS_OF_ALL);
}

static void complete(int argc, char **argv)
{
	struct described_verb described[ARRAY_SIZE(verbs)];
	const struct description all = { .verbs = described,
					 .nverbs = ARRAY_SIZE(verbs),
					 .options = options_described(),
					 .noptions = OPTION_COUNT,
					 .common = OPTIONS_OF_ALL };

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		described[i] = (struct described_verb){ verbs[i].name, verbs[i].arguments,
							verbs[i].what, verbs[i].options };
	completion_answer(&all, argc, argv);
}

int usage_fail(struct call *call, const char *what)
{
	errmsg_next(&call->err, "see " PROGRAM " %s%s--help", call->verb ? call->verb : "",
		    call->verb ? " " : "");
	return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "%s", what);
}

int usage_error(struct call *call, const char *what)
{
	(void)usage_fail(call, what);
	return call_failed(call);
}

int call_failed(struct call *call)
{
	return json_answer_failed(&call->err, PROGRAM, call->json, JSON_SCHEMA);
}

int call_confirm(struct call *call, const char *question)
{
	if (confirm(call->yes, question))
		return 0;
	errmsg_next(&call->err, "answer y, or give --yes");
	return errmsg_fail(&call->err, -ECANCELED, EXIT_CODE_FAILED,
			   "%s %s %s: not confirmed: nothing was changed", call->verb,
			   call->args[0], call->args[1]);
}

int call_errno(struct call *call, int r, const char *what)
{
	if (!call->err.text[0])
		(void)errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s: %s", what, errno_text(r));
	return call_failed(call);
}

static int check_call(const struct verb *verb, struct call *call)
{
	const char *foreign = options_foreign(call, verb->options | OPTIONS_OF_ALL);
	char what[128];

	if (foreign) {
		(void)snprintf(what, sizeof(what), "--%s is no option of %s", foreign, verb->name);
		return usage_fail(call, what);
	}
	if (call->nargs < verb->min_args || call->nargs > verb->max_args)
		return usage_fail(call, "wrong number of arguments for this verb");
	return call->data ? 0 : usage_fail(call, "name the vault's directory: --data DIR");
}

static int answer(int argc, char **argv, struct call *call)
{
	const struct verb *verb;

	if (options_parse(call, argc, argv) < 0)
		return call_failed(call);
	verb = optind < argc ? verb_find(argv[optind]) : NULL;
	call->verb = verb ? verb->name : NULL;
	call->nargs = argc - optind - 1;
	call->args = argv + optind + 1;
	if (call->version)
		puts(PROGRAM " " TDEFS_VERSION);
	else if (call->help && verb)
		print_verb(verb);
	else if (call->help)
		print_usage();
	else if (!verb)
		return usage_error(call, optind < argc ? "no such verb" : "a verb is expected");
	else
		return check_call(verb, call) < 0 ? call_failed(call) : verb->run(call);
	return EXIT_CODE_DONE;
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

	if (completion_is_asked(argc, argv)) {
		complete(argc, argv);
		return EXIT_CODE_DONE;
	}
	umask(077);
	json_set_alloc_funcs(malloc, free_wiped);
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
		return usage_error(&call, "cannot keep secrets out of core dumps");
	return answer(argc, argv, &call);
}
