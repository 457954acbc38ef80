/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl header backup, header restore: a header in a file of its own. */
#include "header_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tdefs/secret.h"
#include "tdefs/volume_copy.h"

static int write_new(const char *path, const uint8_t *bytes, size_t len)
{
	CLEANUP_FREE char *copy = strdup(path);
	CLEANUP_CLOSE int dirfd = -1;
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = sysio_pwrite_all(&sysio_kernel, fd, bytes, len, 0);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && copy)
		dirfd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && (dirfd < 0 || fsync(dirfd) < 0))
		r = -errno;
	if (r < 0)
		unlink(path);
	return r;
}

static int failed(struct call *call, int r, const char *what, const char *path)
{
	errmsg_next(&call->err, r == -EEXIST ? "name a new file: nothing is overwritten"
					     : "look at its directory and its disk");
	(void)errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "cannot %s %s: %s", what, path,
			  errno_text(r));
	return call_failed(call);
}

int header_backup(struct call *call, const char *name, const char *path)
{
	CLEANUP_FREE uint8_t *bytes = malloc(VOLUME_HEADER_LEN);
	struct target t;
	int r;

	if (target_open(call, name, &t) < 0)
		return call_failed(call);
	r = bytes ? volume_header_encode(&t.header.header, sha256, bytes) : -ENOMEM;
	target_close(&t);
	if (r == 0)
		r = write_new(path, bytes, VOLUME_HEADER_LEN);
	if (r < 0)
		return failed(call, r, "write", path);
	if (call->json)
		return print_json(json_pack("{s:o, s:o, s:I}", "name", text_json(name), "file",
					    text_json(path), "sequence",
					    (json_int_t)t.header.header.sequence),
				  EXIT_CODE_DONE);
	printf("%s: header of sequence %llu in %s; it opens the data with its protector, no "
	       "other\n",
	       name, (unsigned long long)t.header.header.sequence, path);
	return EXIT_CODE_DONE;
}

static int read_header(const char *path, struct volume_header *ret_header)
{
	CLEANUP_FREE uint8_t *bytes = malloc(VOLUME_HEADER_MAX);
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	n = atomic_file_read(&sysio_kernel, AT_FDCWD, path, bytes, VOLUME_HEADER_MAX);
	return n < 0 ? (int)n : volume_header_parse(bytes, (size_t)n, sha256, ret_header);
}

/* Not target_open(): what is there may be no good header, which is why another is to come. */
static int open_backing(struct call *call, const char *name, struct target *t)
{
	int r = 0;

	*t = (struct target){ .label = name, .backing_path = name, .backing = BACKING_NONE };
	if (!strchr(name, '/')) {
		r = config_volume(call->config, name, &t->volume, &call->err);
		if (r < 0)
			return r;
		t->backing_path = t->volume->backing;
	}
	r = backing_open(t->backing_path, name, true, &t->backing, &call->err);
	if (r < 0 || t->backing.header_fd >= 0)
		return r;
	errmsg_next(&call->err, "if it was lost: install -d -m 700 %s/" STORE_HEADER_DIR,
		    t->backing_path);
	return errmsg_fail(&call->err, -ENOENT, EXIT_CODE_FAILED, "%s: %s has no " STORE_HEADER_DIR,
			   name, t->backing_path);
}

static int report(struct call *call, const char *name, const struct volume_header *h,
		  const struct header_restored *what)
{
	const bool older = what->newest > h->sequence;

	if (call->json)
		return print_json(
			json_pack("{s:o, s:b, s:I, s:o, s:o, s:b, s:o}", "name", text_json(name),
				  "dry_run", (int)call->dry_run, "sequence",
				  (json_int_t)h->sequence, "older_than",
				  older ? json_integer((json_int_t)what->newest) : json_null(),
				  "kept", what->kept[0] ? json_string(what->kept) : json_null(),
				  "proved", (int)what->proved, "why_not",
				  what->proved ? json_null() : text_json(what->why_not.text)),
			EXIT_CODE_DONE);
	printf("%s: %s the header of sequence %llu%s\n", name,
	       call->dry_run ? "would restore" : "restored", (unsigned long long)h->sequence,
	       what->proved ? "; it opens the volume" : ", without proof that it opens the volume");
	if (older)
		printf("  it is older than what was in use here (sequence %llu): keys that were "
		       "retired since open it again\n",
		       (unsigned long long)what->newest);
	if (what->kept[0])
		printf("  what was there is " STORE_HEADER_DIR "/%s\n", what->kept);
	if (!what->proved)
		printf("  not proved: %s\n  next: %s\n", what->why_not.text, what->why_not.next);
	return EXIT_CODE_DONE;
}

static int restore(struct call *call, const char *name, const struct volume_header *h,
		   struct target *t)
{
	const struct volume_config *vc = target_volume(call, t);
	const char *kid = volume_header_active_slot(h)->kid;
	const struct vault_watch watch =
		call_watch(call, "header_restore", name, vc ? vc->name : call_volume_of(call, kid));
	const struct header_restore o = { .sys = &sysio_kernel,
					  .config = call->config,
					  .volume = vc,
					  .backing = &t->backing,
					  .watch = &watch,
					  .header = h,
					  .dry_run = call->dry_run,
					  .force = call->force };
	struct header_restored what;

	secret_lock_memory(vc ? vc->settings.lock_memory : call->config->server.lock_memory);
	if (volume_restore_header(&o, &what, &call->err) < 0)
		return call_failed(call);
	return report(call, name, h, &what);
}

int header_restore(struct call *call, const char *name, const char *path)
{
	CLEANUP_FREE struct volume_header *h = malloc(sizeof(*h));
	struct target t;
	int r = h ? read_header(path, h) : -ENOMEM, code;

	if (r < 0) {
		errmsg_next(&call->err, "name a file that tdefsctl header backup made");
		(void)errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s: no good header: %s", path,
				  r == -EBADMSG		  ? "it is damaged"
				  : r == -EPROTONOSUPPORT ? "it is of a newer version"
							  : errno_text(r));
		return call_failed(call);
	}
	code = open_backing(call, name, &t) < 0 ? call_failed(call) : restore(call, name, h, &t);
	target_close(&t);
	return code;
}
