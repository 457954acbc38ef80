/* SPDX-License-Identifier: Apache-2.0 */
/* All files, held while requests go on. For whoever drains and purges. */
#include <errno.h>
#include <stdlib.h>

#include "node.h"

ssize_t store_hold_files(struct store *s, bool only_writable, uint64_t **ret_nodes)
{
	struct node *n, *next;
	uint64_t *nodes;
	ssize_t count = 0;
	LOCK_SCOPE(&s->table_lock);

	nodes = calloc(HASH_COUNT(s->by_handle) + 1, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	HASH_ITER (hh, s->by_handle, n, next) {
		if (!S_ISREG(n->type) || (only_writable && atomic_load(&n->writers) == 0))
			continue;
		n->holds++;
		nodes[count++] = n->id;
	}
	*ret_nodes = nodes;
	return count;
}

void store_let_go(struct store *s, uint64_t node)
{
	node_unhold(s, node_of(s, node));
}

void store_secure(struct store *s, uint64_t node)
{
	struct node *n = node_of(s, node);
	bool open;

	pthread_mutex_lock(&n->lock);
	open = n->file != NULL;
	if (open) {
		IGNORE_RESULT(times_apply(s, n), "then it is the time of the last write");
		n->opens++;
	}
	pthread_mutex_unlock(&n->lock);
	if (!open)
		return;
	file_secure(n->file);
	node_file_put(s, n, false);
}

int store_sync_all(struct store *s)
{
	CLEANUP_FREE uint64_t *nodes = NULL;
	ssize_t n = store_hold_files(s, false, &nodes);
	int first = 0, r;

	if (n < 0)
		return (int)n;
	for (ssize_t i = 0; i < n; i++) {
		store_secure(s, nodes[i]);
		if (store_is_latched(s, nodes[i]))
			first = -EIO;
		store_let_go(s, nodes[i]);
	}
	r = store_sys(s)->syncfs(s->options.root_fd); /* names, too */
	return first < 0 ? first : r;
}

bool store_is_latched(struct store *s, uint64_t node)
{
	struct node *n = node_of(s, node);
	LOCK_SCOPE(&n->lock);

	return n->file && file_rest(n->file) == FILE_LATCHED;
}

void store_lose_page(struct store *s, uint64_t node, int error, bool latch)
{
	struct node *n = node_of(s, node);

	if (!n->is_memory)
		file_lose_page(n->file);
	if (latch)
		file_latch(n->file, error);
}
