/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the daemon's process. Private to src/daemon*.c. */
#ifndef TDEFS_DAEMON_INTERNAL_H
#define TDEFS_DAEMON_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon.h"
#include "keeper.h"
#include "tdefs/audit.h"
#include "tdefs/control.h"
#include "tdefs/fs.h"
#include "tdefs/outlets.h"
#include "tdefs/volume.h"

struct daemon {
	const struct mount_request *request;
	int ready_fd; /* pipe to the waiting parent; -1 in the foreground */
	struct keeper keeper;
	bool notified;	      /* systemd wants to be told; the keeper passes it on */
	uint64_t watchdog_ms; /* how often; 0: it has no watchdog */
	char *told;	      /* the status it was told last; the guard's thread */
	char *where;	      /* the mount point, resolved */
	struct audit *audit;  /* the event log */
	int hook_link;	      /* until the hook has it; -1: there is none */
	struct hook *hook;
	struct webhook *webhook;
	struct audit_journal *journal; /* NULL: not under systemd */
	struct volume *volume;
	struct fs *fs;
	struct control_context control_context;
	struct control_server *control;
	pthread_t signal_thread;
	bool signals_served;
	_Atomic bool mounted; /* a signal unmounts; before, it ends the wait for the vault */
	bool left_behind;     /* a thread that hangs with the vault: no orderly exit(3) */
	_Atomic bool ended;   /* set before STOP_SIGNAL_THREAD */
};

/* Tell the parent that waits in daemon_mount(): an exit code, once. */
void daemon_tell_parent(struct daemon *d, enum exit_code code);

/*
 * Open the event log, before any key is there: refused only when it lies where it
 * must not. What has no log (a disk that cannot be written) goes on without.
 */
int daemon_open_events(struct daemon *d, struct errmsg *reterr) WARN_UNUSED;
void daemon_close_events(struct daemon *d);

/* Fork the process that runs on_event: with all capabilities, and before any secret. */
int daemon_fork_hook(struct daemon *d, struct errmsg *reterr) WARN_UNUSED;
/* Others from now on, or none of them; of volume_reload(). `arg` is the daemon. */
int daemon_reload_outlets(void *arg, const struct settings *now, const struct settings *was,
			  struct errmsg *reterr) WARN_UNUSED;
/* Hook and webhook, for what events the log is told of: after vault_init(). */
int daemon_open_outlets(struct daemon *d, struct errmsg *reterr) WARN_UNUSED;
#define DAEMON_SINKS 3
void daemon_sinks(const struct daemon *d, struct audit_sink ret_sinks[static DAEMON_SINKS]);
void daemon_watch_hook(struct daemon *d, bool watch); /* an event when its process ends */
/* What waits gets a few seconds; then they are freed, unless the log may still use them. */
void daemon_close_outlets(struct daemon *d);

/* Everything up to the mount, in its order. On error, daemon_finish() undoes what was done. */
int daemon_start(struct daemon *d, struct errmsg *reterr) WARN_UNUSED;
/* Everything durable and closed, in the reverse order. An error: something may not be on disk. */
int daemon_finish(struct daemon *d) WARN_UNUSED;

/*
 * Tell systemd, if it wants that: from now on the state as it changes, and that the
 * guard's thread is alive, by that thread itself; that the mount is there; that the
 * end has begun, which may take as long as the disk does.
 */
void daemon_notify_start(struct daemon *d);
void daemon_notify_ready(const struct daemon *d);
void daemon_notify_stopping(const struct daemon *d);

/* Let go of the terminal: whoever waits for our output must see its end. */
void daemon_detach_output(void);

/* Serve SIGTERM, SIGINT and SIGHUP, until daemon_stop_signals(). */
int daemon_start_signals(struct daemon *d) WARN_UNUSED;
void daemon_stop_signals(struct daemon *d);

#endif
