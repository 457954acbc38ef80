/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting the headers. How directories are walked is walk.c's. */
#include "survey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int too_many(const struct survey *s, const char *what, unsigned most)
{
	errmsg_next(&s->call->err, "search fewer directories at a time");
	return errmsg_fail(&s->call->err, -E2BIG, EXIT_CODE_FAILED, "more than %u %s", most, what);
}

static int no_memory(const struct survey *s)
{
	return errmsg_fail(&s->call->err, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
}

static void show_progress(struct survey *s)
{
	char found[32];

	(void)snprintf(found, sizeof(found), "%zu headers", s->count);
	progress_show(&s->progress,
		      &(struct progress_step){ "searching", "directories", .done = s->directories,
					       .note = found });
}

/* A place at the end of the list; NULL: no memory, or too many. */
static struct survey_header *add(struct survey *s, const char *path)
{
	struct survey_header *headers;

	if (s->count == SURVEY_HEADERS_MAX) {
		(void)too_many(s, "headers", SURVEY_HEADERS_MAX);
		return NULL;
	}
	headers = reallocarray(s->headers, s->count + 1, sizeof(*headers));
	if (headers)
		s->headers = headers;
	if (headers)
		headers[s->count] = (struct survey_header){ .path = strdup(path) };
	if (!headers || !headers[s->count].path) {
		(void)no_memory(s);
		return NULL;
	}
	return &headers[s->count++];
}

static int note_error(struct survey_header *h, const struct errmsg *error)
{
	h->error = malloc(sizeof(*h->error));
	if (!h->error)
		return -ENOMEM;
	*h->error = *error;
	text_escape_message(h->error);
	return 0;
}

static int compare_slots(const void *a, const void *b)
{
	const struct key_slot *one = a, *other = b;

	if (one->state != other->state)
		return one->state == SLOT_ACTIVE ? -1 : 1;
	return one->created == other->created ? 0 : one->created > other->created ? -1 : 1;
}

static int take_header(struct survey_header *h, const struct header_found *found)
{
	const struct volume_header *v = &found->header;

	h->slots = calloc(VOLUME_SLOT_COUNT, sizeof(*h->slots));
	if (!h->slots)
		return -ENOMEM;
	memcpy(h->state, found->state, sizeof(h->state));
	memcpy(h->uuid, v->uuid, sizeof(h->uuid));
	h->compatible = v->compatible;
	h->sequence = v->sequence;
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		if (v->slots[i].state != SLOT_EMPTY)
			h->slots[h->nslots++] = v->slots[i];
	qsort(h->slots, h->nslots, sizeof(*h->slots), compare_slots);
	return 0;
}

static int read_header(struct survey_header *h, int header_fd, const char *label)
{
	CLEANUP_FREE struct header_found *found = malloc(sizeof(*found));
	struct errmsg error = { 0 };
	int r;

	if (!found)
		return -ENOMEM;
	if (header_read(&sysio_kernel, header_fd, label, found, &error) < 0)
		return note_error(h, &error);
	r = take_header(h, found);
	return r < 0 ? r : survey_read_kept(h, header_fd);
}

/* A directory without a header is no volume, if none was ever made under this name. */
static int note_unformatted(const struct survey *s, struct survey_header *h,
			    const struct volume_config *vc)
{
	struct errmsg error = { 0 };
	struct pin pin;
	int r = pin_read(&sysio_kernel, s->call->config->state_dir, vc->name, &pin);

	if (r == -ENOENT)
		return 0;
	errmsg_next(&error, "mount the file system that has it, or correct \"backing\"");
	(void)errmsg_fail(&error, -ENOENT, EXIT_CODE_FAILED,
			  "volume %s: backing %s has no header, but %s", vc->name, vc->backing,
			  r == 0 ? "it has a pin" : "its pin cannot be read");
	return note_error(h, &error);
}

static int add_volume(struct survey *s, const struct volume_config *vc)
{
	CLEANUP_BACKING struct backing b = BACKING_NONE;
	struct survey_header *h = add(s, vc->backing);
	struct errmsg error = { 0 };
	int r;

	if (!h)
		return -ENOMEM;
	h->volume = vc;
	h->mounted = survey_answers(s->call->config, vc->name);
	if (backing_open(vc->backing, vc->name, true, &b, &error) < 0)
		return note_error(h, &error);
	r = directory_id_of(b.root_fd, &h->id);
	if (r < 0)
		return r;
	r = b.header_fd < 0 ? 0 : header_exists(&sysio_kernel, b.header_fd);
	if (r == 0)
		return note_unformatted(s, h, vc);
	return read_header(h, b.header_fd, vc->name);
}

static bool is_known(const struct survey *s, const struct directory_id *id)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->headers[i].id.dev == id->dev && s->headers[i].id.ino == id->ino)
			return true;
	return false;
}

/* A .tdefs that cannot be looked into, or a file. */
static int note_unreadable(struct survey_header *h, const char *path, int r)
{
	struct errmsg error = { 0 };

	errmsg_next(&error,
		    r == -EPROTONOSUPPORT ? "upgrade tdefs" : "be root, or make it readable");
	(void)errmsg_fail(&error, r, EXIT_CODE_FAILED, "%s: cannot read its header: %s", path,
			  errno_text(r));
	return note_error(h, &error);
}

