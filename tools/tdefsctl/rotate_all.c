/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tdefsctl rotate --all: each configured volume, a few at a time. It keeps no state: what has
 * the newest version already is passed over, so whoever is interrupted begins anew.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "rotate.h"
#include "survey.h"
#include "tdefs/protector.h"

/*
 * So many volumes at once: some 12 calls each, which must stay below what a vault answers (Key
 * Vault: 2000 in 10 s for RSA 2048). What is throttled waits for its Retry-After (azure_call.c).
 */
#define WORKERS_MAX 8
/* What a vault would not answer is asked again, by fewer, as long as that gets something done. */
#define WORKERS_AGAIN 2

enum fate { PENDING, ROTATED, CURRENT, PINNED, NOT_FORMATTED, FAILED, FATES };

static const char *const fate_names[FATES] = {
	[PENDING] = "pending",
	[ROTATED] = "rotated",
	[CURRENT] = "current",
	[PINNED] = "pinned",
	[NOT_FORMATTED] = "not-formatted",
	[FAILED] = "failed",
};

struct job {
	const struct survey_header *header;
	enum fate fate;
	json_t *rotation; /* what came of it, as status --json has it; NULL: nothing did */
	struct errmsg error;
};

/* Which version a key's name stands for now: asked once, not once a volume. */
struct newest {
	const char *protector;
	enum vault_verdict verdict;
	bool is_away; /* nobody answers there */
	struct vault_key key;
	struct errmsg error;
};

struct fleet {
	struct call *call;
	struct rotation_request request;
	struct job *jobs;
	size_t njobs;

	pthread_mutex_t lock; /* guards what follows; held for no call to a vault or a daemon */
	size_t next;	      /* job to be done */
	size_t counts[FATES];
	struct newest *newest;
	size_t nnewest;
	struct progress progress;
};

static const char *protector_of(const struct fleet *f, const struct job *job)
{
	return f->request.to[0] ? f->request.to : job->header->volume->settings.protector;
}

static bool find_newest(struct fleet *f, const char *protector, struct newest *ret_newest)
{
	LOCK_SCOPE(&f->lock);

	for (size_t i = 0; i < f->nnewest; i++) {
		if (strcmp(f->newest[i].protector, protector) != 0)
			continue;
		*ret_newest = f->newest[i];
		return true;
	}
	return false;
}

/* A denial may be this volume's alone, and a vault that throttles does answer: neither is kept. */
static void keep_newest(struct fleet *f, const struct newest *n)
{
	LOCK_SCOPE(&f->lock);

	if ((n->verdict == VAULT_GRANTED || n->is_away) && f->nnewest < f->njobs)
		f->newest[f->nnewest++] = *n;
}

static void forget_unreachable(struct fleet *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->nnewest; i++)
		if (f->newest[i].verdict == VAULT_GRANTED)
			f->newest[kept++] = f->newest[i];
	f->nnewest = kept;
}

static void ask_newest(struct fleet *f, struct call *call, const struct job *job,
		       struct newest *ret_newest)
{
	const struct volume_config *vc = job->header->volume;
	const struct vault_watch watch = call_watch(call, "rotate", vc->name, vc->name);
	struct newest n = { .protector = protector_of(f, job), .verdict = VAULT_BROKEN };
	CLEANUP_FREE struct vault_report *report = calloc(1, sizeof(*report));
	struct watched_vault *vault = NULL;

	if (report && watched_vault_open(&watch, n.protector, &vc->settings, &clock_kernel, &vault,
					 &n.error) == 0) {
		struct vault *v = watched_vault_of(vault);

		n.verdict = v->ops->get(v, n.protector, VAULT_PROBE_TIMEOUT_MS, &n.key, report);
		n.is_away = n.verdict == VAULT_UNREACHABLE && report->http_status == 0 &&
			    !report->credential_alarm;
		n.error = report->error;
		n.error.exit_code = EXIT_CODE_TRY_AGAIN;
	}
	watched_vault_close(vault);
	call_close_log(call);
	keep_newest(f, &n);
	*ret_newest = n;
}

