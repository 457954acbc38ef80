/* SPDX-License-Identifier: Apache-2.0 */
/* Making a directory a volume. Everything that can fail without a trace comes first. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tdefs/protector.h"

#include "tdefs/volume.h"
#include "tdefs/volume_event.h"

static bool may_be_there(const struct backing *b, const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	       strcmp(name, STORE_HEADER_DIR) == 0 ||
	       (b->is_mount_root && strcmp(name, STORE_LOST_FOUND) == 0);
}

static int check_empty(const struct backing *b, const struct volume_config *vc,
		       struct errmsg *reterr)
{
	int fd = openat(b->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_CLOSEDIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		int r = -errno;

		if (fd >= 0)
			close(fd);
		errmsg_next(reterr, "make the directory readable");
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot list %s: %s",
				   vc->name, vc->backing, errno_text(r));
	}
	while ((e = readdir(dir))) {
		if (may_be_there(b, e->d_name))
			continue;
		errmsg_next(reterr, "format an empty directory, mount it, and copy the data in "
				    "through the mount");
		return errmsg_fail(reterr, -ENOTEMPTY, EXIT_CODE_FAILED,
				   "volume %s: %s is not empty: it holds %s", vc->name, vc->backing,
				   e->d_name);
	}
	return 0;
}

static int check_unformatted(const struct sysio *sys, const struct backing *b,
			     const struct volume_config *vc, struct errmsg *reterr)
{
	int r = b->header_fd < 0 ? 0 : header_exists(sys, b->header_fd);

	if (r == 0)
		return 0;
	errmsg_next(reterr,
		    "mount it; to destroy its data, remove %s/" STORE_HEADER_DIR " and all "
		    "files beside it by hand",
		    vc->backing);
	return errmsg_fail(reterr, r < 0 ? r : -EEXIST, EXIT_CODE_FAILED,
			   "volume %s: %s is formatted already", vc->name, vc->backing);
}

static int check_no_pin(const struct sysio *sys, const struct config *config,
			const struct volume_config *vc, struct errmsg *reterr)
{
	struct pin pin;
	int r = pin_read(sys, config->state_dir, vc->name, &pin);

	if (r == -ENOENT)
		return 0;
	errmsg_next(reterr,
		    "if that volume's disk is only not mounted, mount it; if it is gone for "
		    "good, remove %s/%s.pin",
		    config->state_dir, vc->name);
	return errmsg_fail(reterr, r < 0 && r != -EBADMSG ? r : -EEXIST, EXIT_CODE_FAILED,
			   "volume %s: there was a volume of this name: it has a pin", vc->name);
}

static int cannot_write(const struct volume_config *vc, const char *what, int r,
			struct errmsg *reterr)
{
	errmsg_next(reterr, "make %s writable, or free space on it", vc->backing);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot write %s: %s", vc->name,
			   what, errno_text(r));
}

/* .tdefs, open and locked; *ret_made when it was not there before. */
static int make_header_dir(const struct sysio *sys, struct backing *b,
			   const struct volume_config *vc, int *ret_lock_fd, bool *ret_made,
			   struct errmsg *reterr)
{
	int r = sys->mkdirat(b->root_fd, STORE_HEADER_DIR, 0700);

	*ret_made = r == 0;
	if (r < 0 && r != -EEXIST)
		return cannot_write(vc, STORE_HEADER_DIR, r, reterr);
	if (b->header_fd < 0)
		b->header_fd = sys->openat(b->root_fd, STORE_HEADER_DIR,
					   O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (b->header_fd < 0)
		return cannot_write(vc, STORE_HEADER_DIR, b->header_fd, reterr);
	r = backing_check_case(b, vc->backing, vc->name, reterr);
	return r < 0 ? r : backing_lock(b, vc->name, ret_lock_fd, reterr);
}

/* What this process has made so far; nothing else is taken back. */
struct made {
	bool dir;    /* .tdefs */
	bool lock;   /* .tdefs/lock, in that, and it is held */
	bool header; /* where there was none, under the lock */
	bool pin;    /* the same */
};

static void undo(const struct sysio *sys, const struct config *config,
		 const struct volume_config *vc, const struct backing *b, const struct made *made)
{
	static const char *const names[] = { "header", "header.bak", "header.new",
					     "header.bak.new" };

	for (size_t i = 0; made->header && i < ARRAY_SIZE(names); i++)
		IGNORE_RESULT(sys->unlinkat(b->header_fd, names[i], 0), "as far as it goes");
	if (made->pin)
		pin_remove(sys, config->state_dir, vc->name);
	if (!made->dir)
		return;
	if (made->lock)
		IGNORE_RESULT(sys->unlinkat(b->header_fd, "lock", 0), "as far as it goes");
	IGNORE_RESULT(sys->unlinkat(b->root_fd, STORE_HEADER_DIR, AT_REMOVEDIR),
		      "it stays when somebody else uses it by now");
}

/* Header, then pin; what failed half-way is taken back, for nothing was encrypted yet. */
static int write_header(const struct sysio *sys, const struct config *config,
			const struct volume_config *vc, const struct backing *b,
			const struct volume_header *header, struct made *made,
			struct errmsg *reterr)
{
	struct pin pin = pin_of_header(header);
	int r;

