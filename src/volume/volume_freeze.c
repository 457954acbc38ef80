/* SPDX-License-Identifier: Apache-2.0 */
/* See tdefs/volume_freeze.h. */
#include "volume_freeze.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "tdefs/log.h"
#include "tdefs/threads.h"
#include "volume_event.h"
#include "volume_internal.h"
#include "volume_rotate.h"

/* Dirty pages of a large file may take a while, and count as nothing until all are written. */
#define DRAIN_PATIENCE_MS UINT64_C(600000)
#define OTHERS_WAIT_MS	  10000u
#define CREW_MOST	  16u

struct freezer {
	struct volume *volume;
	struct freeze *freeze;
	struct crew *crew;
	_Atomic(const struct freeze_server *) server; /* NULL: nobody serves it yet */

	pthread_mutex_t lock; /* guards what follows; above freeze.lock */
	pthread_cond_t changed;
	bool ended;		   /* the volume is being closed */
	bool cancelled;		   /* by thaw or unmount, before it was frozen */
	uint64_t freeze_ms, until; /* of the one at work */
	uint64_t held;		   /* when it ended; by its server */
	struct freeze_view view;
};

struct freezer *freezer_new(struct volume *v)
{
	struct freezer *z = calloc(1, sizeof(*z));

	if (!z)
		return NULL;
	z->volume = v;
	z->freeze = freeze_new();
	z->crew = crew_new(CREW_MOST);
	pthread_mutex_init(&z->lock, NULL);
	cond_init_monotonic(&z->changed);
	if (z->freeze && z->crew)
		return z;
	freezer_free(z);
	return NULL;
}

void freezer_stop(struct freezer *z)
{
	LOCK_SCOPE(&z->lock);
	z->ended = true; /* from now on none begins to hold */
	IGNORE_RESULT(freeze_end(z->freeze, FREEZE_UNMOUNT), "nothing is held, mostly");
	while (z->view.working)
		pthread_cond_wait(&z->changed, &z->lock);
}

void freezer_free(struct freezer *z)
{
	if (!z)
		return;
	crew_free(z->crew);
	freeze_free(z->freeze);
	pthread_cond_destroy(&z->changed);
	pthread_mutex_destroy(&z->lock);
	free(z);
}

static bool is_online(const struct volume *v)
{
	return atomic_load(&v->gate.position) == 0;
}

void freezer_told(struct freezer *z)
{
	if (!is_online(z->volume))
		IGNORE_RESULT(freeze_end(z->freeze, FREEZE_STATE), "nothing is held, mostly");
}

bool freezer_is_frozen(struct freezer *z)
{
	return freeze_is_held(z->freeze);
}

bool freezer_enter(struct freezer *z, bool urgent)
{
	while (!freeze_try_enter(z->freeze)) {
		if (!urgent)
			return false;
		IGNORE_RESULT(freeze_end(z->freeze, FREEZE_STATE), "it ended meanwhile");
	}
	return true;
}

void freezer_leave(struct freezer *z)
{
	freeze_leave(z->freeze);
}

struct freeze *volume_freeze(struct volume *v)
{
	return v->freezer->freeze;
}

void volume_set_freeze_server(struct volume *v, const struct freeze_server *server)
{
	atomic_store(&v->freezer->server, server);
}

void volume_freeze_view(const struct volume *v, struct freeze_view *ret_view)
{
	struct freezer *z = v->freezer;
	LOCK_SCOPE(&z->lock);

	*ret_view = z->view;
	ret_view->frozen = z->view.frozen && freeze_is_held(z->freeze);
	if (z->view.frozen && !ret_view->frozen)
		ret_view->ended = freeze_ended_by(z->freeze);
	ret_view->held = freeze_count(z->freeze);
}

/* What the kernel holds of files that somebody may write to; it writes dirty pages first. */
static void drain_node(void *arg, uint64_t node)
{
	const struct volume *v = arg;

	volume_drop_pages(v, node);
}

static void let_go(void *arg, uint64_t node)
{
	const struct volume *v = arg;

	store_let_go(v->store, node);
}

