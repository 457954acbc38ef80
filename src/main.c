/* SPDX-License-Identifier: Apache-2.0 */
/* tdefs: arguments, and which of mount and unmount is wanted. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "completion.h"
#include "daemon.h"
#include "json_answer.h"
#include "process.h"
#include "tdefs/control.h"
#include "tdefs/crypto.h"

enum option_id {
	CONFIG,
	JSON,
	FOREGROUND,
	WAIT,
	OWN,
	ACCEPT_HEADER,
	NEW_UUID,
	HELP,
	VERSION,
	OPTION_COUNT
};

static const struct described_option options[OPTION_COUNT] = {
	[CONFIG] = { "config", 'c', "FILE",
		     "default: $" CONFIG_ENVIRONMENT ", then " CONFIG_DEFAULT_PATH },
	[JSON] = { "json", 'j', NULL, "one line of JSON" },
	[FOREGROUND] = { "foreground", 'f', NULL, "stay, and log to standard error" },
	[WAIT] = { "wait", 'w', NULL, "for its vault; unmount: until nobody uses it" },
	[OWN] = { "own", 0, NULL, "unmount: only what this systemd unit mounted" },
	[ACCEPT_HEADER] = { "accept-header", 0, NULL,
			    "take one this host does not know, or knew newer: once" },
	[NEW_UUID] = { "new-uuid", 0, NULL, "of a copy, once: make it an instance of its own" },
	[HELP] = { "help", 0, NULL, "this" },
	[VERSION] = { "version", 0, NULL, "which tdefs this is" },
};

static const struct described_verb verbs[] = {
	{ "mount", "NAME", "mount a volume",
	  1 << FOREGROUND | 1 << WAIT | 1 << ACCEPT_HEADER | 1 << NEW_UUID },
	{ "unmount", "NAME", "unmount a volume", 1 << WAIT | 1 << OWN },
};

static const struct description described = {
	.verbs = verbs,
	.nverbs = ARRAY_SIZE(verbs),
	.options = options,
	.noptions = OPTION_COUNT,
	.common = 1 << CONFIG | 1 << JSON | 1 << HELP | 1 << VERSION,
};

static void print_usage(void)
{
	puts("usage: tdefs [--config FILE] [--json] mount NAME [-f] [-w] [--accept-header]\n"
	     "             [--new-uuid]\n"
	     "       tdefs [--config FILE] [--json] unmount NAME [-w] [--own]\n"
	     "       tdefs --help | --version\n"
	     "\n"
	     "Mount an encrypted volume that tdefs.conf describes, or unmount it. mount\n"
	     "returns once the volume answers; unmount once everything is on disk.\n");
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct described_option *o = &options[i];
		char letter[] = { '-', o->letter, ',', '\0' };

		printf("  %3s --%-13s %-4s %s\n", o->letter ? letter : "", o->name,
		       o->argument ? o->argument : "", o->what);
	}
	puts("\n"
	     "exit: 0 done, 1 failed, 2 usage or configuration, 5 not mounted,\n"
	     "      6 the vault was not reached in time");
}

static int failed(const struct arguments *a, struct errmsg *err)
{
	return json_answer_failed(err, "tdefs", a->json, CONTROL_SCHEMA);
}

static int usage_error(const struct arguments *a, const char *what)
{
	struct errmsg err = { 0 };

	errmsg_next(&err, "see tdefs --help");
	(void)errmsg_fail(&err, -EINVAL, EXIT_CODE_CONFIG, "%s", what);
	return failed(a, &err);
}

/* -1: go on; else the exit code. */
static int parse_options(int argc, char **argv, struct arguments *a)
{
	struct option long_options[OPTION_COUNT + 1] = { 0 };
	int c;

	for (int i = 0; i < OPTION_COUNT; i++)
		long_options[i] = (struct option){
			options[i].name,
			options[i].argument ? required_argument : no_argument,
			NULL,
			i,
		};
	while ((c = getopt_long(argc, argv, "c:jfw", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
		case CONFIG:
			a->config = optarg;
			break;
		case 'j':
		case JSON:
			a->json = true;
			break;
		case 'f':
		case FOREGROUND:
			a->foreground = true;
			break;
		case 'w':
		case WAIT:
			a->wait = true;
			break;
		case OWN:
			a->own = true;
			break;
		case ACCEPT_HEADER:
			a->accept_header = true;
			break;
		case NEW_UUID:
			a->new_uuid = true;
			break;
		case HELP:
			print_usage();
			return EXIT_CODE_DONE;
		case VERSION:
			puts("tdefs " TDEFS_VERSION);
			return EXIT_CODE_DONE;
		default: /* getopt_long has said what is wrong */
			return usage_error(a, "unusable arguments");
		}
	}
	return -1;
}

static int parse_arguments(int argc, char **argv, struct arguments *a)
{
	int code = parse_options(argc, argv, a);

	if (code >= 0)
		return code;
	if (argc - optind != 2)
		return usage_error(a,
				   "one of mount and unmount, and one volume name, are expected");
	a->verb = argv[optind];
	a->name = argv[optind + 1];
	if (strcmp(a->verb, "mount") != 0 && strcmp(a->verb, "unmount") != 0)
		return usage_error(a, "no such command: it is mount or unmount");
	if (a->json && a->foreground)
		return usage_error(a, "--json is no option of a mount in the foreground");
	return -1;
}

static int libraries_init(struct errmsg *err)
{
	if (crypto_init() == 0)
		return 0;
	errmsg_next(err, "check the installation of OpenSSL");
	return errmsg_fail(err, -EIO, EXIT_CODE_FAILED, "cannot set up the crypto library");
}

/* mount(8) is asked for a place; tdefs.conf says where each volume's is. */
static int check_target(const struct arguments *a, const struct volume_config *vc,
			struct errmsg *err)
{
	CLEANUP_FREE char *wanted = a->target ? mount_resolve(a->target) : NULL;
	CLEANUP_FREE char *ours = a->target ? mount_resolve(vc->mount) : NULL;

	if (!a->target || (wanted && ours && strcmp(wanted, ours) == 0))
		return 0;
	errmsg_next(err, "give the same directory in both");
	return errmsg_fail(err, -EINVAL, EXIT_CODE_CONFIG,
			   "volume %s: it is to be mounted at %s, but tdefs.conf says %s", vc->name,
			   a->target, vc->mount);
}

/* Done; a mount may be inaccessible all the same. */
static int answer(const struct arguments *a, const struct config *config,
		  const struct volume_config *vc)
{
	CLEANUP_JSON json_t *request = a->json ? json_pack("{s:s}", "command", "status") : NULL;
	CLEANUP_JSON json_t *status = NULL;
	const char *state;

	if (!a->json || !config || !vc) /* both are there: it was done */
		return EXIT_CODE_DONE;
	if (request)
		IGNORE_RESULT(control_call(config->runtime_dir, vc->name, request, &status),
			      "then no daemon serves it");
	state = json_string_value(json_object_get(status, "state"));
	return json_answer_print(json_pack("{s:s, s:o, s:s}", "name", vc->name, "mount",
					   text_json(vc->mount), "state",
					   state ? state : "not mounted"),
				 CONTROL_SCHEMA, EXIT_CODE_DONE);
}

static int run(const struct arguments *a, struct errmsg *err)
{
	CLEANUP_CONFIG struct config *config = NULL;
	struct mount_request request = { .foreground = a->foreground,
					 .accept_header = a->accept_header,
					 .new_uuid = a->new_uuid,
					 .wait = a->wait,
					 .json = a->json };
	const pid_t caller = getpid(); /* the mount's own processes answer nobody */
	int code, r;

	if (geteuid() != 0) {
		errmsg_next(err, "run it as root");
		(void)errmsg_fail(err, -1, EXIT_CODE_FAILED, "mounting and unmounting need root");
		return failed(a, err);
	}
	r = process_harden(err);
	if (r == 0)
		r = libraries_init(err);
	if (r == 0)
		r = config_load(a->config, &config, err);
	if (r == 0)
		r = config_volume(config, a->name, &request.volume, err);
	if (r == 0)
		r = check_target(a, request.volume, err);
	if (r == 0 && a->check_only)
		return EXIT_CODE_DONE;
	if (r == 0 && strcmp(a->verb, "unmount") == 0) {
		if (a->own && daemon_is_of_another_unit(config, a->name))
			return answer(a, config, request.volume);
		r = daemon_unmount(config, request.volume, a->wait, err);
		return r < 0 ? failed(a, err) : answer(a, config, request.volume);
	}
	if (r < 0)
		return failed(a, err);
	request.config = config;
	code = daemon_mount(&request);
	return code == EXIT_CODE_DONE && getpid() == caller ? answer(a, config, request.volume)
							    : code;
}

int main(int argc, char **argv)
{
	struct arguments a = { 0 };
	struct errmsg err = { 0 };
	int code;

	if (process_fill_standard_descriptors() < 0)
		return EXIT_CODE_FAILED; /* and nowhere to say it */
	if (mount_helper_is(argv[0])) {
		code = mount_helper_parse(argc, argv, &a);
		return code >= 0 ? code : mount_helper_exit_code(run(&a, &err));
	}
	if (completion_is_asked(argc, argv)) {
		completion_answer(&described, argc, argv);
		return EXIT_CODE_DONE;
	}
	code = parse_arguments(argc, argv, &a);
	return code >= 0 ? code : run(&a, &err);
}
