/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "confirm.h"

#include <stdio.h>
#include <unistd.h>

bool confirm(bool yes, const char *question)
{
	int c;

	if (yes)
		return true;
	if (!isatty(STDIN_FILENO))
		return false;
	fprintf(stderr, "%s [y/N] ", question);
	c = getchar();
	return c == 'y' || c == 'Y';
}
