/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount daemon as a process: hardening, going to the background, readiness,
 * signals. And its opposite, unmounting.
 */
#ifndef TDEFS_DAEMON_H
#define TDEFS_DAEMON_H

#include <stdbool.h>

#include "tdefs/config.h"
#include "tdefs/errmsg.h"

struct mount_request {
	const struct config *config;
	const struct volume_config *volume;
	bool foreground;
	bool accept_header;
};

/*
 * Mount, and serve: in the foreground until the unmount; else in a child, and
 * return once the mount answers. The result is an exit code.
 */
int daemon_mount(const struct mount_request *request);

/* Unmount, and return when the daemon has made everything durable and is gone. */
int daemon_unmount(const struct volume_config *volume, struct errmsg *reterr) WARN_UNUSED;

/* Before anything is read: no core dumps, no debugger, few inherited descriptors. */
int daemon_harden(struct errmsg *reterr) WARN_UNUSED;

#endif
