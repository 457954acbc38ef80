/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's system calls, recorded: what they change below one directory, so
 * that it can be laid out there again as a power cut after any of them leaves it.
 * For small trees; sim_disk.h is the one for a file's own bytes.
 */
#ifndef TDEFS_TEST_POWER_CUT_H
#define TDEFS_TEST_POWER_CUT_H

#include "tdefs/sysio.h"

/* What stands below `root` now is on disk; what is done by these calls from here on is recorded. */
const struct sysio *power_cut_begin(const char *root);
void power_cut_end(void);

/* Changes and syncs recorded since. */
size_t power_cut_calls(void);

/*
 * Lay `root` out as it is when the power is cut after the first n of them. What
 * was synced stands. Of the rest, each 512-byte piece of a file may have reached
 * the disk; and of what happened to the names of a directory, any first part.
 * `random` gives numbers below its argument.
 */
void power_cut_after(size_t n, unsigned (*random)(unsigned below));

/*
 * Lay it out as a process leaves it that is killed there: all of it happened, but
 * is as unsafe as it was. The calls after are forgotten, and recording goes on.
 */
void power_cut_kill(size_t n);

#endif
