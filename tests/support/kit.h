/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of encrypted files share: a key, a context, patterns, random numbers. */
#ifndef TDEFS_TEST_KIT_H
#define TDEFS_TEST_KIT_H

#include "tdefs/file.h"

/* A context with a fixed DEK on the given system calls; events are counted. */
const struct file_context *kit_context(const struct sysio *sys);
unsigned kit_events(enum file_event event); /* since kit_reset_events() */
void kit_reset_events(void);
void kit_release(void);		/* frees the DEK */
int kit_teardown(void **state); /* of a group: the same, and no secret may be left */

/* A copy of that DEK; the caller's. */
struct secret *kit_dek(void);

/* Open the simulated file; the test fails when that fails. */
struct file *kit_open_sim(void);

/* Room for requests up to KIT_MAX bytes. */
#define KIT_MAX 65536
struct file_room kit_room(void);

/* Write all, read all, or fail the test. */
void kit_write(struct file *f, const uint8_t *data, size_t len, uint64_t off);
void kit_read(struct file *f, uint8_t *out, size_t len, uint64_t off);

/* Byte i of a recognisable pattern, never zero. */
uint8_t kit_pattern(unsigned seed, uint64_t i);
void kit_fill(uint8_t *out, size_t len, unsigned seed, uint64_t from);

/* A small, repeatable generator. */
void kit_seed(uint64_t seed);
unsigned kit_random(unsigned below); /* 0 .. below - 1; 0 for 0 */
/* $TDEFS_TEST_SEED, or one from the clock; printed, so that a failure can be replayed. */
uint64_t kit_announce_seed(const char *what);

#endif
