/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's clocks. */
#include "tdefs/clock.h"

#include <errno.h>
#include <time.h>

static uint64_t boot_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t now(void)
{
	return (uint64_t)time(NULL);
}

static void sleep_ms(uint64_t wait)
{
	struct timespec left = { (time_t)(wait / 1000), (long)(wait % 1000) * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

const struct clock clock_kernel = { boot_ms, now, sleep_ms };
