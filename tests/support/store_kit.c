/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/store/node.h" /* to see what is kept, and to hurry what waits */
#include "faults.h"
#include "kit.h"
#include "store_kit.h"
#include "temporary.h"

struct store *store;
int root_fd;
const struct caller self;
char root[TEMPORARY_PATH_MAX];

void open_store(const struct sysio *sys)
{
	struct store_options o = { .files = *kit_context(sys),
				   .root_fd = root_fd,
				   .hide_lost_found = true };

	assert_int_equal(store_open(&o, &store), 0);
}

int store_kit_setup(void **state)
{
	(void)state;
	umask(0);
	if (temporary_directory(root) < 0)
		return -1;
	root_fd = open(root, O_RDONLY | O_DIRECTORY);
	kit_reset_events();
	open_store(&faults_sysio);
	return mkdirat(root_fd, ".tdefs", 0700) || mkdirat(root_fd, "lost+found", 0700);
}

int store_kit_teardown(void **state)
{
	(void)state;
	if (store)
		assert_int_equal(store_close(store), 0);
	store = NULL;
	close(root_fd);
	return temporary_remove(root);
}

struct entry lookup(uint64_t parent, const char *name)
{
	struct entry e = { 0 };

	assert_int_equal(store_lookup(store, parent, name, &e), 0);
	return e;
}

int try_lookup(uint64_t parent, const char *name)
{
	struct entry e;
	int r = store_lookup(store, parent, name, &e);

	if (r == 0)
		store_forget(store, e.node, 1);
	return r;
}

struct entry create(uint64_t parent, const char *name, uint64_t *handle)
{
	struct entry e = { 0 };

	assert_int_equal(store_create(store, &self, parent, name, 0644, O_RDWR, &e, handle), 0);
	return e;
}

void write_text(uint64_t node, const char *text, uint64_t off)
{
	assert_int_equal(store_write(store, node, kit_room(), (const uint8_t *)text, strlen(text),
				     off),
			 strlen(text));
}

void assert_text(uint64_t node, const char *text)
{
	const uint8_t *data = NULL;
	size_t len = strlen(text);

	assert_int_equal(store_read(store, node, kit_room(), 4096, 0, &data), len);
	assert_memory_equal(data, text, len);
}

uint64_t nodes(void)
{
	struct store_usage u;

	store_usage(store, &u);
	return u.nodes;
}

uint64_t open_files(void)
{
	struct store_usage u;

	store_usage(store, &u);
	return u.open_files;
}

/* Let the settling thread take what waits, now. */
void hurry(void)
{
	for (;;) {
		size_t left;

		pthread_mutex_lock(&store->settle_lock);
		for (struct node *n = store->settle_oldest; n; n = n->settle_next)
			n->settle_at_ms = 0;
		left = store->settle_count;
		pthread_cond_signal(&store->settle_wake);
		pthread_mutex_unlock(&store->settle_lock);
		if (left == 0)
			return;
		usleep(1000);
	}
}

bool take_name(void *arg, const struct dir_name *name)
{
	struct names *n = arg;

	if (n->budget == 0)
		return false;
	n->budget--;
	if (strcmp(name->name, ".") != 0 && strcmp(name->name, "..") != 0) {
		strcat(n->text, name->name);
		strcat(n->text, " ");
	}
	n->next = name->next;
	return true;
}

int store_kit_end(void **state)
{
	(void)state;
	kit_release();
	return secret_count() != 0;
}
