/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a mounted volume, RUNTIME_DIR/NAME.sock: one request,
 * one line of JSON; one answer, one line of JSON. Owned root:tdefs, mode 0660;
 * by peer credentials the group may read, everything else is uid 0's.
 *
 * Requests: {"command": C} with C status, metrics, recheck ("path": "a/b"), lock, resume, reload, rotate, sync, thaw,
 * extend or freeze ("seconds": N) or drill ("kind": "outage", "denial" or "end", "seconds": N).
 * Answers carry "schema" and either what was asked for, or "error", with it
 * perhaps "next" (what to do) and "exit_code" (the program's that asked). Paths and key
 * identifiers are text as text_escape() makes it, in requests too.
 */
#ifndef TDEFS_CONTROL_H
#define TDEFS_CONTROL_H

#include <jansson.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "tdefs/errmsg.h"
#include "tdefs/outlets.h"
#include "tdefs/text.h"
#include "tdefs/transport.h"
#include "tdefs/volume_rotate.h"

#define CONTROL_SCHEMA	    1
#define CONTROL_REQUEST_MAX 8192
#define CONTROL_ANSWER_MAX  65536
#define CONTROL_GROUP	    "tdefs"

/* Bytes as text_new() makes them; NULL without memory. */
json_t *text_json(const char *bytes) WARN_UNUSED;

static inline void cleanup_json_(json_t **j)
{
	json_decref(*j);
}
#define CLEANUP_JSON CLEANUP(cleanup_json_)

struct metrics_server;

/* What the protocol tells of; outlives the server. */
struct control_context {
	struct volume *volume;
	const char *libfuse; /* version */
	struct transport transport;
	_Atomic int64_t mounted_at;	/* seconds since 1970; 0: not yet */
	struct metrics_server *metrics; /* metrics_server.h; NULL: none */
	struct hook *hook;		/* outlets.h; NULL: none */
	struct webhook *webhook;
	pid_t keeper; /* our parent, as long as there is one; 0: there never was */
};

/*
 * What an operator does next about the key, which is `kid` in its primary vault; ""
 * when nothing is to be done. Thread-safe.
 */
void control_next_step(const struct guard_view *view, const struct volume_config *vc,
		       const char *kid, char *out, size_t len);
#define CONTROL_NEXT_STEP_MAX 1200

/*
 * Answer one request: text in, JSON text out (malloc'ed; NULL: no memory).
 * Pure but for what the volume does. `uid` is the peer's.
 */
char *control_answer(const struct control_context *context, const char *request, size_t len,
		     uid_t uid) WARN_UNUSED;

/* Its metrics, in Prometheus text (exposition.h); malloc'ed; NULL: no memory. Thread-safe. */
char *control_metrics(const struct control_context *context) WARN_UNUSED;
/* The same of a volume whose daemon does not answer. */
char *control_metrics_down(const char *volume) WARN_UNUSED;

struct control_server;

/* Make the socket (and `runtime_dir`) and serve it in a thread. */
int control_start(const struct control_context *context, const char *runtime_dir,
		  struct control_server **ret_server, struct errmsg *reterr) WARN_UNUSED;
void control_stop(struct control_server *server); /* removes the socket; accepts NULL */

/*
 * Ask the daemon of `volume`. -ENOENT or -ECONNREFUSED: no daemon. The answer
 * is the caller's to json_decref().
 */
int control_call(const char *runtime_dir, const char *volume, const json_t *request,
		 json_t **ret_answer) WARN_UNUSED;

/*
 * A pidfd of the process that serves the volume's socket, by the kernel's word,
 * and the mount point that it tells of (malloc'ed; NULL: it did not answer).
 * -ENOENT or -ECONNREFUSED: no daemon.
 */
int control_find_daemon(const char *runtime_dir, const char *volume, char **ret_mount,
			int *ret_pidfd) WARN_UNUSED;

#endif