static bool is_beneath_a_good_one(const struct survey *s, const char *path)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct survey_header *h = &s->headers[i];
		const size_t len = strlen(h->path);

		if (h->nslots && strncmp(path, h->path, len) == 0 && path[len] == '/')
			return true;
	}
	return false;
}

/*
 * On beneath a header, too: copies may have been put there. Of a volume on this
 * one there is the ciphertext of its header, which its own backing has in plain.
 */
static int visit(void *arg, int fd, const char *path)
{
	struct survey *s = arg;
	CLEANUP_CLOSE int header_fd =
		openat(fd, STORE_HEADER_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = header_fd < 0 ? -errno : header_exists(&sysio_kernel, header_fd);
	struct directory_id id;
	struct survey_header *h;

	s->directories++;
	show_progress(s);
	if (r == 0 || r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		return 0;
	if (r < 0) {
		h = add(s, path);
		return h ? note_unreadable(h, path, r) : -ENOMEM;
	}
	r = directory_id_of(fd, &id);
	if (r < 0)
		return r;
	if (is_known(s, &id) || (is_beneath_a_good_one(s, path) && survey_is_ciphertext(header_fd)))
		return 0;
	h = add(s, path);
	if (!h)
		return -ENOMEM;
	h->id = id;
	return read_header(h, header_fd, path);
}

static bool is_in_header_dir(const char *path, const char *name)
{
	static const char place[] = "/" STORE_HEADER_DIR "/";
	const size_t end = strlen(path) - strlen(name), len = strlen(place);

	return end >= len && strncmp(path + end - len, place, len) == 0;
}

/* A header backup lies anywhere; what is in a .tdefs was read with its directory. */
static int visit_file(void *arg, int dirfd, const char *name, const char *path)
{
	struct survey *s = arg;
	CLEANUP_FREE struct header_found *found = NULL;
	struct directory_id id;
	struct survey_header *h;
	int r;

	if (is_in_header_dir(path, name))
		return 0;
	found = calloc(1, sizeof(*found)); /* both copies good: it has one */
	r = found ? survey_read_file(dirfd, name, &found->header, &id) : -ENOMEM;
	if (r == 0 || r == -ENOMEM)
		return r;
	if (is_known(s, &id))
		return 0;
	h = add(s, path);
	if (!h)
		return -ENOMEM;
	h->id = id;
	return r < 0 ? note_unreadable(h, path, r) : take_header(h, found);
}

static int missed(void *arg, const char *path, const char *why)
{
	struct survey *s = arg;
	struct survey_missed *list;

	if (s->nmissed == SURVEY_MISSED_MAX)
		return too_many(s, "places that cannot be searched", SURVEY_MISSED_MAX);
	list = reallocarray(s->missed, s->nmissed + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	s->missed = list;
	list[s->nmissed] = (struct survey_missed){ strdup(path), strdup(why) };
	s->nmissed++;
	return list[s->nmissed - 1].path && list[s->nmissed - 1].why ? 0 : -ENOMEM;
}

/* The directories to search, and which they are. */
static int resolve(struct survey *s, struct directory_id *roots)
{
	const struct text_list *in = &s->call->in;

	s->searched = calloc(in->count + 1, sizeof(*s->searched));
	for (size_t i = 0; s->searched && i < in->count; i++) {
		char *path = realpath(in->texts[i], NULL);
		CLEANUP_CLOSE int fd = path ? open(path, O_PATH | O_CLOEXEC) : -1;

		s->searched[i] = path ? path : strdup(in->texts[i]);
		if (!s->searched[i])
			return -ENOMEM;
		s->nsearched++;
		if (fd >= 0 && directory_id_of(fd, &roots[i]) < 0)
			return -EIO;
	}
	return s->searched ? 0 : -ENOMEM;
}

static int search(struct survey *s)
{
	const struct walk_ops ops = { visit, visit_file, missed, s };
	const size_t n = s->call->in.count;
	CLEANUP_FREE struct directory_id *roots = calloc(n + 1, sizeof(*roots));
	int r = roots ? resolve(s, roots) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = walk(s->searched[i], roots, n, &ops);
	progress_end(&s->progress);
	return r;
}

int survey_take(struct call *call, struct survey *ret_survey)
{
	struct survey *s = ret_survey;
	int r = 0;

	*s = (struct survey){ .call = call };
	progress_begin(&s->progress);
	for (size_t i = 0; r == 0 && i < call->config->nvolumes; i++)
		r = add_volume(s, &call->config->volumes[i]);
	if (r == 0)
		r = survey_find_strays(call->config, missed, s);
	if (r == 0 && call->in.count)
		r = search(s);
	if (r < 0 && !call->err.text[0])
		return errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "cannot search: %s",
				   errno_text(r));
	return r;
}

void survey_release(struct survey *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->headers[i].path);
		free(s->headers[i].error);
		free(s->headers[i].slots);
		free(s->headers[i].kept);
	}
	for (size_t i = 0; i < s->nmissed; i++) {
		free(s->missed[i].path);
		free(s->missed[i].why);
	}
	for (size_t i = 0; i < s->nsearched; i++)
		free(s->searched[i]);
	free(s->headers);
	free(s->missed);
	free(s->searched);
	*s = (struct survey){ 0 };
}

bool survey_is_whole(const struct survey *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->headers[i].error)
			return false;
	return s->nmissed == 0;
}
