/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl: the table of verbs, and the options they share. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"
#include "tdefs/crypto.h"
#include "tdefs/vault.h"
#include "tdefsctl.h"

static const struct verb {
	const char *name;
	int min_args, max_args;
	int (*run)(struct call *call);
	const char *arguments;
	const char *what;
} verbs[] = {
	{ "check", 1, 1, verb_check, "NAME|KID", "go through what a protector must be" },
	{ "format", 1, 1, verb_format, "NAME", "make an empty backing directory a volume" },
	{ "status", 0, 1, verb_status, "[NAME]", "state of one volume, or of all; --watch NAME" },
	{ "metrics", 0, 1, verb_metrics, "[NAME]", "the same as numbers, for Prometheus" },
	{ "events", 0, 1, verb_events, "[NAME]", "the event log: --follow, --verify" },
	{ "header", 2, 2, verb_header, "dump NAME|DIR", "show a volume's header; needs no key" },
	{ "verify", 1, 1, verb_verify, "NAME|DIR", "check the header, and that of every file" },
	{ "accept-lost", 2, 2, verb_accept_lost, "NAME PATH",
	  "turn a file whose header is lost into zeros" },
	{ "lock", 1, 1, verb_lock, "NAME", "take the key away; only resume undoes it" },
	{ "resume", 1, 1, verb_resume, "NAME", "back online after a lock or an old denial" },
	{ "extend", 1, 1, verb_extend, "NAME --for T", "more time in an outage of the vault" },
	{ "reload", 1, 1, verb_reload, "NAME", "take over timers and hooks from tdefs.conf" },
	{ "rotate", 1, 1, verb_rotate, "NAME", "wrap the DEK by another key; data stays" },
	{ "rewrap", 1, 1, verb_rewrap, "NAME|DIR", "the same for a header that is not mounted" },
	{ "drill", 1, 1, verb_drill, "NAME --for T", "rehearse a loss: --outage, --denial" },
	{ "safe-to-restart", 1, 1, verb_safe_to_restart, "NAME", "would it come back online?" },
};

static void print_usage(void)
{
	puts("usage: tdefsctl [--config FILE] [--json] VERB ...");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-16s%-15s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].what);
	puts("  -c, --config FILE  (" CONFIG_DEFAULT_PATH ")   -j, --json  one line of JSON\n"
	     "  check: --ha   verify: --without-key   events --verify: --anchor SEQ:HASH\n"
	     "  rotate, rewrap: --to KID, --retire; rewrap: --from-previous\n"
	     "  format, rotate: --key-is-backed-up   a DIR has a slash in it\n"
	     "  extend, drill: --for 30s, 5m, 4h   accept-lost, drill: --yes, do not ask\n"
	     "exit: 0 done or online, 1 failed, 2 usage or configuration, 3 read-only,\n"
	     "  4 inaccessible, 5 not mounted, 6 waiting, 7 policy, 8 try again; the worst");
}

int usage_error(struct call *call, const char *what)
{
	errmsg_next(&call->err, "see tdefsctl --help");
	(void)errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "%s", what);
	return call_failed(call);
}

json_t *error_json(struct call *call)
{
	text_escape_message(&call->err);
	return json_pack("{s:i, s:s, s:s, s:i}", "schema", CONTROL_SCHEMA, "error", call->err.text,
			 "next", call->err.next, "exit_code", (int)call->err.exit_code);
}

int call_failed(struct call *call)
{
	json_t *error = error_json(call);
	int code = errmsg_print(&call->err, PROGRAM);

	if (call->json)
		return print_json(error, code);
	json_decref(error);
	return code;
}

