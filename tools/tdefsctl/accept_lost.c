/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tdefsctl accept-lost: a file whose header never reached the disk before a
 * power cut, though data of it did, cannot be decrypted by anyone. This turns
 * it into zeros of the same size, when an operator says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confirm.h"
#include "tdefsctl.h"

#define PAST_THE_END (1 << 20) /* bytes: above any file system's block */

static int failed(struct call *call, int r, const char *path, const char *what, const char *next)
{
	errmsg_next(&call->err, "%s", next);
	return errmsg_fail(&call->err, r, EXIT_CODE_FAILED, "%s: %s%s%s", path, what,
			   what[0] ? "" : "cannot open: ", what[0] ? "" : errno_text(r));
}

static bool confirmed(const struct call *call, const char *path)
{
	CLEANUP_FREE char *text = text_new(path);
	CLEANUP_FREE char *question = NULL;

	return asprintf(&question, "Turn %s into zeros? Its data is lost for good.",
			text ? text : "the file") > 0 &&
	       confirm(call->yes, question);
}

static int make_zeros(struct call *call, const struct target *t, const char *path)
{
	CLEANUP_CLOSE int fd = open_regular(t->backing.root_fd, path, O_RDWR);
	const struct file_context context = { .sys = &sysio_kernel };
	enum file_verdict verdict;
	struct stat st;
	int r = fd < 0 ? fd : file_check(&context, fd, &verdict);

	if (r < 0 || fstat(fd, &st) < 0)
		return failed(call, r < 0 ? r : -errno, path, "",
			      "name a file relative to the volume's root");
	if (verdict != FILE_NO_HEADER)
		return failed(call, -EINVAL, path,
			      "its header is not missing: this command is not for it",
			      "see tdefsctl verify; a damaged file is restored from a backup");
	if (call->dry_run)
		return 0;
	if (!confirmed(call, path))
		return failed(call, -ECANCELED, path, "not confirmed: nothing was changed",
			      "answer y, or give --yes");
	/* To well past the end, so that the last block goes whole. */
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FILE_HEADER_LEN,
		      st.st_size + PAST_THE_END) < 0 ||
	    fsync(fd) < 0)
		return failed(call, -errno, path, "cannot punch its data out",
			      "see the kernel's log");
	return 0;
}

int verb_accept_lost(struct call *call)
{
	CLEANUP_CLOSE int lock_fd = -1;
	CLEANUP_FREE char *text = NULL;
	const char *path = call->args[1];
	struct target t;
	int r = target_open(call, call->args[0], &t);

	if (r < 0)
		return call_failed(call);
	while (*path == '/')
		path++;
	r = backing_lock(&t.backing, t.label, &lock_fd, &call->err);
	if (r == 0)
		r = make_zeros(call, &t, path);
	if (r == 0 && t.volume && !call->dry_run)
		volume_event_accepted_lost(call_watch(call, NULL, t.label, t.label).audit, path);
	target_close(&t);
	if (r < 0)
		return call_failed(call);
	if (call->json)
		return print_json(json_pack("{s:o, s:b}", "zeros", text_json(path), "dry_run",
					    (int)call->dry_run),
				  EXIT_CODE_DONE);
	text = text_new(path);
	printf("%s: %s\n", text ? text : "the file",
	       call->dry_run ? "would read as zeros; nothing was changed" : "reads as zeros now");
	return EXIT_CODE_DONE;
}