/* What was chosen (--to) is pinned, or no longer is, though the volume has it: not for us to say. */
static bool has_newest(const struct fleet *f, const struct job *job, const struct newest *n)
{
	const struct survey_header *h = job->header;
	const struct key_slot *slot = &h->slots[0];

	return n->verdict == VAULT_GRANTED && strcmp(slot->kid, n->key.kid) == 0 &&
	       memcmp(slot->thumbprint, n->key.thumbprint, THUMBPRINT_LEN) == 0 &&
	       !(f->request.retire && h->nslots > 1) && !f->request.unpin && !f->request.to[0];
}

static bool is_pinned(const struct fleet *f, const struct job *job)
{
	return job->header->compatible & VOLUME_PINNED && !f->call->unpin && !f->request.to[0];
}

static enum fate rotate_job(struct fleet *f, struct job *job)
{
	struct call call = *f->call;
	char *args[] = { job->header->volume->name };
	struct newest newest;

	call.args = args;
	call.nargs = 1;
	call.err = (struct errmsg){ 0 };
	if (job->header->error)
		job->error = *job->header->error;
	if (job->header->error)
		return FAILED;
	if (job->header->nslots == 0)
		return NOT_FORMATTED;
	if (is_pinned(f, job))
		return PINNED;
	if (!find_newest(f, protector_of(f, job), &newest))
		ask_newest(f, &call, job, &newest);
	if (has_newest(f, job, &newest))
		return CURRENT;
	job->error = newest.error;
	if (newest.is_away)
		return FAILED;
	if (rotate_volume(&call, &f->request, &job->rotation) == 0) {
		call_close_log(&call);
		return json_is_true(json_object_get(job->rotation, "rotated")) ||
				       json_is_true(json_object_get(job->rotation, "retired"))
			       ? ROTATED
			       : CURRENT;
	}
	job->error = call.err;
	call_close_log(&call);
	return FAILED;
}

/* Under the lock. */
static void show_progress(struct fleet *f)
{
	char note[64];

	(void)snprintf(note, sizeof(note), "%zu rotated, %zu failed", f->counts[ROTATED],
		       f->counts[FAILED]);
	progress_show(&f->progress, &(struct progress_step){ .doing = "rotating",
							     .unit = "volumes",
							     .done = f->njobs - f->counts[PENDING],
							     .total = f->njobs,
							     .note = note });
}

static struct job *take_job(struct fleet *f)
{
	LOCK_SCOPE(&f->lock);

	while (f->next < f->njobs && f->jobs[f->next].fate != PENDING)
		f->next++;
	return f->next < f->njobs ? &f->jobs[f->next++] : NULL;
}

static void *work(void *arg)
{
	struct fleet *f = arg;
	struct job *job;

	while ((job = take_job(f))) {
		enum fate fate = rotate_job(f, job);
		LOCK_SCOPE(&f->lock);

		job->fate = fate;
		f->counts[PENDING]--;
		f->counts[fate]++;
		show_progress(f);
	}
	return NULL;
}

/* Where no thread can be had it works on this one. */
static void run(struct fleet *f, size_t nworkers)
{
	pthread_t workers[WORKERS_MAX];
	size_t started = 0;

	f->next = 0;
	while (started + 1 < nworkers && pthread_create(&workers[started], NULL, work, f) == 0)
		started++;
	(void)work(f);
	while (started > 0)
		pthread_join(workers[--started], NULL);
}

/* Those that may succeed by now; how many. */
static size_t put_back(struct fleet *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->njobs; i++) {
		struct job *job = &f->jobs[i];

		if (job->fate != FAILED || job->error.exit_code != EXIT_CODE_TRY_AGAIN)
			continue;
		job->fate = PENDING;
		n++;
	}
	f->counts[FAILED] -= n;
	f->counts[PENDING] += n;
	return n;
}

static void run_all(struct fleet *f)
{
	size_t rotated;

	progress_begin(&f->progress);
	show_progress(f); /* its clock starts with the work */
	run(f, WORKERS_MAX);
	for (rotated = 0; f->counts[ROTATED] > rotated;) {
		rotated = f->counts[ROTATED];
		forget_unreachable(f);
		if (put_back(f) == 0)
			break;
		run(f, WORKERS_AGAIN);
	}
	progress_end(&f->progress);
}

