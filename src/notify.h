/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service tells systemd (sd_notify(3)): one datagram of NAME=VALUE lines to
 * $NOTIFY_SOCKET. The protocol is fixed and documented, and this is all of it that
 * we need, so that no program is linked with libsystemd.
 */
#ifndef TDEFS_NOTIFY_H
#define TDEFS_NOTIFY_H

#include <stdint.h>

/* A socket to whoever started us; -1: nobody wants to be told. The caller closes it. */
int notify_open(void);

/* Nothing for -1. Who does not listen for seconds is not told. */
void notify_send(int fd, const char *text);

/* How often this process is to say WATCHDOG=1: half of what it has; 0: nobody waits for it. */
uint64_t notify_watchdog_ms(void);

#endif
