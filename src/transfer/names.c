/* SPDX-License-Identifier: Apache-2.0 */
/* The names in a directory, by getdents64(2). */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_LEN 32768

static int add(struct names *n, size_t *room, const char *name)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (n->count == *room) {
		size_t more = *room ? 2 * *room : 64;
		char **list = reallocarray(n->list, more, sizeof(*list));

		if (!list)
			return -ENOMEM;
		n->list = list;
		*room = more;
	}
	n->list[n->count] = strdup(name);
	return n->list[n->count] ? (n->count++, 0) : -ENOMEM;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_read(const struct sysio *sys, int fd, struct names *ret_names)
{
	CLEANUP_FREE uint8_t *buffer = malloc(BUFFER_LEN);
	off_t at = buffer ? sys->lseek(fd, 0, SEEK_SET) : -ENOMEM;
	int r = at < 0 ? (int)at : 0;
	size_t room = 0;

	while (r == 0) {
		ssize_t n = sys->getdents64(fd, buffer, BUFFER_LEN);

		if (n == 0)
			break;
		r = n < 0 ? (int)n : 0;
		for (ssize_t pos = 0; r == 0 && pos < n;) {
			const struct getdents_entry *e = (const void *)(buffer + pos);

			r = add(ret_names, &room, e->name);
			pos += e->len;
		}
	}
	if (r == 0 && ret_names->count > 1)
		qsort(ret_names->list, ret_names->count, sizeof(*ret_names->list), compare);
	return r;
}

bool names_have(const struct names *names, const char *name)
{
	return names->count &&
	       bsearch(&name, names->list, names->count, sizeof(*names->list), compare);
}

void names_release(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct names){ 0 };
}
