/* SPDX-License-Identifier: Apache-2.0 */
/* The first pass: may all of the source be moved, does nobody write it, and how much is it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "transfer_internal.h"

#define XATTR_NAMES_MAX 65536 /* Linux's own limit */
#define PID_FILE	"postmaster.pid"

static bool is_left_xattr(const char *name)
{
	return strncmp(name, "security.", strlen("security.")) == 0 ||
	       strncmp(name, "trusted.", strlen("trusted.")) == 0;
}

static int check_xattr(struct run *run, const struct tree_entry *e, const char *name)
{
	char what[XATTR_NAME_MAX + 64];

	if (run->o->without_xattrs || is_left_xattr(name)) {
		run->result.xattrs_left++;
		return 0;
	}
	errmsg_next(run->tree.err, "give --without-xattrs to leave it and all others behind");
	(void)snprintf(what, sizeof(what), "has %s %s, which an encrypted volume does not keep",
		       strncmp(name, "system.", strlen("system.")) == 0 ? "an access control list,"
									: "the extended attribute",
		       name);
	return tree_fail(&run->tree, -EOPNOTSUPP, e->path, what);
}

static int check_xattrs(struct run *run, const struct tree_entry *e)
{
	char path[64 + NAME_MAX];
	char *names = (char *)run->chunk[0];
	ssize_t len;
	int r = 0;

	_Static_assert(XATTR_NAMES_MAX <= TRANSFER_CHUNK, "the chunk is the room");
	/* The directory by its descriptor, so that only the last name is looked up. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", e->source_dir, e->name);
	len = llistxattr(path, names, XATTR_NAMES_MAX);
	if (len < 0)
		return errno == ENOTSUP || errno == ENOSYS
			       ? 0
			       : tree_fail(&run->tree, -errno, e->path, NULL);
	for (ssize_t at = 0; r == 0 && at < len; at += (ssize_t)strlen(names + at) + 1)
		r = check_xattr(run, e, names + at);
	return r;
}

/* PostgreSQL's own sign: the process in the first line. */
static int check_pid_file(struct run *run, const struct tree_entry *e, int fd)
{
	char text[32] = "", what[96], *end;
	long pid;
	ssize_t n = sysio_pread_full(run->o->sys, fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return tree_fail(&run->tree, (int)n, e->path, NULL);
	pid = strtol(text, &end, 10);
	if (pid <= 0 || pid > INT_MAX || *end != '\n' ||
	    (kill((pid_t)pid, 0) < 0 && errno == ESRCH))
		return 0;
	errmsg_next(run->tree.err,
		    "stop the engine, then try again; if process %ld is another's, "
		    "remove this file",
		    pid);
	(void)snprintf(what, sizeof(what), "PostgreSQL runs here: process %ld", pid);
	return tree_fail(&run->tree, -EBUSY, e->path, what);
}

static int in_use(struct run *run, const struct tree_entry *e, const char *what)
{
	errmsg_next(run->tree.err,
		    "stop the engine (fuser -v shows who has it open), then try again");
	return tree_fail(&run->tree, -EBUSY, e->path, what);
}

/* Any engine's: a lock, or an opener that may write, which rules a read lease out. */
static int check_unused(struct run *run, const struct tree_entry *e, int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char what[64];

	if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
		(void)snprintf(what, sizeof(what), "it is locked, by process %d", (int)lock.l_pid);
		return in_use(run, e, what);
	}
	/* An opener in the next instant must not end us, as SIGIO does. */
	IGNORE_RESULT(fcntl(fd, F_SETSIG, SIGURG), "then SIGIO it is");
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
		return 0;
	}
	/* Others say that this file system has no leases. */
	return errno == EAGAIN ? in_use(run, e, "a process has it open for writing") : 0;
}