static json_t *job_json(struct call *call, const struct job *job)
{
	json_t *o = json_pack("{s:s, s:s, s:b}", "name", job->header->volume->name, "result",
			      fate_names[job->fate], "mounted", (int)job->header->mounted);
	CLEANUP_JSON json_t *error = NULL;
	int r = o ? 0 : -1;

	if (r == 0 && job->fate == FAILED) {
		call->err = job->error;
		error = error_json(call);
		r = json_object_update_missing(o, error);
	}
	if (r == 0 && job->rotation)
		r = json_object_update_missing(o, job->rotation);
	if (r == 0)
		return o;
	json_decref(o);
	return NULL;
}

static int print_fleet_json(struct fleet *f, int code)
{
	CLEANUP_JSON json_t *volumes = json_array();
	json_t *counts = json_object();

	for (size_t i = 0; i < f->njobs; i++)
		if (json_array_append_new(volumes, job_json(f->call, &f->jobs[i])) < 0)
			return print_json(NULL, EXIT_CODE_FAILED);
	for (size_t i = ROTATED; i < FATES; i++)
		if (json_object_set_new(counts, fate_names[i],
					json_integer((json_int_t)f->counts[i])) < 0)
			return print_json(NULL, EXIT_CODE_FAILED);
	return print_json(json_pack("{s:o, s:O, s:i}", "counts", counts, "volumes", volumes,
				    "exit_code", code),
			  code);
}

static void print_fleet(struct fleet *f)
{
	for (size_t i = 0; i < f->njobs; i++) {
		struct job *job = &f->jobs[i];
		const char *name = job->header->volume->name;

		if (job->fate == FAILED)
			(void)errmsg_print(&job->error, PROGRAM);
		if (json_is_true(json_object_get(job->rotation, "pinned")))
			printf("%s: pinned to %s, not the newest version (--unpin)\n", name,
			       f->request.to);
		if (job->fate == PINNED)
			printf("%s: pinned to %s: left alone (--unpin)\n", name,
			       job->header->slots[0].kid);
		if (job->fate == NOT_FORMATTED)
			printf("%s: not formatted\n", name);
	}
	printf("%zu volumes: %zu rotated, %zu had the key already, %zu left pinned, "
	       "%zu not formatted, %zu failed\n",
	       f->njobs, f->counts[ROTATED], f->counts[CURRENT], f->counts[PINNED],
	       f->counts[NOT_FORMATTED], f->counts[FAILED]);
}

static int worst_of(const struct fleet *f)
{
	int code = EXIT_CODE_DONE;

	for (size_t i = 0; i < f->njobs; i++)
		if (f->jobs[i].fate == FAILED)
			code = worse_exit_code(code, (int)f->jobs[i].error.exit_code);
	return code;
}

static int rotate_fleet(struct fleet *f, const struct survey *survey)
{
	int code;

	for (size_t i = 0; i < f->njobs; i++)
		f->jobs[i].header = &survey->headers[i];
	f->counts[PENDING] = f->njobs;
	run_all(f);
	code = worst_of(f);
	if (f->call->json)
		code = print_fleet_json(f, code);
	else
		print_fleet(f);
	for (size_t i = 0; i < f->njobs; i++)
		json_decref(f->jobs[i].rotation);
	return code;
}

int rotate_all(struct call *call, const struct rotation_request *request)
{
	CLEANUP_SURVEY struct survey survey = { 0 };
	CLEANUP_FREE struct job *jobs = NULL;
	CLEANUP_FREE struct newest *newest = NULL;
	struct fleet fleet = { .call = call, .request = *request };
	int code;

	if (call->nargs)
		return usage_error(call, "rotate takes a NAME or --all");
	if (survey_take(call, &survey) < 0)
		return call_failed(call);
	jobs = calloc(survey.count + 1, sizeof(*jobs));
	newest = calloc(survey.count + 1, sizeof(*newest));
	if (!jobs || !newest)
		return print_json(NULL, EXIT_CODE_FAILED);
	fleet.jobs = jobs;
	fleet.newest = newest;
	fleet.njobs = survey.count;
	pthread_mutex_init(&fleet.lock, NULL);
	code = rotate_fleet(&fleet, &survey);
	pthread_mutex_destroy(&fleet.lock);
	return code;
}
