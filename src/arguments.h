/* SPDX-License-Identifier: Apache-2.0 */
/* What one call of tdefs asks for, whichever way it was called. */
#ifndef TDEFS_ARGUMENTS_H
#define TDEFS_ARGUMENTS_H

#include <stdbool.h>

struct arguments {
	const char *config;
	bool json, foreground, accept_header, new_uuid, wait, own;
	bool check_only; /* by mount(8)'s -f: go no further than the settings */
	const char *verb, *name;
	const char *target; /* where mount(8) wants it; NULL: wherever tdefs.conf says */
};

/* Was this program called as mount.tdefs or mount.fuse.tdefs? */
bool mount_helper_is(const char *program);

/*
 * Arguments as mount(8) gives them to a helper (mount(8), "EXTERNAL HELPERS"):
 * NAME DIR [-sfnv] [-o OPTION,...]. -1: go on; else the exit code.
 */
int mount_helper_parse(int argc, char **argv, struct arguments *a);

/* mount(8)'s exit code for one of ours. */
int mount_helper_exit_code(int code);

#endif
