/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl: from the command line to a verb, and what verbs say when they fail. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "completion.h"
#include "process.h"
#include "tdefs/crypto.h"
#include "tdefs/vault.h"
#include "verbs.h"

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

json_t *error_json(struct call *call)
{
	return json_answer_of_error(&call->err);
}

int call_failed(struct call *call)
{
	return json_answer_failed(&call->err, PROGRAM, call->json, CONTROL_SCHEMA);
}

/* On a host that only rescues there may be none: what needs no key, of a DIR, needs no settings. */
static int load_config(const struct verb *verb, struct call *call, struct config **ret_config)
{
	const char *path = call->config_path;
	bool keyless = verb->run == verb_header || (verb->run == verb_verify && call->without_key);
	int r = config_load(path, ret_config, &call->err);

	if (r == -ENOENT && !path && keyless &&
	    strchr(call->args[call->nargs > 2 ? 1 : call->nargs - 1], '/'))
		return config_parse("", "", ret_config, &call->err);
	return r;
}

/* Its options and arguments are its own, and of the right number. */
static int check_call(const struct verb *verb, struct call *call)
{
	const char *foreign = options_foreign(call, verb->options | OPTIONS_OF_ALL);

	if (!foreign && call->nargs >= verb->min_args && call->nargs <= verb->max_args)
		return 0;
	errmsg_next(&call->err, "see " PROGRAM " %s --help", verb->name);
	if (foreign)
		return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG, "--%s is no option of %s",
				   foreign, verb->name);
	return errmsg_fail(&call->err, -EINVAL, EXIT_CODE_CONFIG,
			   "wrong number of arguments for this verb");
}

static int run(const struct verb *verb, struct call *call)
{
	CLEANUP_CONFIG struct config *config = NULL;
	int code;

	if (check_call(verb, call) < 0)
		return call_failed(call);
	umask(077);
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return usage_error(call, "cannot keep secrets out of core dumps");
	if (crypto_init() < 0 || vault_init() < 0)
		return usage_error(call, "cannot set up OpenSSL and libcurl");
	if (load_config(verb, call, &config) < 0)
		return call_failed(call);
	call->config = config;
	code = verb->run(call);
	call_close_log(call);
	return code;
}

/* Which it is about, should the options not be understood. */
static const char *likely_verb(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (verb_find(argv[i]))
			return argv[i];
	return NULL;
}

/* `word`: what there is instead of a verb; NULL: nothing. */
static int no_verb(struct call *call, const char *word)
{
	char what[128];

	if (!word)
		return usage_error(call, "a verb is expected");
	(void)snprintf(what, sizeof(what), "%s: no such verb", word);
	(void)usage_fail(call, what);
	if (strcmp(word, "mount") == 0 || strcmp(word, "unmount") == 0)
		errmsg_next(&call->err, "see tdefs --help: tdefs %s NAME", word);
	return call_failed(call);
}

static int answer(int argc, char **argv, struct call *call)
{
	const struct verb *verb;

	call->verb = likely_verb(argc, argv);
	if (options_parse(call, argc, argv) < 0)
		return call_failed(call);
	verb = optind < argc ? verb_find(argv[optind]) : NULL;
	call->verb = verb ? verb->name : NULL;
	call->nargs = argc - optind - 1;
	call->args = argv + optind + 1;
	if (call->version)
		puts(PROGRAM " " TDEFS_VERSION);
	else if (call->help && verb)
		verb_print(verb);
	else if (call->help)
		verbs_print();
	else if (!verb)
		return no_verb(call, optind < argc ? argv[optind] : NULL);
	else
		return run(verb, call);
	return EXIT_CODE_DONE;
}

int main(int argc, char **argv)
{
	struct call call = { 0 };
	int code;

	if (process_fill_standard_descriptors() < 0)
		return EXIT_CODE_FAILED; /* and nowhere to say it */
	if (completion_is_asked(argc, argv)) {
		verbs_complete(argc, argv);
		return EXIT_CODE_DONE;
	}
	code = answer(argc, argv, &call);
	options_release(&call);
	return code;
}
