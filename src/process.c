/* SPDX-License-Identifier: Apache-2.0 */
/* Limits and privileges of this process. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tdefs/log.h"

int process_fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR); /* the lowest that is free */
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int process_harden(struct errmsg *reterr)
{
	const struct rlimit no_core = { 0, 0 };

	umask(0); /* the kernel has applied the caller's */
	if (close_range(STDERR_FILENO + 1, ~0u, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &no_core) < 0) {
		errmsg_next(reterr, "see what restricts this process (seccomp, LSM)");
		return errmsg_fail(reterr, -errno, EXIT_CODE_FAILED,
				   "cannot harden the process: %s", errno_text(errno));
	}
	return 0;
}

static unsigned long most_open_files(void)
{
	CLEANUP_FCLOSE FILE *f = fopen("/proc/sys/fs/nr_open", "re");
	char line[32];

	return f && fgets(line, sizeof(line), f) ? strtoul(line, NULL, 10) : 0;
}

/* A descriptor for each open backing file: as many as the system allows, or as we may have. */
static void raise_open_files(void)
{
	unsigned long most = most_open_files();
	struct rlimit limit = { most, most };

	if (most > 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the limit of open files: %s", errno_text(errno));
}

void process_raise_limits(void)
{
	raise_open_files();
}
