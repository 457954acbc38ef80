/* SPDX-License-Identifier: Apache-2.0 */
/* See temporary.h. */
#include "temporary.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static const char *parent(void)
{
	const char *given = getenv("TMPDIR");

	return given && given[0] ? given : "/var/tmp";
}

int temporary_directory(char path[static TEMPORARY_PATH_MAX])
{
	(void)snprintf(path, TEMPORARY_PATH_MAX, "%s/tdefs-test-XXXXXX", parent());
	return mkdtemp(path) ? 0 : -1;
}

int temporary_remove(const char *path)
{
	char command[2 * TEMPORARY_PATH_MAX + 64];

	(void)snprintf(command, sizeof(command), "chattr -Rf -i '%s'; rm -r '%s'", path, path);
	return system(command); /* NOLINT(cert-env33-c): a test's own words */
}

int temporary_file(void)
{
	return open(parent(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}
