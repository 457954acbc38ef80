/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl import and export: a directory of plain files into a mounted volume, or out of one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confirm.h"
#include "transfer.h"

#define QUESTION                                                                                   \
	"The copy will be plaintext: whoever reads its disk reads the data, now and after it "     \
	"was deleted. Go on?"

/* One transfer, and where it is told of. */
struct move {
	struct call *call;
	struct transfer_sides sides;
	bool import, made_target;
	struct audit *audit;
	struct transfer_result result;
};

static json_t *details(const struct move *m)
{
	return json_pack("{s:o, s:i}", m->import ? "source" : "target",
			 text_json(m->sides.plain_path), "uid", (int)getuid());
}

static void tell_begin(const struct move *m)
{
	if (m->import)
		audit_record(m->audit, AUDIT_MAJOR, "import", details(m));
	else
		audit_record(m->audit, AUDIT_MAJOR, "export", details(m));
}

static void tell_failed(const struct move *m)
{
	json_t *d = details(m);
	CLEANUP_JSON json_t *error = text_json(m->call->err.text);

	if (d && error)
		IGNORE_RESULT(json_object_set(d, "error", error), "left out without memory");
	if (m->import)
		audit_record(m->audit, AUDIT_MAJOR, "import_failed", d);
	else
		audit_record(m->audit, AUDIT_MAJOR, "export_failed", d);
}

static void tell_done(const struct move *m)
{
	json_t *d = details(m);

	if (d) {
		IGNORE_RESULT(json_object_set_new(d, "files",
						  json_integer((json_int_t)m->result.files)),
			      "left out without memory");
		IGNORE_RESULT(json_object_set_new(d, "bytes",
						  json_integer((json_int_t)m->result.bytes)),
			      "left out without memory");
	}
	if (m->import)
		audit_record(m->audit, AUDIT_MAJOR, "imported", d);
	else
		audit_record(m->audit, AUDIT_MAJOR, "exported", d);
}

static int report_json(const struct move *m)
{
	const struct transfer_result *r = &m->result;

	return print_json(
		json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, "
			  "s:b, s:b}",
			  "volume", m->sides.volume->name, "direction",
			  m->import ? "import" : "export", m->import ? "source" : "target",
			  text_json(m->sides.plain_path), m->import ? "target" : "source",
			  text_json(m->sides.volume->mount), "files", (json_int_t)r->files,
			  "directories", (json_int_t)r->directories, "symlinks",
			  (json_int_t)r->symlinks, "others", (json_int_t)r->others, "hard_links",
			  (json_int_t)r->hard_links, "bytes", (json_int_t)r->bytes, "xattrs_left",
			  (json_int_t)r->xattrs_left, "links_outside", (json_int_t)r->links_outside,
			  "resumed", (int)r->resumed, "verified", (int)!m->call->dry_run, "dry_run",
			  (int)m->call->dry_run),
		EXIT_CODE_DONE);
}

static int report(const struct move *m)
{
	const struct transfer_result *r = &m->result;
	CLEANUP_FREE char *path = text_new(m->sides.plain_path);

	if (m->call->json)
		return report_json(m);
	printf("%s: %s %s: %ju files, %ju further names of them, %ju directories, %ju symbolic "
	       "links, %ju others; %.1f MiB%s\n",
	       m->sides.volume->name,
	       m->import	  ? m->call->dry_run ? "would import from" : "imported from"
	       : m->call->dry_run ? "would export to"
				  : "exported to",
	       path ? path : "?", (uintmax_t)r->files, (uintmax_t)r->hard_links,
	       (uintmax_t)r->directories, (uintmax_t)r->symlinks, (uintmax_t)r->others,
	       (double)r->bytes / (1 << 20),
	       m->call->dry_run ? "; it fits, and nothing was copied"
				: ", all of it read again and compared");
	if (r->xattrs_left)
		printf("  %ju extended attributes were left behind\n", (uintmax_t)r->xattrs_left);
	if (r->links_outside)
		printf("  %ju symbolic links lead out of it: what they lead to was not taken\n",
		       (uintmax_t)r->links_outside);
	if (m->call->dry_run)
		return EXIT_CODE_DONE;
	if (m->import)
		printf("  next: start the engine on %s; then remove %s, whose plaintext is still "
		       "on its disk\n",
		       m->sides.volume->mount, path ? path : "it");
	else
		puts("  next: this copy is plaintext; remove it when it has served");
	return EXIT_CODE_DONE;
}

