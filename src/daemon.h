/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount daemon as a process: going to the background, readiness, signals. And its opposite, unmounting.
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
	bool json; /* a failure is answered as JSON, too; not in the foreground */
	bool accept_header;
	bool new_uuid; /* it is a copy, and is to be an instance of its own */
	bool wait;     /* for its vault, however long it takes */
};

/*
 * Mount, and serve: in the foreground until the unmount; else in a child, and
 * return once the mount answers; it returns in each child, too, at its end. The
 * result is the exit code of whatever process we are by then.
 */
int daemon_mount(const struct mount_request *request);

/*
 * Unmount, and return when the daemon is gone. An error also when it could not
 * make everything durable. `wait`: until nobody uses it any more; done, too, when it
 * was not mounted.
 */
int daemon_unmount(const struct config *config, const struct volume_config *volume, bool wait,
		   struct errmsg *reterr) WARN_UNUSED;

/* A daemon serves it, and outside of our cgroups: systemd gives each unit one of its own. */
bool daemon_is_of_another_unit(const struct config *config, const char *name) WARN_UNUSED;

/* A mount point as the mount table has it, malloc'ed; of a dead mount only the parent resolves. */
char *mount_resolve(const char *path) WARN_UNUSED;

/* Take away the mount of the volume `name` at the resolved path, if it is the topmost. */
int mount_remove(const char *name, const char *where, struct errmsg *reterr) WARN_UNUSED;

/*
 * RUNTIME_DIR/NAME.lost: what a daemon that ends leaves for daemon_unmount() when
 * data could not be written. A mount begins without one.
 */
int loss_note(const struct config *config, const char *name, int error) WARN_UNUSED;
int loss_forget(const struct config *config, const char *name) WARN_UNUSED;

#endif
