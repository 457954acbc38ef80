/* SPDX-License-Identifier: Apache-2.0 */
/* A copy becomes an instance of its own. Key domain, DEK and files stay. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/secret.h"
#include "tdefs/volume_copy.h"
#include "volume_event.h"

struct work {
	const struct sysio *sys;
	const struct config *config;
	const struct volume_config *vc;
	struct header_found found;
};

/*
 * Whoever mounts says that this is a copy of his: no pin is needed, but one that is there counts, but
 * for its UUID: the last --new-uuid may have ended between header and pin.
 */
static int check_pin(const struct work *w, struct errmsg *reterr)
{
	struct pin pin;
	int r = pin_read(w->sys, w->config->state_dir, w->vc->name, &pin);

	if (r == 0) {
		memcpy(pin.uuid, w->found.header.uuid, sizeof(pin.uuid));
		return pin_check(&pin, &w->found.header, w->vc->name, reterr);
	}
	if (r == -ENOENT)
		return 0;
	errmsg_next(reterr, "make it readable, or mount with --accept-header, too");
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot read its pin: %s",
			   w->vc->name, errno_text(r));
}

static int renew(struct work *w, const struct secret *dek, const struct backing *backing)
{
	struct volume_header *h = &w->found.header;
	struct pin pin;
	int r = uuid_make(h->uuid);

	h->sequence++;
	if (r == 0)
		r = header_seal(h, dek);
	if (r == 0)
		r = header_write(w->sys, backing->header_fd, h);
	pin = pin_of_header(h);
	return r < 0 ? r : pin_write(w->sys, w->config->state_dir, w->vc->name, &pin);
}

static int read_and_renew(struct work *w, const struct backing *backing,
			  const struct vault_watch *watch, bool accept_header,
			  struct errmsg *reterr)
{
	CLEANUP_SECRET struct secret *dek = NULL;
	uint8_t before[16];
	int r = header_read(w->sys, backing->header_fd, w->vc->name, &w->found, reterr);

	if (r == 0 && !accept_header)
		r = check_pin(w, reterr);
	if (r == 0)
		r = volume_dek(w->config, watch, &w->found.header, &dek, reterr);
	if (r < 0)
		return r;
	memcpy(before, w->found.header.uuid, sizeof(before));
	r = renew(w, dek, backing);
	if (r == 0) {
		volume_event_uuid_renewed(watch->audit, before, &w->found.header);
		return 0;
	}
	errmsg_next(reterr, "look at the disks of the backing and of %s, then try again",
		    w->config->state_dir);
	return errmsg_fail(reterr, r, EXIT_CODE_FAILED, "volume %s: cannot give it a new UUID: %s",
			   w->vc->name, errno_text(r));
}

int volume_renew_uuid(const struct sysio *sys, const struct config *config,
		      const struct volume_config *vc, const struct vault_watch *watch,
		      bool accept_header, struct errmsg *reterr)
{
	CLEANUP_FREE struct work *w = calloc(1, sizeof(*w));
	CLEANUP_BACKING struct backing backing = BACKING_NONE;
	CLEANUP_CLOSE int lock_fd = -1;
	int r;

	if (!w)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "out of memory");
	*w = (struct work){ .sys = sys, .config = config, .vc = vc };
	r = backing_open(vc->backing, vc->name, vc->settings.unsupported_backing, &backing, reterr);
	if (r == 0 && backing.header_fd < 0) {
		errmsg_next(reterr, "name the copy of a volume as its backing");
		r = errmsg_fail(reterr, -ENOENT, EXIT_CODE_FAILED, "volume %s: %s is not formatted",
				vc->name, vc->backing);
	}
	if (r == 0)
		r = backing_lock(&backing, vc->name, &lock_fd, reterr);
	return r < 0 ? r : read_and_renew(w, &backing, watch, accept_header, reterr);
}
