/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl format */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tdefs/bytes.h"
#include "tdefs/secret.h"
#include "tdefsctl.h"

/* Every directory above it, up to the root, lets others through. */
static bool is_exposed(const char *backing)
{
	CLEANUP_CLOSE int fd = open(backing, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat here, above;

	if (fd < 0 || fstat(fd, &here) < 0)
		return false;
	for (;;) {
		int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (up < 0)
			return false;
		close(fd);
		fd = up;
		if (fstat(fd, &above) < 0 || !(above.st_mode & S_IXOTH))
			return false;
		if (above.st_dev == here.st_dev && above.st_ino == here.st_ino)
			return true;
		here = above;
	}
}

/* Whoever gets to the backing directory beside the mount sees and can harm the ciphertext. */
static void warn_if_exposed(const char *backing)
{
	CLEANUP_FREE char *text = text_new(backing);

	if (text && is_exposed(backing))
		fprintf(stderr,
			PROGRAM ": warning: other users can reach %s past the mount\n"
				"  next: put it into a directory of its own with mode 0700\n",
			text);
}

static int report(const struct call *call, const struct volume_config *vc,
		  const struct volume_header *h)
{
	const struct key_slot *slot = volume_header_active_slot(h);
	CLEANUP_FREE char *backing = text_new(vc->backing);
	CLEANUP_FREE char *kid = text_new(slot->kid);
	char uuid[UUID_TEXT_LEN], thumbprint[HEX_LEN(32)];

	if (!backing || !kid)
		return print_json(NULL, EXIT_CODE_FAILED);
	uuid_format(h->uuid, uuid);
	hex_encode(slot->thumbprint, 32, thumbprint);
	if (call->json)
		return print_json(json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", vc->name,
					    "backing", backing, "uuid", uuid, "kid", kid,
					    "thumbprint", thumbprint),
				  EXIT_CODE_DONE);
	printf("volume %s: formatted %s\n"
	       "  uuid       %s\n"
	       "  protector  %s\n"
	       "  thumbprint %s\n"
	       "Keep the protector safe: without it the data is lost.\n",
	       vc->name, backing, uuid, kid, thumbprint);
	return EXIT_CODE_DONE;
}

#define BACKUP_NEXT "back it up (%s), keep that apart from the data, and give --key-is-backed-up"

static int check_key_backup(struct call *call, const struct volume_config *vc)
{
	/* Nobody but the operator knows whether a key is in a backup: a vault does not tell. */
	if (call->key_is_backed_up || !call->config->policy.require_key_backup)
		return 0;
	errmsg_policy(&call->err, POLICY_KEY_BACKUP);
	errmsg_next(&call->err, BACKUP_NEXT, protector_backup_way(vc->settings.protector));
	return errmsg_fail(&call->err, -EPERM, EXIT_CODE_POLICY,
			   "volume %s: the policy requires a backup of %s", vc->name,
			   vc->settings.protector);
}

static void remind_of_backup(const struct call *call, const struct volume_config *vc)
{
	/* Of a file report() says it. */
	if (!call->key_is_backed_up && protector_is_customer_managed(vc->settings.protector))
		fprintf(stderr,
			PROGRAM ": warning: without a backup of %s its loss is the data's\n"
				"  next: " BACKUP_NEXT "\n",
			vc->settings.protector, protector_backup_way(vc->settings.protector));
}

static int format(struct call *call, const struct volume_config *vc,
		  struct volume_header *ret_header)
{
	const struct vault_watch watch = call_watch(call, "format", vc->name, vc->name);
	int r = check_key_backup(call, vc);

	if (r < 0) {
		volume_event_policy_refused(watch.audit, POLICY_FORMAT, vc->settings.protector,
					    &call->err);
		return r;
	}
	secret_lock_memory(vc->settings.lock_memory);
	return volume_format(&sysio_kernel, call->config, vc, &watch, (uint64_t)time(NULL),
			     ret_header, &call->err);
}

int verb_format(struct call *call)
{
	const struct volume_config *vc;
	struct volume_header header;
	int r = config_volume(call->config, call->args[0], &vc, &call->err);

	if (r == 0)
		r = format(call, vc, &header);
	if (r < 0)
		return call_failed(call);
	warn_if_exposed(vc->backing);
	remind_of_backup(call, vc);
	return report(call, vc, &header);
}
