/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl verify, restore-proof: the header, and header and length of every file, mounted or not. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "progress.h"
#include "tdefs/bytes.h"
#include "tdefs/secret.h"
#include "tdefsctl.h"

struct verification {
	struct call *call;
	const struct target *target;
	struct file_context context;
	struct counters counters;
	dev_t root_dev;
	uint64_t files;
	json_t *bad; /* of {path, verdict} */
	bool proof;  /* that it can be restored: say with which key */
	struct progress progress;
	uint64_t names, total; /* but directories'; the total is counted for a terminal only */
};

static void show_progress(struct verification *v)
{
	char bad[32];

	(void)snprintf(bad, sizeof(bad), "%zu bad", json_array_size(v->bad));
	progress_show(&v->progress, &(struct progress_step){ .doing = "verifying",
							     .unit = "names",
							     .done = v->names,
							     .total = v->total,
							     .note = bad });
}

static int note_bad(struct verification *v, const char *path, const char *verdict)
{
	return json_array_append_new(v->bad, json_pack("{s:o, s:s}", "path", text_json(path),
						       "verdict", verdict)) < 0
		       ? -ENOMEM
		       : 0;
}

/*
 * What looks bad in a file that is being written may be good in the next
 * instant: the daemon can look while nobody writes. True: it says good.
 */
static bool daemon_says_good(struct verification *v, const char *path)
{
	CLEANUP_JSON json_t *request =
		json_pack("{s:s, s:o}", "command", "recheck", "path", text_json(path));
	CLEANUP_JSON json_t *answer = NULL;

	if (!v->target->volume || !request ||
	    control_call(v->call->config->runtime_dir, v->target->volume->name, request, &answer) <
		    0)
		return false;
	return json_is_true(json_object_get(answer, "good"));
}

/*
 * `name` in the directory that we are in, `path` from the volume's root. What is
 * gone meanwhile, or something else than a file by now, is not bad.
 */
static int check_file(struct verification *v, const char *name, const char *path)
{
	CLEANUP_CLOSE int fd = open_regular(AT_FDCWD, name, O_RDONLY | O_NOATIME);
	enum file_verdict verdict = 0;
	int r;

	if (fd == -ENOENT || fd == -ELOOP || fd == -EINVAL)
		return 0;
	v->files++;
	r = fd < 0 ? fd : file_check(&v->context, fd, &verdict);
	if (r == 0 && file_verdict_is_good(verdict))
		return 0;
	if (daemon_says_good(v, path))
		return 0;
	return note_bad(v, path, r < 0 ? errno_text(r) : file_verdict_text(verdict));
}

static bool is_ours(const struct verification *v, const FTSENT *e)
{
	if (e->fts_level != 1)
		return false;
	return strcmp(e->fts_name, STORE_HEADER_DIR) == 0 ||
	       (v->target->backing.is_mount_root && strcmp(e->fts_name, STORE_LOST_FOUND) == 0);
}

/* How much there is to be done. */
static int count(struct verification *v, FTS *tree, FTSENT *e)
{
	const struct progress_step looking = { "looking", "names", .done = v->total };

	if (e->fts_info == FTS_D && is_ours(v, e))
		return fts_set(tree, e, FTS_SKIP) < 0 ? -errno : 0;
	v->total += e->fts_info != FTS_D && e->fts_info != FTS_DP;
	progress_show(&v->progress, &looking);
	return 0;
}

/* The walk starts at "."; so does each path. */
static int visit(struct verification *v, FTS *tree, FTSENT *e)
{
	const char *path = e->fts_level > 0 ? e->fts_path + strlen("./") : ".";
	int r = 0;

	if (e->fts_info == FTS_D && is_ours(v, e))
		return fts_set(tree, e, FTS_SKIP) < 0 ? -errno : 0;
	if (e->fts_info == FTS_F)
		r = check_file(v, e->fts_accpath, path);
	else if (e->fts_info == FTS_D && e->fts_statp->st_dev != v->root_dev)
		r = note_bad(v, path, "another file system is mounted there");
	else if ((e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) &&
		 e->fts_errno != ENOENT)
		r = note_bad(v, path, errno_text(e->fts_errno));
	v->names += e->fts_info != FTS_D && e->fts_info != FTS_DP;
	show_progress(v);
	return r;
}

/*
 * From the directory that is open, whatever its path means by now. fts(3) goes
 * into each directory and checks that it is the one that it saw.
 */
static int walk(struct verification *v, int options,
		int (*see)(struct verification *v, FTS *tree, FTSENT *e))
{
	char *roots[] = { (char[]){ "." }, NULL };
	struct stat root;
	FTS *tree;
	FTSENT *e;
	int r = 0;

	if (fstat(v->target->backing.root_fd, &root) < 0 || fchdir(v->target->backing.root_fd) < 0)
		return -errno;
	v->root_dev = root.st_dev;
	tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | options, NULL);
	if (!tree)
		return -errno;
	while (r == 0 && (errno = 0, e = fts_read(tree)))
		r = see(v, tree, e);
	if (r == 0 && errno)
		r = -errno;
	fts_close(tree);
	return r;
}

