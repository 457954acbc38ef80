/* SPDX-License-Identifier: Apache-2.0 */
/* The file system identity of a thread: fsuid, fsgid, groups, capabilities. */
#include "caller.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int change_capabilities(uint64_t raise)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].effective |= (uint32_t)raise;
	data[1].effective |= (uint32_t)(raise >> 32);
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* setgroups(2) of this thread alone: glibc's would change all threads. */
static int set_groups(const gid_t *groups, size_t n)
{
	return syscall(SYS_setgroups, n, groups) < 0 ? -errno : 0;
}

/* Whether this process is one that nobody may dump or trace: looked at before the first change. */
static bool shut;
static pthread_once_t shut_once = PTHREAD_ONCE_INIT;

static void look(void)
{
	shut = prctl(PR_GET_DUMPABLE) == 0;
}

/*
 * A change of fsuid or fsgid makes the whole process what fs.suid_dumpable says
 * (commit_creds()), and where that is not 0 a program that takes core dumps by a
 * pipe gets ours, whatever RLIMIT_CORE is.
 */
static void stay_shut(void)
{
	if (shut)
		IGNORE_RESULT(prctl(PR_SET_DUMPABLE, 0UL), "status says what it is");
}

/*
 * A change of fsuid away from 0 drops the file system capabilities. The kernel
 * has checked the caller's permissions on the mount already
 * (default_permissions), so CAP_DAC_OVERRIDE comes back: the parent directory
 * may be writable for the caller by a group that we did not look up. CAP_FSETID
 * stays dropped, so that the backing file system decides by the caller's groups
 * whether S_ISGID is kept, as inode_init_owner() does for any process.
 */
int caller_become(const struct caller *caller)
{
	int r = caller->ngroups ? set_groups(caller->groups, caller->ngroups) : 0;

	if (r < 0)
		return r;
	pthread_once(&shut_once, look);
	setfsgid(caller->gid);
	setfsuid(caller->uid);
	stay_shut();
	if ((uid_t)setfsuid((uid_t)-1) != caller->uid || (gid_t)setfsgid((gid_t)-1) != caller->gid)
		r = -EPERM;
	else if (caller->uid != 0)
		r = change_capabilities(1ULL << CAP_DAC_OVERRIDE);
	if (r < 0)
		caller_restore(caller);
	return r;
}

void caller_restore(const struct caller *caller)
{
	setfsuid(0);
	setfsgid(0);
	stay_shut();
	if (caller->ngroups)
		IGNORE_RESULT(set_groups(NULL, 0), "dropping groups does not fail for root");
}