static int drain(struct freezer *z)
{
	const struct crew_work work = { .visit = drain_node, .let_go = let_go, .arg = z->volume };
	CLEANUP_FREE uint64_t *nodes = NULL;
	ssize_t n = store_hold_files(z->volume->store, true, &nodes);

	if (n < 0)
		return (int)n;
	return crew_run(z->crew, &work, nodes, (size_t)n, DRAIN_PATIENCE_MS) ? 0 : -ETIMEDOUT;
}

/* Once nothing new begins: was there something else that writes to the backing? */
static int check_alone(struct freezer *z)
{
	struct rotation_view rotation;

	if (!freeze_wait_for_others(z->freeze, OTHERS_WAIT_MS))
		return -ETIMEDOUT;
	volume_rotation_view(z->volume, &rotation);
	if (rotation.busy)
		return -EBUSY;
	return is_online(z->volume) ? 0 : -EAGAIN;
}

static void serve_held(struct freezer *z)
{
	const struct freeze_server *server = atomic_load(&z->server);

	if (server)
		freeze_serve(z->freeze, server->serve, server->arg);
}

/* Waits for nothing but the end: what is held goes on then, also while a disk does not answer. */
static void *serve_at_end(void *arg)
{
	struct freezer *z = arg;

	IGNORE_RESULT(freeze_wait(z->freeze, z->freeze_ms), "whatever ended it");
	z->held = freeze_held(z->freeze);
	serve_held(z);
	return NULL;
}

static bool is_cancelled(struct freezer *z)
{
	LOCK_SCOPE(&z->lock);
	return z->cancelled || z->ended;
}

/* Its time runs from here. */
static int hold(struct freezer *z, pthread_t *ret_server)
{
	const struct freeze_server *server = atomic_load(&z->server);
	int r;

	if (server)
		server->prepare(server->arg);
	z->until = clock_kernel.now() + z->freeze_ms / 1000;
	freeze_hold(z->freeze);
	r = -pthread_create(ret_server, NULL, serve_at_end, z);
	if (r < 0) {
		IGNORE_RESULT(freeze_end(z->freeze, FREEZE_FAILED), "it may have ended by itself");
		serve_held(z);
	}
	return r;
}

static int sync_frozen(struct freezer *z)
{
	int r = is_cancelled(z) ? -ECANCELED : check_alone(z);

	if (r == 0)
		r = store_sync_all(z->volume->store);
	return r == 0 && !freeze_is_held(z->freeze) ? -ECANCELED : r;
}

static void say_why(const struct freezer *z, int r, struct errmsg *err)
{
	const char *name = z->volume->vc->name, *what = z->freeze_ms ? "not frozen" : "not synced";
	const bool again = r == -EBUSY || r == -EAGAIN || r == -ECANCELED;

	if (again)
		errmsg_next(err, "try again when that is over: see tdefsctl status %s", name);
	else
		errmsg_next(err,
			    "see the backing file system and tdefsctl events %s; what was "
			    "written is not safe",
			    name);
	(void)errmsg_fail(err, r, again ? EXIT_CODE_TRY_AGAIN : EXIT_CODE_FAILED,
			  "volume %s: %s: %s", name, what,
			  r == -EBUSY	    ? "a rotation is at work"
			  : r == -EAGAIN    ? "it is not online"
			  : r == -ECANCELED ? "it was ended before all was durable"
					    : errno_text(r));
}

/* What came of the way to the disk. True: it is frozen. */
static bool publish(struct freezer *z, int r)
{
	LOCK_SCOPE(&z->lock);

	z->view.busy = false;
	if (r < 0) {
		z->view.error = r;
		z->view.ended = z->freeze_ms ? FREEZE_FAILED : FREEZE_NOT_ENDED;
		say_why(z, r, &z->view.message);
	} else
		z->view.at = clock_kernel.now();
	z->view.frozen = r == 0 && z->freeze_ms;
	if (z->view.frozen)
		z->view.until = z->until;
	pthread_cond_broadcast(&z->changed);
	return z->view.frozen;
}

static int sync_only(struct freezer *z)
{
	const int r = drain(z);

	return r < 0 ? r : store_sync_all(z->volume->store);
}

static void say_failed(struct freezer *z, int r)
{
	if (r < 0)
		volume_event_sync_failed(z->volume, z->freeze_ms != 0, r);
}