static int scan_file(struct run *run, const struct tree_entry *e)
{
	const uint64_t allocated = (uint64_t)e->st.st_blocks * 512;
	int fd, r = 0;

	if (e->st.st_nlink > 1) {
		if (tree_links_find(&run->links, e->st.st_ino)) {
			run->result.hard_links++;
			return 0;
		}
		if (tree_links_add(&run->links, e->st.st_ino, 0, "") < 0)
			return tree_fail(&run->tree, -ENOMEM, e->path, NULL);
	}
	fd = tree_open_source(&run->tree, e, 0);
	if (fd < 0)
		return tree_fail(&run->tree, fd, e->path, NULL);
	if (strcmp(e->name, PID_FILE) == 0)
		r = check_pid_file(run, e, fd);
	if (r == 0)
		r = check_unused(run, e, fd);
	IGNORE_RESULT(run->o->sys->close(fd), "only read");
	run->result.files++;
	run->progress.total_bytes +=
		allocated < (uint64_t)e->st.st_size ? allocated : (uint64_t)e->st.st_size;
	return r;
}

/* By its words alone: does the target climb above the root? */
static bool leads_outside(const char *path, const char *target)
{
	int depth = 0;

	if (target[0] == '/')
		return true;
	for (const char *p = path; *p; p++)
		depth += *p == '/';
	for (const char *p = target; *p && depth >= 0;) {
		const size_t len = strcspn(p, "/");

		if (len == 2 && strncmp(p, "..", 2) == 0)
			depth--;
		else if (len && !(len == 1 && *p == '.'))
			depth++;
		p += len + (p[len] == '/');
	}
	return depth < 0;
}

static int scan_symlink(struct run *run, const struct tree_entry *e)
{
	char target[PATH_MAX];
	ssize_t len = run->o->sys->readlinkat(e->source_dir, e->name, target, sizeof(target) - 1);

	if (len < 0)
		return tree_fail(&run->tree, (int)len, e->path, NULL);
	target[len] = '\0';
	run->result.symlinks++;
	if (leads_outside(e->path, target)) {
		run->result.links_outside++;
		run->o->observer->notice(run->o->observer->arg, e->path,
					 "leads out: the link is copied, not what it leads to");
	}
	return 0;
}

static int scan_entry(void *arg, const struct tree_entry *e)
{
	struct run *run = arg;
	int r = check_xattrs(run, e);

	run->progress.entries++;
	run_progress(run, 0);
	if (r < 0)
		return r;
	switch (e->st.st_mode & S_IFMT) {
	case S_IFREG:
		return scan_file(run, e);
	case S_IFDIR:
		run->result.directories++;
		return 0;
	case S_IFLNK:
		return scan_symlink(run, e);
	case S_IFIFO:
	case S_IFSOCK:
		run->result.others++;
		return 0;
	default:
		return tree_fail(&run->tree, -EPERM, e->path,
				 "is a device node, which a volume does not have");
	}
}

/* Before any other file of it, which would tell less. */
static int check_engine(struct run *run)
{
	const struct tree_entry e = { .path = PID_FILE,
				      .name = PID_FILE,
				      .source_dir = run->o->source_fd };
	int fd = run->o->sys->openat(e.source_dir, e.name,
				     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME, 0);
	int r;

	if (fd < 0)
		return 0; /* it is not there, or the walk will say what is wrong with it */
	r = check_pid_file(run, &e, fd);
	IGNORE_RESULT(run->o->sys->close(fd), "only read");
	return r;
}

/* The root has no name to be visited by. */
static int scan_root(struct run *run)
{
	const struct tree_entry root = { .path = "", .name = ".", .source_dir = run->o->source_fd };
	struct stat st;
	int r = run->o->sys->fstatat(run->o->source_fd, TRANSFER_DIR, &st, AT_SYMLINK_NOFOLLOW);

	if (r != -ENOENT) {
		errmsg_next(run->tree.err, "finish that import or export first");
		return tree_fail(&run->tree, r < 0 ? r : -EINVAL, TRANSFER_DIR,
				 r < 0 ? NULL : "the source is itself an unfinished copy");
	}
	r = check_engine(run);
	return r < 0 ? r : check_xattrs(run, &root);
}

int run_scan(struct run *run)
{
	const struct tree_visitor visitor = { .visit = scan_entry, .arg = run };
	int r = scan_root(run);

	run->progress.phase = TRANSFER_SCAN;
	run->tree.scan_only = true;
	if (r == 0)
		r = tree_walk(&run->tree, &visitor);
	run->tree.scan_only = false;
	tree_links_release(&run->links);
	run->result.bytes = run->progress.total_bytes;
	return r;
}
