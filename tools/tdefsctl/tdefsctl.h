/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of tdefsctl share. */
#ifndef TDEFSCTL_H
#define TDEFSCTL_H

#include <jansson.h>

#include "json_answer.h"
#include "tdefs/control.h"
#include "tdefs/volume_event.h"

#define PROGRAM "tdefsctl"

/* What an option gave that may be repeated. */
struct text_list {
	char **texts;
	size_t count;
};

/* One call of the program, parsed. */
struct call {
	const struct config *config;
	uint64_t given; /* options, as bits */
	const char *config_path;
	const char *verb; /* NULL: there is none yet */
	bool help, version;
	int nargs;
	char **args; /* what follows the verb */
	bool json;
	bool yes;	       /* --yes */
	bool without_key;      /* --without-key */
	bool without_xattrs;   /* --without-xattrs */
	bool key_is_backed_up; /* --key-is-backed-up */
	bool watch;	       /* --watch */
	bool outage, denial;   /* --outage, --denial */
	bool follow, verify;   /* --follow, --verify */
	const char *anchor;    /* --anchor; NULL: not given */
	bool ha;	       /* --ha */
	const char *to;	       /* --to; NULL: not given */
	bool retire;	       /* --retire */
	bool from_previous;    /* --from-previous */
	bool unpin;	       /* --unpin */
	bool all;	       /* --all */
	bool force;	       /* --force */
	const char *textfile;  /* --textfile; NULL: not given */
	bool security;	       /* --security */
	bool dry_run;	       /* --dry-run */
	struct text_list in;   /* --in, each */
	uint64_t for_ms;       /* --for; 0: not given */
	struct audit *audit;   /* call_watch() opened it; NULL: none */
	struct errmsg err;
};

/* Each verb: its arguments are counted by main; the result is an exit code. */
int verb_check(struct call *call);
int verb_format(struct call *call);
int verb_status(struct call *call);
int verb_metrics(struct call *call);
int verb_events(struct call *call);
int verb_header(struct call *call);
int verb_verify(struct call *call);
int verb_restore_proof(struct call *call);
int verb_accept_lost(struct call *call);
int verb_lock(struct call *call);
int verb_resume(struct call *call);
int verb_extend(struct call *call);
int verb_reload(struct call *call);
int verb_policy(struct call *call);
int verb_rotate(struct call *call);
int verb_rewrap(struct call *call);
int verb_drill(struct call *call);
int verb_safe_to_restart(struct call *call);
int verb_protectors(struct call *call);
int verb_safe_to_disable(struct call *call);
int verb_import(struct call *call);
int verb_export(struct call *call);
int verb_sync(struct call *call);
int verb_freeze(struct call *call);
int verb_thaw(struct call *call);
int verb_link(struct call *call);
int verb_unlink(struct call *call);

/*
 * Who is told of the use of keys by this call: the volume's event log, if root
 * asks. `label` is for messages; `volume` NULL: it is none that is configured. One
 * volume a call; main closes it.
 */
struct vault_watch call_watch(struct call *call, const char *verb, const char *label,
			      const char *volume) WARN_UNUSED;
void call_close_log(struct call *call);
/* The first volume whose protector covers the kid; NULL: none's. */
const char *call_volume_of(const struct call *call, const char *kid);

/* What a header says, as it is printed (header.c). */
const char *slot_state_text(enum slot_state state);
const char *time_text(uint64_t seconds, char out[static 32]);

/* The exit code that a state's name means. */
int state_exit_code(const char *state);

/* Of several volumes' codes; the largest is not always the worst: a failure to ask is. */
int worse_exit_code(int a, int b);

/* Print call->err, with --json also as an answer; returns its exit code. */
int call_failed(struct call *call);
int usage_error(struct call *call, const char *what);
/* The same, not printed yet: -EINVAL. */
int usage_fail(struct call *call, const char *what);
/* call->err as {"error", "next", "exit_code"}; escapes it. */
json_t *error_json(struct call *call) WARN_UNUSED;

static inline int print_json(json_t *object, int code)
{
	return json_answer_print(object, CONTROL_SCHEMA, code);
}

/* What NAME|DIR names: a configured volume, or, with a slash in it, a backing directory. */
struct target {
	const char *label; /* for messages */
	const char *backing_path;
	const struct volume_config *volume; /* NULL: a directory of no configured volume */
	struct backing backing;
	struct header_found header;
};
int target_open(struct call *call, const char *name, struct target *ret_target) WARN_UNUSED;
void target_close(struct target *t);
/* The volume whose backing it is, also by its path: of that the pin counts, too. NULL: none's. */
const struct volume_config *target_volume(const struct call *call, const struct target *t);

/*
 * Open a regular file beneath `dirfd` (AT_FDCWD: where we are) with `flags`:
 * through no symbolic link, out of no file system, and nothing else is opened,
 * whoever moves directories meanwhile. -EINVAL: it is not a regular file.
 */
int open_regular(int dirfd, const char *path, int flags) WARN_UNUSED;

#endif
