/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the store share: one in a temporary directory on the
 * fault-injecting system calls, and short words for what they do to it. Each
 * fails the test where the store fails.
 */
#ifndef TDEFS_TEST_STORE_KIT_H
#define TDEFS_TEST_STORE_KIT_H

#include "tdefs/store.h"
#include "temporary.h"

extern struct store *store;	      /* open from setup to teardown */
extern char root[TEMPORARY_PATH_MAX]; /* its backing directory */
extern int root_fd;
extern const struct caller self;

/* cmocka's fixtures. */
int store_kit_setup(void **state);
int store_kit_teardown(void **state);
int store_kit_end(void **state); /* of the group: no secret is left */
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_kit_setup, store_kit_teardown)
void open_store(const struct sysio *sys);

struct entry lookup(uint64_t parent, const char *name);
int try_lookup(uint64_t parent, const char *name); /* what store_lookup says; forgets */
struct entry create(uint64_t parent, const char *name, uint64_t *handle);
void write_text(uint64_t node, const char *text, uint64_t off);
void assert_text(uint64_t node, const char *text);
uint64_t nodes(void);
uint64_t open_files(void);

/* Takes names of a listing, but for . and .., while the budget lasts. */
struct names {
	char text[200];
	unsigned budget;
	uint64_t next;
};
bool take_name(void *arg, const struct dir_name *name);

/* Let the settling thread take what waits, now. */
void hurry(void);

/* Wait for a condition that another thread brings about. */
#define AWAIT(condition)                                                                           \
	do {                                                                                       \
		while (!(condition))                                                               \
			usleep(1000);                                                              \
	} while (0)

#endif