/* Until it has ended, and all that was held is carried out. */
static enum freeze_end freeze_and_wait(struct freezer *z)
{
	pthread_t server = 0;
	bool frozen;
	int r = sync_only(z); /* the most of it, while nothing waits for it */

	if (r == 0)
		r = hold(z, &server);
	if (r < 0) {
		say_failed(z, r);
		publish(z, r);
		return FREEZE_FAILED;
	}
	r = sync_frozen(z);
	say_failed(z, r);
	frozen = publish(z, r);
	if (frozen)
		volume_event_frozen(z->volume, z->freeze_ms);
	else
		IGNORE_RESULT(freeze_end(z->freeze, FREEZE_FAILED), "it may have ended by itself");
	pthread_join(server, NULL);
	if (!frozen)
		return FREEZE_FAILED;
	volume_event_thawed(z->volume, freeze_ended_by(z->freeze), z->held);
	return freeze_ended_by(z->freeze);
}

static void *work_in_thread(void *arg)
{
	struct freezer *z = arg;
	enum freeze_end end = FREEZE_NOT_ENDED;
	int r;

	if (z->freeze_ms) {
		end = freeze_and_wait(z);
	} else {
		r = sync_only(z);
		say_failed(z, r);
		publish(z, r);
	}
	LOCK_SCOPE(&z->lock);
	z->view.ended = end;
	z->view.frozen = z->view.working = false;
	pthread_cond_broadcast(&z->changed);
	return NULL;
}

/* Under the lock. */
static int check_free(const struct freezer *z, struct errmsg *reterr)
{
	const char *name = z->volume->vc->name;

	if (!z->ended && !z->view.working && is_online(z->volume))
		return 0;
	errmsg_next(reterr,
		    z->view.frozen ? "wait, or end the freeze: tdefsctl thaw %s"
				   : "wait for its end: tdefsctl status %s",
		    name);
	return errmsg_fail(reterr, -EAGAIN, EXIT_CODE_TRY_AGAIN, "volume %s: it is %s", name,
			   z->ended	     ? "being unmounted"
			   : z->view.frozen  ? "frozen"
			   : z->view.working ? "being synced"
					     : "not online");
}

int volume_sync(struct volume *v, uint64_t freeze_ms, uint64_t *ret_number, struct errmsg *reterr)
{
	struct freezer *z = v->freezer;
	int r;
	LOCK_SCOPE(&z->lock);

	r = check_free(z, reterr);
	if (r < 0)
		return r;
	z->freeze_ms = freeze_ms;
	z->cancelled = false;
	z->view = (struct freeze_view){ .number = z->view.number + 1,
					.freeze = freeze_ms != 0,
					.busy = true,
					.working = true };
	r = thread_start_detached(work_in_thread, z);
	if (r < 0) {
		z->view.busy = z->view.working = false;
		z->view.error = r;
		errmsg_next(reterr, "free memory or raise the limit of threads, then try again");
		return errmsg_fail(reterr, r, EXIT_CODE_TRY_AGAIN,
				   "volume %s: cannot start a thread: %s", v->vc->name,
				   errno_text(r));
	}
	*ret_number = z->view.number;
	return 0;
}

int volume_thaw(struct volume *v, enum freeze_end by, struct errmsg *reterr)
{
	struct freezer *z = v->freezer;
	enum freeze_end ended;
	bool too_early;
	int r;

	{
		LOCK_SCOPE(&z->lock);
		ended = z->view.ended;
		too_early = z->view.busy && z->view.freeze;
		z->cancelled = too_early; /* it may not hold yet */
		r = freeze_end(z->freeze, by);
	}
	if (r == 0 && !too_early)
		return 0;
	errmsg_next(reterr, "a snapshot that was not done while it was frozen is of no one "
			    "moment: take it again");
	return errmsg_fail(reterr, -EALREADY, EXIT_CODE_FAILED, "volume %s: it is not frozen%s%s",
			   v->vc->name,
			   too_early ? " yet, and will not be"
			   : ended   ? ": the last freeze was ended by "
				     : "",
			   too_early ? "" : freeze_end_name(ended));
}
