/* SPDX-License-Identifier: Apache-2.0 */
/* What the name that a file is first seen under makes of it, for as long as its node lives. */
#include <fnmatch.h>
#include <string.h>

#include "node.h"

/*
 * Files that engines share as memory, and make anew after a crash: SQLite's
 * index of a WAL, LMDB's table of readers. What is refused of them is no loss.
 */
static bool is_memory(const char *name)
{
	return fnmatch("*-shm", name, 0) == 0 || strcmp(name, "lock.mdb") == 0;
}

void node_set_kind(const struct store *s, struct node *n, const char *name)
{
	if (!S_ISREG(n->type) || !name)
		return;
	n->direct = s->options.is_direct && s->options.is_direct(s->options.is_direct_arg, name);
	n->is_memory = is_memory(name);
}

bool store_is_direct(struct store *s, uint64_t node)
{
	return node_of(s, node)->direct;
}