bool call_confirmed(const struct call *call, const char *question)
{
	int c;

	if (call->yes)
		return true;
	if (!isatty(STDIN_FILENO))
		return false;
	fprintf(stderr, "%s [y/N] ", question);
	c = getchar();
	return c == 'y' || c == 'Y';
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

enum option_id {
	HELP = 256,
	VERSION,
	YES,
	WITHOUT_KEY,
	KEY_IS_BACKED_UP,
	FOR,
	OUTAGE,
	DENIAL,
	HA,
	WATCH,
	FOLLOW,
	VERIFY,
	ANCHOR,
	TO,
	RETIRE,
	FROM_PREVIOUS,
};

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'j' },
	{ "yes", no_argument, NULL, YES },
	{ "without-key", no_argument, NULL, WITHOUT_KEY },
	{ "key-is-backed-up", no_argument, NULL, KEY_IS_BACKED_UP },
	{ "for", required_argument, NULL, FOR },
	{ "outage", no_argument, NULL, OUTAGE },
	{ "watch", no_argument, NULL, WATCH },
	{ "denial", no_argument, NULL, DENIAL },
	{ "ha", no_argument, NULL, HA },
	{ "follow", no_argument, NULL, FOLLOW },
	{ "verify", no_argument, NULL, VERIFY },
	{ "anchor", required_argument, NULL, ANCHOR },
	{ "to", required_argument, NULL, TO },
	{ "retire", no_argument, NULL, RETIRE },
	{ "from-previous", no_argument, NULL, FROM_PREVIOUS },
	{ "help", no_argument, NULL, HELP },
	{ "version", no_argument, NULL, VERSION },
	{ 0 },
};

/* What an option without a value turns on; NULL: it is another. */
static bool *switch_of(struct call *call, int c)
{
	switch (c) {
	case 'j':
		return &call->json;
	case YES:
		return &call->yes;
	case WITHOUT_KEY:
		return &call->without_key;
	case KEY_IS_BACKED_UP:
		return &call->key_is_backed_up;
	case OUTAGE:
		return &call->outage;
	case DENIAL:
		return &call->denial;
	case HA:
		return &call->ha;
	case WATCH:
		return &call->watch;
	case FOLLOW:
		return &call->follow;
	case RETIRE:
		return &call->retire;
	case FROM_PREVIOUS:
		return &call->from_previous;
	case VERIFY:
		return &call->verify;
	default:
		return NULL;
	}
}

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct call *call, const char **config_path)
{
	int c;

	while ((c = getopt_long(argc, argv, "c:j", options, NULL)) != -1) {
		bool *flag = switch_of(call, c);

		if (flag) {
			*flag = true;
			continue;
		}
		switch (c) {
		case 'c':
			*config_path = optarg;
			break;
		case FOR:
			if (config_duration(optarg, &call->for_ms) < 0 || call->for_ms == 0)
				return usage_error(call, "--for takes a time such as 30s or 5m");
			break;
		case ANCHOR:
			call->anchor = optarg;
			break;
		case TO:
			call->to = optarg;
			break;
		case HELP:
			print_usage();
			return EXIT_CODE_DONE;
		case VERSION:
			puts(PROGRAM " " TDEFS_VERSION);
			return EXIT_CODE_DONE;
		default: /* getopt_long has said what is wrong */
			return usage_error(call, "unusable arguments");
		}
	}
	return -1;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* On a host that only rescues there may be none: what needs no key, of a DIR, needs no settings. */
static int load_config(const struct verb *verb, struct call *call, const char *path,
		       struct config **ret_config)
{
	bool keyless = verb->run == verb_header || (verb->run == verb_verify && call->without_key);
	int r = config_load(path, ret_config, &call->err);

	if (r == -ENOENT && !path && keyless && strchr(call->args[call->nargs - 1], '/'))
		return config_parse("", "", ret_config, &call->err);
	return r;
}

static int run(int argc, char **argv, struct call *call, const char *config_path)
{
	CLEANUP_CONFIG struct config *config = NULL;
	const struct verb *verb = optind < argc ? find_verb(argv[optind]) : NULL;
	int code;

	if (optind == argc)
		return usage_error(call, "a verb is expected");
	if (!verb)
		return usage_error(call, "no such verb");
	call->nargs = argc - optind - 1;
	call->args = argv + optind + 1;
	if (call->nargs < verb->min_args || call->nargs > verb->max_args)
		return usage_error(call, "wrong number of arguments for this verb");
	if (load_config(verb, call, config_path, &config) < 0)
		return call_failed(call);
	call->config = config;
	code = verb->run(call);
	call_close_log(call);
	return code;
}

int main(int argc, char **argv)
{
	struct call call = { 0 };
	const char *config_path = NULL;
	int code;

	if (process_fill_standard_descriptors() < 0)
		return EXIT_CODE_FAILED; /* and nowhere to say it */
	code = parse_options(argc, argv, &call, &config_path);
	if (code >= 0)
		return code;
	umask(077);
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return usage_error(&call, "cannot keep secrets out of core dumps");
	if (crypto_init() < 0 || vault_init() < 0)
		return usage_error(&call, "cannot set up OpenSSL and libcurl");
	return run(argc, argv, &call, config_path);
}
