/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as a table, so that a test can have its own. Deadlines are on
 * CLOCK_BOOTTIME: a machine that slept wakes with its time spent.
 */
#ifndef TDEFS_CLOCK_H
#define TDEFS_CLOCK_H

#include <stdint.h>

struct clock {
	uint64_t (*boot_ms)(void);	 /* milliseconds since boot, sleep included */
	uint64_t (*now)(void);		 /* seconds since 1970, UTC */
	void (*sleep_ms)(uint64_t wait); /* at least so long */
};

extern const struct clock clock_kernel;

#endif