/* Nothing is lost by it, and nobody can know that. */
static void say_interrupted(int signal_number)
{
	static const char text[] = "\n" PROGRAM ": interrupted: what was copied stays\n"
				   "  next: give the same command again: it goes on from there\n";

	IGNORE_RESULT(write(STDERR_FILENO, text, sizeof(text) - 1), "there is no other place");
	(void)signal(signal_number, SIG_DFL);
	(void)raise(signal_number); /* it ends us as soon as we return */
}

static void watch_for_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM };
	const struct sigaction action = { .sa_handler = say_interrupted };
	struct sigaction before;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			IGNORE_RESULT(sigaction(signals[i], &action, NULL), "it would be silent");
}

static bool is_mount_root(int fd)
{
	struct stat here, above;

	return fstat(fd, &here) == 0 && fstatat(fd, "..", &above, 0) == 0 &&
	       here.st_dev != above.st_dev;
}

static int transfer(struct move *m)
{
	struct transfer_display display = { .backing_fd = m->sides.backing_fd };
	struct transfer_observer observer = transfer_on_terminal;
	const struct transfer_sides *s = &m->sides;
	char identity[PATH_MAX + 128];
	struct transfer_options o = {
		.sys = &sysio_kernel,
		.source_fd = m->import ? s->plain_fd : s->mount_fd,
		.target_fd = m->import ? s->mount_fd : s->plain_fd,
		.source_path = m->import ? s->plain_path : s->volume->mount,
		.target_path = m->import ? s->volume->mount : s->plain_path,
		/* What a volume's root hides it hides by itself. */
		.source_is_mount = m->import && is_mount_root(s->plain_fd),
		.target_is_mount = !m->import && is_mount_root(s->plain_fd),
		.identity = identity,
		.dry_run = m->call->dry_run,
		.without_xattrs = m->call->without_xattrs,
		.checkpoint = TRANSFER_CHECKPOINT,
		.observer = &observer,
	};
	int r;

	(void)snprintf(identity, sizeof(identity), "%s %s", m->import ? "import" : "export of",
		       m->import ? s->plain_path : s->uuid);
	progress_begin(&display.progress);
	observer.arg = &display;
	m->audit = call_watch(m->call, NULL, s->volume->name, s->volume->name).audit;
	r = m->import ? volume_policy_check(m->call->dry_run ? NULL : m->audit,
					    &m->call->config->policy, POLICY_IMPORT, s->kid,
					    s->volume->name, &m->call->err)
		      : 0;
	if (r < 0)
		return r;
	if (!o.dry_run) {
		tell_begin(m);
		watch_for_signals();
	}
	r = transfer_run(&o, &m->result, &m->call->err);
	progress_end(&display.progress);
	if (o.dry_run)
		return r;
	if (r < 0)
		tell_failed(m);
	else
		tell_done(m);
	return r;
}

static int move(struct move *m, const char *name, const char *plain)
{
	int code;

	if (transfer_sides_open(m->call, name, plain, m->import, &m->sides) < 0) {
		if (m->made_target)
			(void)rmdir(plain);
		return call_failed(m->call);
	}
	code = transfer(m) < 0 ? call_failed(m->call) : report(m);
	transfer_sides_close(&m->sides);
	if (m->call->dry_run && m->made_target)
		(void)rmdir(plain);
	return code;
}

int verb_import(struct call *call)
{
	struct move m = { .call = call, .import = true };

	return move(&m, call->args[1], call->args[0]);
}

/* Durable from the beginning, as what will be in it. */
static int make_target(struct call *call, const char *path, bool *ret_made)
{
	CLEANUP_CLOSE int fd = -1;

	if (mkdir(path, 0700) == 0) {
		*ret_made = true;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			CLEANUP_CLOSE int parent =
				openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

			if (parent >= 0 && fsync(parent) == 0)
				return 0;
		}
	} else if (errno == EEXIST)
		return 0;
	errmsg_next(&call->err, "name a directory that can be made");
	return errmsg_fail(&call->err, -errno, EXIT_CODE_FAILED, "%s: cannot make it: %s", path,
			   errno_text(errno));
}

int verb_export(struct call *call)
{
	struct move m = { .call = call };

	if (!confirm(call->yes || call->dry_run, QUESTION)) {
		errmsg_next(&call->err, "answer y, or give --yes");
		(void)errmsg_fail(&call->err, -ECANCELED, EXIT_CODE_FAILED,
				  "export: not confirmed: the copy would be plaintext");
		return call_failed(call);
	}
	if (make_target(call, call->args[1], &m.made_target) < 0)
		return call_failed(call);
	return move(&m, call->args[0], call->args[1]);
}
