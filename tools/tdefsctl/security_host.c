/* SPDX-License-Identifier: Apache-2.0 */
/* What is around the daemon: swap, hibernation, tracing, and who reaches its files. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "security.h"

static bool is_swap_on(void)
{
	CLEANUP_FCLOSE FILE *f = fopen("/proc/swaps", "re");
	char line[256];

	/* The first line is the heading. */
	return f && fgets(line, sizeof(line), f) && fgets(line, sizeof(line), f);
}

static void add_swap(struct security *s)
{
	if (is_swap_on())
		security_add(s, "swap", SECURITY_UNKNOWN,
			     "see that it is encrypted: the engine's memory goes there",
			     "on; whether it is encrypted is not known");
	else
		security_add(s, "swap", SECURITY_GOOD, NULL, "off");
}

/* /sys/power/state names "disk", and /sys/power/disk is not "[disabled]", where it can. */
static void add_hibernation(struct security *s)
{
	char states[128] = "", how[128] = "";
	bool possible;

	possible = security_read_line("/sys/power/state", states, sizeof(states)) &&
		   strstr(states, "disk") &&
		   security_read_line("/sys/power/disk", how, sizeof(how)) &&
		   !strstr(how, "[disabled]") && is_swap_on();
	security_add(s, "hibernation", possible ? SECURITY_BAD : SECURITY_GOOD,
		     "systemctl mask hibernate.target hybrid-sleep.target "
		     "suspend-then-hibernate.target: it writes all memory to the disk",
		     possible ? "possible" : "not possible");
}

static void add_ptrace_scope(struct security *s)
{
	char scope[16];

	if (!security_read_line("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope)))
		security_add(s, "ptrace scope", SECURITY_UNKNOWN,
			     "where others may trace engines, use a kernel with Yama",
			     "not enabled in this kernel");
	else
		security_add(s, "ptrace scope", scope[0] == '0' ? SECURITY_BAD : SECURITY_GOOD,
			     "sysctl kernel.yama.ptrace_scope=1", "%s", scope);
}

static bool is_for_root_only(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IRWXG | S_IRWXO));
}

/* Its own mode is that of the volume's root: a directory above it keeps others out. */
static void add_backing(struct security *s)
{
	CLEANUP_FREE char *path = realpath(s->vc->backing, NULL);
	bool shut = path && is_for_root_only(path);
	char *slash;

	if (!path) {
		security_add(s, "backing", SECURITY_UNKNOWN, "be root", "%s: cannot be reached",
			     s->vc->backing);
		return;
	}
	while (!shut && (slash = strrchr(path, '/')) && slash > path) {
		*slash = '\0';
		shut = is_for_root_only(path);
	}
	security_add(s, "backing", shut ? SECURITY_GOOD : SECURITY_BAD,
		     "put it below a directory of root's with the mode 0700: whoever gets there "
		     "sees names, sizes and ciphertext",
		     shut ? "%s: for root only" : "%s: others may get there", s->vc->backing);
}

static void add_key_file(struct security *s, const char *path)
{
	struct stat st;

	if (!path)
		return;
	if (lstat(path, &st) < 0)
		security_add(s, "key file", SECURITY_UNKNOWN, "be root, or correct tdefs.conf",
			     "%s: unreadable", path);
	else if (st.st_uid != 0 || !S_ISREG(st.st_mode) || st.st_mode & (S_IRWXG | S_IRWXO))
		security_add(s, "key file", SECURITY_BAD, "chown root, chmod 0600, no link",
			     "%s: mode %04o, owner %u", path, st.st_mode & 07777u, st.st_uid);
	else
		security_add(s, "key file", SECURITY_GOOD, NULL, "%s: for root only", path);
}

/* The files whose bytes are secrets. */
static void add_key_files(struct security *s)
{
	static const char scheme[] = "file:";
	const struct settings *set = &s->vc->settings;
	const bool file = set->protector && strncmp(set->protector, scheme, strlen(scheme)) == 0;

	add_key_file(s, file ? set->protector + strlen(scheme) : NULL);
	add_key_file(s, set->client_secret_file);
	add_key_file(s, set->client_certificate_file);
	add_key_file(s, set->webhook_file);
}

static void add_transport(struct security *s)
{
	const json_t *transport = json_object_get(s->status, "transport");
	const char *by = json_string_value(json_object_get(transport, "by"));
	const char *libfuse = json_string_value(json_object_get(s->status, "libfuse"));

	security_add(s, "transport", SECURITY_GOOD, NULL, "%s, libfuse %s", by ? by : "/dev/fuse",
		     libfuse ? libfuse : "?");
}

/* It runs the commands of on_event, which need what the daemon does not. */
static void add_hook(struct security *s)
{
	if (s->vc->settings.on_event)
		security_add(s, "hook helper", SECURITY_GOOD, NULL,
			     "a process of its own, as user %s; by design without a filter",
			     s->vc->settings.hook_user);
}

void security_of_host(struct security *s)
{
	add_swap(s);
	add_hibernation(s);
	add_ptrace_scope(s);
	add_backing(s);
	add_key_files(s);
	add_transport(s);
	add_hook(s);
}
