/* SPDX-License-Identifier: Apache-2.0 */
/* Being called by mount(8): for fstab, and for mount -t tdefs. */
#include <errno.h>
#include <getopt.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "daemon.h"
#include "tdefs/cleanup.h"

/* Exit codes of mount(8), "EXIT STATUS". */
enum { MOUNT_DONE = 0, MOUNT_USAGE = 1, MOUNT_FAILED = 32 };

static int refuse(const char *what, const char *which)
{
	fprintf(stderr,
		"mount.tdefs: %s%s\n  next: mount -t tdefs NAME DIR [-o "
		"config=FILE,accept_header]; "
		"the rest is said in tdefs.conf\n",
		what, which);
	return MOUNT_USAGE;
}

/* What stands in fstab is done at each boot. */
static int refuse_new_uuid(void)
{
	fputs("mount.tdefs: new_uuid is no mount option: a copy is given a UUID of its own once\n"
	      "  next: tdefs mount NAME --new-uuid, and unmount it; then mount it without\n",
	      stderr);
	return MOUNT_USAGE;
}

static int refuse_accept_header(const struct arguments *a)
{
	fprintf(stderr,
		"mount.tdefs: volume %s: accept_header stands in " _PATH_MNTTAB
		", or that cannot be read: at each boot an older header would be taken\n"
		"  next: take it out of there; once, by hand: tdefs mount %s --accept-header\n",
		a->name, a->name);
	return MOUNT_USAGE;
}

/*
 * A line of fstab for this directory that accepts any header: nobody looked at that header. Where
 * fstab is there and cannot be read, nobody can say that it does not.
 */
static bool fstab_accepts_header(const char *target)
{
	CLEANUP_FREE char *wanted = mount_resolve(target);
	FILE *table = setmntent(_PATH_MNTTAB, "re");
	bool found = !table && errno != ENOENT;
	const struct mntent *m;

	while (wanted && table && !found && (m = getmntent(table))) {
		CLEANUP_FREE char *where = NULL;

		if (m->mnt_dir[0] != '/' || !hasmntopt(m, "accept_header"))
			continue;
		where = mount_resolve(m->mnt_dir);
		found = where && strcmp(where, wanted) == 0;
	}
	if (table)
		endmntent(table);
	return found;
}

/*
 * What others read (mount(8), systemd.mount(5)), and what each of our mounts is
 * anyway. What we could not keep (ro, noexec) is refused, not forgotten.
 */
static bool is_for_others(const char *option)
{
	static const char *const names[] = {
		"defaults", "rw",     "nosuid", "nodev",  "exec",    "async",
		"auto",	    "noauto", "nofail", "nouser", "_netdev", "_rnetdev",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(option, names[i]) == 0)
			return true;
	return strncmp(option, "x-", 2) == 0 || strncmp(option, "X-", 2) == 0 ||
	       strncmp(option, "comment=", 8) == 0;
}

/* -1: go on. */
static int take_option(char *option, bool sloppy, struct arguments *a)
{
	static const char config[] = "config=";

	if (strncmp(option, config, strlen(config)) == 0)
		a->config = option + strlen(config);
	else if (strcmp(option, "accept_header") == 0)
		a->accept_header = true;
	else if (strcmp(option, "new_uuid") == 0)
		return refuse_new_uuid();
	else if (option[0] && !sloppy && !is_for_others(option))
		return refuse("unknown mount option: ", option);
	return -1;
}

static int take_options(char *list, bool sloppy, struct arguments *a)
{
	int code = -1;
	char *option;

	while (code < 0 && (option = strsep(&list, ",")))
		code = take_option(option, sloppy, a);
	return code;
}

bool mount_helper_is(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	return strcmp(name, "mount.tdefs") == 0 || strcmp(name, "mount.fuse.tdefs") == 0;
}

static int print_usage(void)
{
	puts("usage: mount -t tdefs NAME DIR [-o OPTION,...]\n"
	     "       mount.tdefs NAME DIR [-sfnv] [-o OPTION,...]\n"
	     "\n"
	     "Called by mount(8), for lines of fstab, too: mount the volume NAME of tdefs.conf\n"
	     "at DIR, the place that it has there. By hand: tdefs mount NAME.\n"
	     "\n"
	     "  -o config=FILE     default: $" CONFIG_ENVIRONMENT ", then " CONFIG_DEFAULT_PATH "\n"
	     "  -o accept_header   take one this host does not know, or knew newer: once\n"
	     "  -s                 pass over options that are not known\n"
	     "  -f                 go no further than the settings\n"
	     "  -n, -v             without effect\n"
	     "      --help         this\n"
	     "\n"
	     "exit: 0 done, 1 usage, 32 failed");
	return MOUNT_DONE;
}

/* mount(8) calls by a path, which getopt(3) would say. */
static int next_option(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };

	argv[0] = program_invocation_short_name;
	return getopt_long(argc, argv, "sfnvo:t:", options, NULL);
}

int mount_helper_parse(int argc, char **argv, struct arguments *a)
{
	char *lists[16];
	size_t nlists = 0;
	bool sloppy = false;
	int c, code = -1;

	while ((c = next_option(argc, argv)) != -1) {
		if (c == 'h')
			return print_usage();
		if (c == 's')
			sloppy = true;
		else if (c == 'f')
			a->check_only = true;
		else if (c == 'o' && nlists < ARRAY_SIZE(lists))
			lists[nlists++] = optarg;
		else if (c == '?' || c == 'o')
			return refuse("unusable arguments", "");
	}
	for (size_t i = 0; code < 0 && i < nlists; i++)
		code = take_options(lists[i], sloppy, a);
	if (code >= 0)
		return code;
	if (argc - optind != 2)
		return refuse("a volume's name and its directory are expected", "");
	if (argv[optind + 1][0] != '/')
		return refuse("the directory must be an absolute path: ", argv[optind + 1]);
	a->verb = "mount";
	a->name = argv[optind];
	a->target = argv[optind + 1];
	if (a->accept_header && fstab_accepts_header(a->target))
		return refuse_accept_header(a);
	return -1;
}

int mount_helper_exit_code(int code)
{
	return code ? MOUNT_FAILED : MOUNT_DONE;
}
