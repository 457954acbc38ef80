/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated disk for one backing file, behind a struct sysio: counts calls,
 * fails the n-th, stops the world between two, and remembers what was not yet
 * synced, so that a power cut can leave any part of it. One file, one thread.
 */
#ifndef TDEFS_TEST_SIM_DISK_H
#define TDEFS_TEST_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tdefs/sysio.h"

#define SIM_FD 1000

extern const struct sysio sim_sysio;

/* A fresh, empty, durable file; faults off. */
void sim_reset(void);

/* Fail the n-th call from now (1: the next) with `error`; `for_ever`: and all after it. */
void sim_fail(unsigned n, int error, bool for_ever);
/* Let the first n calls that change something happen; the process dies at the next. */
void sim_stop_after(unsigned n);
/* Faults off; true if one was met since they were armed. */
bool sim_disarm(void);

/* Calls that change something since sim_reset(). */
unsigned sim_changes(void);
/* pread calls since sim_reset(). */
unsigned sim_reads(void);
/* fsync and fdatasync calls, and the change count at the last one. */
unsigned sim_syncs(void);
unsigned sim_changes_at_sync(void);

/* The file as reading sees it now. */
const uint8_t *sim_bytes(size_t *ret_len);
/* Replace it, durably. */
void sim_set(const uint8_t *bytes, size_t len);

/*
 * Power cut: what was synced stands, of the rest a random part reached the
 * disk: each 512-byte piece of a write by itself, lengths in order. `random`
 * gives numbers below its argument.
 */
void sim_power_cut(unsigned (*random)(unsigned below));

/* Copies of the whole state, to try several futures from one present. */
struct sim_state;
struct sim_state *sim_save(void);
void sim_restore(const struct sim_state *s);
void sim_state_free(struct sim_state *s);

#endif
