/* SPDX-License-Identifier: Apache-2.0 */
/* All nodes in turn, while requests go on. For whoever drains and purges. */
#include <errno.h>
#include <stdlib.h>

#include "node.h"

/* The nodes wanted, each held; the count. NULL in *ret_nodes: none, or no memory. */
static size_t hold_all(struct store *s, bool only_writable, struct node ***ret_nodes)
{
	struct node **nodes, *n, *next;
	size_t count = 0;
	LOCK_SCOPE(&s->table_lock);

	nodes = calloc(HASH_COUNT(s->by_handle) + 1, sizeof(struct node *));
	*ret_nodes = nodes;
	if (!nodes)
		return 0;
	HASH_ITER (hh, s->by_handle, n, next) {
		if (!S_ISREG(n->type) || (only_writable && atomic_load(&n->writers) == 0))
			continue;
		n->holds++;
		nodes[count++] = n;
	}
	return count;
}

int store_visit(struct store *s, bool only_writable, void (*visit)(void *arg, uint64_t node),
		void *arg)
{
	struct node **nodes;
	size_t count = hold_all(s, only_writable, &nodes);

	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		visit(arg, nodes[i]->id);
		node_unhold(s, nodes[i]);
	}
	free(nodes);
	return 0;
}

void store_secure(struct store *s, uint64_t node)
{
	struct node *n = node_of(s, node);
	bool open;

	pthread_mutex_lock(&n->lock);
	open = n->file != NULL;
	if (open)
		n->opens++;
	pthread_mutex_unlock(&n->lock);
	if (!open)
		return;
	file_secure(n->file);
	node_file_put(s, n, false);
}

bool store_is_latched(struct store *s, uint64_t node)
{
	struct node *n = node_of(s, node);
	LOCK_SCOPE(&n->lock);

	return n->file && file_rest(n->file) == FILE_LATCHED;
}

void store_latch(struct store *s, uint64_t node, int error)
{
	file_latch(node_of(s, node)->file, error);
}
