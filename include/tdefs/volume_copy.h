/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of copies: one that is put back from a backup of it, and the new
 * UUID of a copy that is to be mounted beside its original.
 */
#ifndef TDEFS_VOLUME_COPY_H
#define TDEFS_VOLUME_COPY_H

#include "tdefs/volume.h"

/* A header that takes the place of another; nobody has the volume mounted. */
struct header_restore {
	const struct sysio *sys;
	const struct config *config;
	const struct volume_config *volume; /* whose it is; NULL: a copy, which has no pin */
	const struct backing *backing;
	const struct vault_watch *watch;
	const struct volume_header *header; /* to be put there */
	bool dry_run;			    /* refuse what would be refused, and write nothing */
	bool force; /* though it is older, or nothing says whose it is, or no vault gives its DEK */
};

struct header_restored {
	bool had_one;	 /* a good header was there, */
	uint64_t before; /* of this sequence */
	uint64_t newest; /* the highest sequence that was known here, by header or pin */
	char kept
		[32]; /* what was there, good or not, is kept under this name in .tdefs; "": nothing */
	bool proved; /* its DEK was unwrapped and authenticates it */
	struct errmsg why_not;
};

/*
 * Refused, with nothing changed: another volume's, or one whose HMAC is wrong; unless `force`
 * an older one, another of the same age, one that nothing good can be compared with, one that the
 * pin does not know, one whose DEK no vault gives now. A crash
 * at any instant leaves a header that was there or the new one, and a pin that takes it.
 */
int volume_restore_header(const struct header_restore *restore, struct header_restored *ret_what,
			  struct errmsg *reterr) WARN_UNUSED;

/*
 * Give the volume a UUID of its own, by a fresh unwrap: then its original may be mounted beside it.
 * Its pin follows; one that does not match, but for its UUID, is refused unless `accept_header`.
 */
int volume_renew_uuid(const struct sysio *sys, const struct config *config,
		      const struct volume_config *vc, const struct vault_watch *watch,
		      bool accept_header, struct errmsg *reterr) WARN_UNUSED;

#endif
