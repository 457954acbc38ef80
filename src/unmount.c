/* SPDX-License-Identifier: Apache-2.0 */
/* Unmounting, from outside the daemon and by its own signals; and waiting for its end. */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "notify.h"
#include "tdefs/control.h"

#define LOOK_AGAIN_NS 200000000L

static void cleanup_mntent(FILE **f)
{
	if (*f)
		endmntent(*f);
}

/*
 * Whose the topmost mount there is: 0 the volume's, -EINVAL it is not mounted
 * there, -EBUSY another is above it. Looks at the table only: a dead mount
 * answers no stat(2).
 */
static int look_at_mount(const char *name, const char *where)
{
	CLEANUP(cleanup_mntent) FILE *table = setmntent("/proc/self/mounts", "re");
	const struct mntent *m;
	bool found = false, on_top = false;

	while (table && (m = getmntent(table))) {
		if (strcmp(m->mnt_dir, where) != 0)
			continue;
		on_top = strcmp(m->mnt_type, "fuse.tdefs") == 0 && strcmp(m->mnt_fsname, name) == 0;
		found = found || on_top;
	}
	if (!found)
		return -EINVAL;
	return on_top ? 0 : -EBUSY;
}

char *mount_resolve(const char *path)
{
	CLEANUP_FREE char *copy = strdup(path);
	CLEANUP_FREE char *parent = NULL;
	char *whole = realpath(path, NULL), *slash;

	if (whole || !copy)
		return whole;
	slash = strrchr(copy, '/');
	*slash = '\0';
	parent = realpath(*copy ? copy : "/", NULL);
	if (!parent ||
	    asprintf(&whole, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash + 1) < 0)
		return NULL;
	return whole;
}

int mount_remove(const char *name, const char *where, struct errmsg *reterr)
{
	int r = look_at_mount(name, where);

	if (r == -EINVAL) {
		errmsg_next(reterr, "nothing to do; see tdefsctl status");
		return errmsg_fail(reterr, r, EXIT_CODE_NOT_MOUNTED, "volume %s: not mounted at %s",
				   name, where);
	}
	if (r < 0) {
		errmsg_next(reterr, "unmount that first (findmnt %s), then try again", where);
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
				   "volume %s: cannot unmount %s: something else is mounted on "
				   "top of it",
				   name, where);
	}
	if (umount2(where, UMOUNT_NOFOLLOW) == 0)
		return 0;
	r = -errno;
	errmsg_next(reterr,
		    r == -EBUSY ? "stop what uses it (fuser -vm %s), then try again"
				: "see the kernel's log about %s",
		    where);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot unmount %s: %s", name,
			   where, errno_text(r));
}

/* Descriptor of the process that serves the mount `where`; -1 in *ret_pidfd: it is dead. */
static int find_daemon(const struct config *config, const char *name, const char *where,
		       int *ret_pidfd, struct errmsg *reterr)
{
	CLEANUP_FREE char *mount = NULL;
	CLEANUP_FREE char *resolved = NULL;
	CLEANUP_CLOSE int pidfd = -1;
	int r = control_find_daemon(config->runtime_dir, name, &mount, &pidfd);

	*ret_pidfd = -1;
	if (r == -ENOENT || r == -ECONNREFUSED)
		return 0;
	if (r < 0) {
		errmsg_next(reterr, "try again; or umount %s, and wait for its end yourself",
			    where);
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
				   "volume %s: not unmounted: cannot reach its daemon: %s", name,
				   errno_text(r));
	}
	resolved = mount ? mount_resolve(mount) : NULL;
	if (!resolved || strcmp(resolved, where) == 0) /* else it serves the volume elsewhere */
		*ret_pidfd = TAKE_FD(pidfd);
	return 0;
}

