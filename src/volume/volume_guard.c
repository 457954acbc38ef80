/* SPDX-License-Identifier: Apache-2.0 */
/* What the guard's decisions do to a volume (guard_runner.h says on which thread). */
#include <errno.h>
#include <time.h>

#include "tdefs/log.h"
#include "volume_event.h"
#include "volume_evidence.h"
#include "volume_freeze.h"
#include "volume_internal.h"
#include "volume_newest.h"
#include "volume_secondary.h"

/* Requests that already decrypted are answered within microseconds; others cannot any more. */
#define READERS_WAIT_MS 1000u

/* Nothing was dropped for so long: the next purge looks again. */
#define PURGE_PATIENCE_MS 5000u

static struct guard_probe timed(struct volume *v, struct vault_report *ret_report,
				struct guard_probe (*ask)(struct volume *v,
							  struct vault_report *ret_report))
{
	const uint64_t began_ms = clock_kernel.boot_ms();
	const struct guard_probe answer = ask(v, ret_report);

	atomic_store(&v->probe_ms, clock_kernel.boot_ms() - began_ms);
	return answer;
}

static struct guard_probe probe(void *arg, struct vault_report *ret_report)
{
	return timed(arg, ret_report, volume_probe_vaults);
}

static struct guard_probe unlock(void *arg, struct vault_report *ret_report)
{
	return timed(arg, ret_report, volume_unlock_vaults);
}

void volume_drop_pages(const struct volume *v, uint64_t node)
{
	const struct volume_cache *cache = atomic_load(&v->cache);

	if (cache)
		cache->drop(cache->arg, node);
}

static void drain_node(void *arg, uint64_t node)
{
	struct volume *v = arg;

	volume_drop_pages(v, node); /* the kernel writes its dirty pages first */
	store_secure(v->store, node);
}

static void drop_node(void *arg, uint64_t node)
{
	volume_drop_pages(arg, node);
}

/* What was refused is on no disk: whoever reads must not find it any more. */
static void drop_refused(void *arg, uint64_t node)
{
	struct volume *v = arg;

	if (store_is_latched(v->store, node))
		volume_drop_pages(v, node);
}

static void let_go(void *arg, uint64_t node)
{
	const struct volume *v = arg;

	store_let_go(v->store, node);
}

/* Every file, or those that may be written to, whichever of them hang. */
static bool visit_files(struct volume *v, struct crew *crew, bool only_writable,
			void (*visit)(void *arg, uint64_t node), uint64_t patience_ms)
{
	const struct crew_work work = { .visit = visit, .let_go = let_go, .arg = v };
	CLEANUP_FREE uint64_t *nodes = NULL;
	ssize_t n = store_hold_files(v->store, only_writable, &nodes);

	if (n < 0)
		log_error("volume %s: cannot go through its files: %s", v->vc->name,
			  errno_text((int)n));
	return n >= 0 && crew_run(crew, &work, nodes, (size_t)n, patience_ms);
}

/* Read-only keeps what is cached, but for files that may be dirty in mappings. */
static void drain(void *arg, enum guard_state target)
{
	struct volume *v = arg;

	IGNORE_RESULT(visit_files(v, v->drain_crew, target == GUARD_READ_ONLY, drain_node,
				  guard_runner_policy(v->runner).drain_timeout_ms),
		      "what hangs is latched when it fails");
}

/* Whoever entered before the gate moved may still put a page into the cache. */
static bool wait_for_readers(const struct volume *v)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };

	for (unsigned i = 0; i < READERS_WAIT_MS; i++) {
		if (atomic_load(&v->gate.readers) == 0)
			return true;
		nanosleep(&pause, NULL);
	}
	return false; /* they hang with the disk; the next purge looks again */
}

static bool purge(void *arg, enum guard_state state)
{
	struct volume *v = arg;
	bool all = state == GUARD_INACCESSIBLE;
	bool alone = !all || wait_for_readers(v);
	bool gone = visit_files(v, v->purge_crew, false, all ? drop_node : drop_refused,
				PURGE_PATIENCE_MS);

	return alone && gone;
}

/* While it is frozen the age of a grant can wait; a lock or a denial cannot. */
static int persist(void *arg, const struct guard_record *record)
{
	struct volume *v = arg;
	const bool urgent = record->locked || record->denied || record->pending;
	int r;

	if (!freezer_enter(v->freezer, urgent))
		return -EAGAIN;
	r = guard_record_write(v->sys, v->backing.header_fd, record);
	freezer_leave(v->freezer);
	volume_event_persisted(v, r);
	if (r < 0)
		log_error("volume %s: event=state_not_kept: cannot write .tdefs/state: %s; a "
			  "restart may forget what happened",
			  v->vc->name, errno_text(r));
	return r;
}

static void gate(void *arg, const struct guard *guard)
{
	struct volume *v = arg;

	gate_move(&v->gate, guard);
	freezer_told(v->freezer); /* before anything is written of it, and any page pushed */
}

static void wipe(void *arg)
{
	const struct volume *v = arg;

	file_keys_wipe(v->keys);
}

static void told(void *arg, const struct guard *before, const struct guard *after,
		 const struct vault_report *report)
{
	const struct volume *v = arg;
	const char *name = v->vc->name;
	bool trouble = after->silent_ms || after->denials;
	char reasons[64];

	secondary_told(v->secondary, after);
	newest_told(v->newest, after);
	if (before->secondary_serves != after->secondary_serves)
		log_warning("volume %s: event=%s_serves", name,
			    after->secondary_serves ? "secondary" : "primary");
	if (before->state != after->state || before->reasons != after->reasons)
		log_warning("volume %s: event=state state=%s target=%s reasons=%s", name,
			    guard_state_name(after->state), guard_state_name(after->target),
			    guard_reasons_text(after->reasons, reasons, sizeof(reasons)));
	if (trouble && !before->silent_ms && !before->denials)
		log_warning("volume %s: event=probe_failed class=%s: %s", name,
			    vault_verdict_name(report->verdict), report->error.text);
	if (!trouble && (before->silent_ms || before->denials))
		log_info("volume %s: event=probe_granted", name);
	volume_event_step(v, before, after, report);
}

const struct guard_ops volume_guard_ops = {
	.probe = probe,
	.unlock = unlock,
	.drain = drain,
	.purge = purge,
	.persist = persist,
	.gate = gate,
	.wipe = wipe,
	.told = told,
};