	made->header = true;
	r = header_write(sys, b->header_fd, header);
	if (r == 0)
		r = sys->fsync(b->root_fd); /* the name .tdefs */
	if (r < 0)
		return cannot_write(vc, ".tdefs/header", r, reterr);
	made->pin = true;
	r = pin_write(sys, config->state_dir, vc->name, &pin);
	if (r < 0) {
		errmsg_next(reterr, "make %s writable", config->state_dir);
		return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
				   "volume %s: cannot write its pin in %s: %s", vc->name,
				   config->state_dir, errno_text(r));
	}
	return 0;
}

static int format_backing(const struct sysio *sys, const struct config *config,
			  const struct volume_config *vc, struct backing *b,
			  const struct volume_header *header, struct errmsg *reterr)
{
	CLEANUP_CLOSE int lock_fd = -1;
	struct made made = { 0 };
	int r = make_header_dir(sys, b, vc, &lock_fd, &made.dir, reterr);

	/* Both again, now that nobody else can be formatting it. */
	if (r == 0) {
		r = check_unformatted(sys, b, vc, reterr);
		if (r == -EEXIST) /* somebody was faster: nothing there is ours */
			return r;
		made.lock = made.dir;
	}
	if (r == 0)
		r = check_no_pin(sys, config, vc, reterr);
	if (r == 0)
		r = write_header(sys, config, vc, b, header, &made, reterr);
	if (r < 0)
		undo(sys, config, vc, b, &made);
	return r;
}

/* Nothing is wrapped before the whole list of requirements is met. */
static int make_header(struct vault *vault, const char *kid, const struct policy *policy,
		       uint64_t now, struct volume_header *ret_header, struct errmsg *reterr)
{
	CLEANUP_FREE struct protector_report *report = malloc(sizeof(*report));
	CLEANUP_SECRET struct secret *dek = NULL;
	int r;

	if (!report)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	protector_check(vault, kid, policy, now, report);
	r = protector_verdict(report, kid, reterr);
	return r < 0 ? r : keyring_create(vault, &report->key, now, ret_header, &dek, reterr);
}

static int format(const struct sysio *sys, const struct config *config,
		  const struct volume_config *vc, const struct vault_watch *watch, uint64_t now,
		  struct volume_header *header, struct errmsg *reterr)
{
	CLEANUP_BACKING struct backing b = BACKING_NONE;
	CLEANUP_WATCHED_VAULT struct watched_vault *vault = NULL;
	const char *kid = vc->settings.start ? vc->settings.start : vc->settings.protector;
	int r = policy_check(&config->policy, POLICY_FORMAT, kid, vc->name, reterr);

	if (r == 0)
		r = backing_open(vc->backing, vc->name, vc->settings.unsupported_backing, &b,
				 reterr);
	if (r == 0)
		r = check_unformatted(sys, &b, vc, reterr);
	if (r == 0)
		r = backing_check_nesting(&b, vc->backing, vc->name, reterr);
	if (r == 0)
		r = check_empty(&b, vc, reterr);
	if (r == 0)
		r = check_no_pin(sys, config, vc, reterr);
	if (r == 0)
		r = watched_vault_open(watch, kid, &vc->settings, &clock_kernel, &vault, reterr);
	if (r == 0)
		r = make_header(watched_vault_of(vault), kid, &config->policy, now, header, reterr);
	if (r == 0)
		r = format_backing(sys, config, vc, &b, header, reterr);
	return r;
}

int volume_format(const struct sysio *sys, const struct config *config,
		  const struct volume_config *vc, const struct vault_watch *watch, uint64_t now,
		  struct volume_header *ret_header, struct errmsg *reterr)
{
	CLEANUP_FREE struct volume_header *header = malloc(sizeof(*header));
	int r;

	if (!header)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	r = format(sys, config, vc, watch, now, header, reterr);
	if (r < 0) {
		volume_event_policy_refused(watch->audit, POLICY_FORMAT, vc->settings.protector,
					    reterr);
		return r;
	}
	volume_event_formatted(watch->audit, vc, header);
	volume_event_policy_noted(watch->audit, &config->policy, POLICY_FORMAT,
				  volume_header_active_slot(header)->kid);
	*ret_header = *header;
	return 0;
}