static void wait_for_end(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	while (pidfd >= 0 && poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

static char *loss_path(const struct config *config, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s.lost", config->runtime_dir, name) < 0 ? NULL : path;
}

int loss_note(const struct config *config, const char *name, int error)
{
	CLEANUP_FREE char *path = loss_path(config, name);
	CLEANUP_CLOSE int fd = -1;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 || dprintf(fd, "%s\n", errno_text(error)) < 0 ? -errno : 0;
}

int loss_forget(const struct config *config, const char *name)
{
	CLEANUP_FREE char *path = loss_path(config, name);

	if (!path)
		return -ENOMEM;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Did the daemon that has ended leave word that not everything was written? */
static int check_loss(const struct config *config, const char *name, struct errmsg *reterr)
{
	CLEANUP_FREE char *path = loss_path(config, name);
	CLEANUP_CLOSE int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
	char text[128] = "";
	ssize_t n;

	if (fd < 0 && path && errno == ENOENT)
		return 0;
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	IGNORE_RESULT(loss_forget(config, name), "the next mount tries again");
	errmsg_next(reterr, "see its log and the disk's; do not trust what was written but not "
			    "fsynced: let the engine recover, or restore it");
	return errmsg_fail(reterr, -EIO, EXIT_CODE_FAILED,
			   "volume %s: unmounted, but some data could not be written: %s", name,
			   text[0] ? text : "unknown error");
}

/* Is there a daemon that has not mounted anything yet, for want of an answer of its vault? */
static bool is_waiting(const struct config *config, const char *name)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "status");
	CLEANUP_JSON json_t *answer = NULL;
	const char *state;

	if (!request || control_call(config->runtime_dir, name, request, &answer) < 0)
		return false;
	state = json_string_value(json_object_get(answer, "state"));
	return state && (strcmp(state, "waiting") == 0 || strcmp(state, "starting") == 0);
}

/* What it holds back keeps the mount busy. */
static void end_freeze(const struct config *config, const char *name, const json_t *status)
{
	CLEANUP_JSON json_t *request =
		json_pack("{s:s, s:s}", "command", "thaw", "kind", "unmount");
	CLEANUP_JSON json_t *answer = NULL;
	const json_t *freeze = json_object_get(status, "freeze");
	const char *kind = json_string_value(json_object_get(freeze, "kind"));

	if (request && kind && strcmp(kind, "freeze") == 0 &&
	    json_is_true(json_object_get(freeze, "working")))
		IGNORE_RESULT(control_call(config->runtime_dir, name, request, &answer),
			      "then it ends by itself");
}

/* A restart drops the DEK: what serves now, as reads in an outage do, comes back with a grant only. */
static void prepare(const struct config *config, const char *name)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "status");
	CLEANUP_JSON json_t *answer = NULL;
	const json_t *access;

	if (!request || control_call(config->runtime_dir, name, request, &answer) < 0)
		return;
	end_freeze(config, name, answer);
	access = json_object_get(answer, "key_access");
	if (json_is_true(json_object_get(access, "trouble")) ||
	    json_array_size(json_object_get(answer, "reasons")) > 0)
		fprintf(stderr,
			"tdefs: volume %s: warning: its key is not granted now: mounted again, it "
			"gives no contents until it is\n  next: see tdefsctl events %s\n",
			name, name);
}

static int end_waiting(const struct config *config, const char *name, struct errmsg *reterr)
{
	CLEANUP_FREE char *mount = NULL;
	CLEANUP_CLOSE int pidfd = -1;
	int r = control_find_daemon(config->runtime_dir, name, &mount, &pidfd);

	if (r == 0 && pidfd_send_signal(pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
		r = -errno;
	if (r < 0 && r != -ENOENT && r != -ECONNREFUSED) {
		errmsg_next(reterr, "try again");
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
				   "volume %s: cannot end its daemon: %s", name, errno_text(r));
	}
	wait_for_end(pidfd);
	return 0;
}

/* The kernel tells nobody when a mount is not used any more: it can only be asked again. */
static int remove_once_free(const char *name, const char *where, struct errmsg *reterr)
{
	static const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	int notify_fd = notify_open(), r;
	bool said = false;

	while ((r = mount_remove(name, where, reterr)) == -EBUSY) {
		if (!said) {
			fprintf(stderr,
				"tdefs: volume %s: %s is in use: waiting\n  next: stop what uses "
				"it "
				"(fuser -vm %s)\n",
				name, where, where);
			notify_send(notify_fd,
				    "STATUS=stopping: it is in use (fuser -vm tells by whom)");
		}
		said = true;
		nanosleep(&pause, NULL);
	}
	if (notify_fd >= 0)
		close(notify_fd);
	return r == -EINVAL ? 0 : r;
}

/* The lines of /proc/PID/cgroup; "" when there are none, or it is gone. */
static void read_cgroups(const char *pid, char *ret, size_t size)
{
	CLEANUP_CLOSE int fd = -1;
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%s/cgroup", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, ret, size - 1);
	ret[n > 0 ? n : 0] = '\0';
}

/* pidfd_open(2): its fdinfo names the process. */
static bool is_in_our_cgroups(int pidfd)
{
	char path[64], info[512], ours[4096], its[4096];
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;
	char *pid;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, info, sizeof(info) - 1);
	info[n > 0 ? n : 0] = '\0';
	pid = strstr(info, "\nPid:\t");
	if (!pid)
		return true;
	pid += strlen("\nPid:\t");
	pid[strcspn(pid, "\n")] = '\0';
	read_cgroups("self", ours, sizeof(ours));
	read_cgroups(pid, its, sizeof(its));
	return strcmp(ours, its) == 0;
}

bool daemon_is_of_another_unit(const struct config *config, const char *name)
{
	CLEANUP_FREE char *mount = NULL;
	CLEANUP_CLOSE int pidfd = -1;

	return control_find_daemon(config->runtime_dir, name, &mount, &pidfd) == 0 &&
	       !is_in_our_cgroups(pidfd);
}

int daemon_unmount(const struct config *config, const struct volume_config *vc, bool wait,
		   struct errmsg *reterr)
{
	CLEANUP_FREE char *where = mount_resolve(vc->mount);
	CLEANUP_CLOSE int pidfd = -1;
	int r = 0;

	if (is_waiting(config, vc->name))
		return end_waiting(config, vc->name, reterr);
	prepare(config, vc->name);
	if (where && look_at_mount(vc->name, where) == 0)
		r = find_daemon(config, vc->name, where, &pidfd, reterr);
	if (r == 0)
		r = (wait ? remove_once_free : mount_remove)(vc->name, where ? where : vc->mount,
							     reterr);
	if (r < 0 || pidfd < 0)
		return r;
	wait_for_end(pidfd);
	return check_loss(config, vc->name, reterr);
}