static int note_header(struct verification *v)
{
	int r = 0;

	for (int i = 0; r == 0 && i < HEADER_COPIES; i++) {
		char path[64];

		if (v->target->header.state[i] == HEADER_COPY_GOOD)
			continue;
		(void)snprintf(path, sizeof(path), STORE_HEADER_DIR "/%s", header_copy_names[i]);
		r = note_bad(v, path, header_copy_state_text(v->target->header.state[i]));
	}
	return r;
}

/* What must be kept for this copy to open: the active slot's key does it. */
static json_t *protectors_json(const struct volume_header *h)
{
	CLEANUP_JSON json_t *list = json_array();
	char thumbprint[HEX_LEN(32)];

	for (size_t i = 0; list && i < VOLUME_SLOT_COUNT; i++) {
		const struct key_slot *s = &h->slots[i];
		json_t *one;

		if (s->state == SLOT_EMPTY)
			continue;
		one = json_pack("{s:s, s:o, s:s, s:I}", "state",
				s->state == SLOT_ACTIVE ? "active" : "previous", "kid",
				text_json(s->kid), "thumbprint",
				hex_encode(s->thumbprint, sizeof(s->thumbprint), thumbprint),
				"created", (json_int_t)s->created);
		if (json_array_append_new(list, one) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

static void print_protectors(const struct volume_header *h)
{
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++) {
		CLEANUP_FREE char *kid = text_new(h->slots[i].kid);

		if (h->slots[i].state == SLOT_ACTIVE)
			printf("  opens with %s\n", kid ? kid : "?");
	}
}

static int report(const struct verification *v)
{
	CLEANUP_FREE char *label = text_new(v->target->label);
	int code = json_array_size(v->bad) ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
	json_t *bad;
	size_t i;

	if (v->call->json)
		return print_json(json_pack("{s:o, s:b, s:I, s:O, s:o}", "backing",
					    text_json(v->target->backing_path), "key_used",
					    v->context.keys != NULL, "files", (json_int_t)v->files,
					    "bad", v->bad, "protectors",
					    protectors_json(&v->target->header.header)),
				  code);
	json_array_foreach(v->bad, i, bad)
		printf("BAD %s: %s\n", json_string_value(json_object_get(bad, "path")),
		       json_string_value(json_object_get(bad, "verdict")));
	printf("%s: %llu files checked%s, %zu bad\n", label ? label : "?",
	       (unsigned long long)v->files,
	       v->context.keys ? "" : " (without the key: no HMAC was)", json_array_size(v->bad));
	if (v->proof)
		print_protectors(&v->target->header.header);
	return code;
}

static int verify(struct verification *v)
{
	int r;

	v->bad = json_array();
	r = v->bad ? note_header(v) : -ENOMEM;
	progress_begin(&v->progress);
	if (r == 0 && v->progress.terminal)
		r = walk(v, FTS_NOSTAT, count);
	if (r == 0)
		r = walk(v, 0, visit);
	progress_end(&v->progress);
	if (r < 0) {
		errmsg_next(&v->call->err, "make the directory readable, then try again");
		(void)errmsg_fail(&v->call->err, r, EXIT_CODE_FAILED, "%s: cannot walk %s: %s",
				  v->target->label, v->target->backing_path, errno_text(r));
	}
	return r;
}

static int get_dek(struct call *call, const struct target *t, struct secret **ret_dek)
{
	const struct volume_header *h = &t->header.header;
	const char *kid = volume_header_active_slot(h)->kid;
	const struct vault_watch watch =
		call_watch(call, "verify", t->label,
			   t->volume ? t->volume->name : call_volume_of(call, kid));

	return volume_dek(call->config, &watch, h, ret_dek, &call->err);
}

static int make_keys(struct call *call, struct secret *dek, struct file_keys **ret_keys)
{
	int r;

	*ret_keys = file_keys_new();
	if (!*ret_keys)
		secret_free(dek);
	r = *ret_keys ? file_keys_set(*ret_keys, dek) : -ENOMEM;
	return r < 0 ? errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "cannot keep the DEK: %s",
				   errno_text(r))
		     : 0;
}

static int verify_target(struct call *call, bool proof)
{
	CLEANUP_SECRET struct secret *dek = NULL;
	CLEANUP_FILE_KEYS struct file_keys *keys = NULL;
	struct target t;
	struct verification v = { .call = call, .target = &t, .proof = proof };
	const struct volume_header *h = &t.header.header;
	int code;

	if (target_open(call, call->args[0], &t) < 0)
		return call_failed(call);
	secret_lock_memory(t.volume ? t.volume->settings.lock_memory
				    : call->config->server.lock_memory);
	if (!call->without_key && get_dek(call, &t, &dek) < 0) {
		target_close(&t);
		return call_failed(call);
	}
	if (dek && make_keys(call, TAKE_PTR(dek), &keys) < 0) {
		target_close(&t);
		return call_failed(call);
	}
	v.context = (struct file_context){ .sys = &sysio_kernel,
					   .keys = keys,
					   .counters = &v.counters };
	memcpy(v.context.key_domain_id, h->key_domain_id, 16);
	memcpy(v.context.dek_id, volume_header_active_slot(h)->dek_id, DEK_ID_LEN);
	code = verify(&v) < 0 ? call_failed(call) : report(&v);
	json_decref(v.bad);
	target_close(&t);
	return code;
}

int verb_verify(struct call *call)
{
	return verify_target(call, false);
}

int verb_restore_proof(struct call *call)
{
	return verify_target(call, true);
}
