/* SPDX-License-Identifier: Apache-2.0 */
/* The two copies of the volume header: reading, choosing, writing, sealing. */
#include <errno.h>
#include <string.h>

#include "tdefs/atomic_file.h"
#include "tdefs/keyring.h"

const char *const header_copy_names[HEADER_COPIES] = { "header", "header.bak" };

const char *header_copy_state_text(enum header_copy_state state)
{
	static const char *const texts[] = {
		[HEADER_COPY_GOOD] = "good",	     [HEADER_COPY_MISSING] = "missing",
		[HEADER_COPY_DAMAGED] = "damaged",   [HEADER_COPY_NEWER] = "of a newer version",
		[HEADER_COPY_STALE] = "out of date",
	};

	return texts[state];
}

int header_exists(const struct sysio *sys, int header_dirfd)
{
	struct stat st;

	for (int i = 0; i < HEADER_COPIES; i++) {
		int r = sys->fstatat(header_dirfd, header_copy_names[i], &st, AT_SYMLINK_NOFOLLOW);

		if (r != -ENOENT)
			return r < 0 ? r : 1;
	}
	return 0;
}

/* Too long, a directory, a symbolic link, a FIFO, a socket: damage, and the other copy serves. */
static bool is_no_header(ssize_t error)
{
	return error == -EFBIG || error == -EISDIR || error == -ELOOP || error == -ESPIPE ||
	       error == -ENXIO;
}

/* One copy: 0 with its state, or the error that kept us from reading it. */
static int read_copy(const struct sysio *sys, int header_dirfd, int i,
		     enum header_copy_state *ret_state, struct volume_header *ret_header)
{
	CLEANUP_FREE uint8_t *bytes = malloc(VOLUME_HEADER_MAX);
	ssize_t n;
	int r;

	if (!bytes)
		return -ENOMEM;
	n = atomic_file_read(sys, header_dirfd, header_copy_names[i], bytes, VOLUME_HEADER_MAX);
	if (n < 0 && n != -ENOENT && !is_no_header(n))
		return (int)n;
	r = n < 0 ? (int)n : volume_header_parse(bytes, (size_t)n, sha256, ret_header);
	if (r == -ENOMEM || r == -EIO)
		return r;
	*ret_state = r == 0		     ? HEADER_COPY_GOOD
		     : r == -ENOENT	     ? HEADER_COPY_MISSING
		     : r == -EPROTONOSUPPORT ? HEADER_COPY_NEWER
					     : HEADER_COPY_DAMAGED;
	return 0;
}

static int refuse(const struct header_found *f, const char *volume, struct errmsg *reterr)
{
	const enum header_copy_state *s = f->state;

	if (s[0] == HEADER_COPY_NEWER || s[1] == HEADER_COPY_NEWER) {
		errmsg_next(reterr, "upgrade tdefs");
		return errmsg_fail(
			reterr, -EPROTONOSUPPORT, EXIT_CODE_FAILED,
			"volume %s: its header was made by a newer tdefs than this, " TDEFS_VERSION,
			volume);
	}
	if (s[0] == HEADER_COPY_MISSING && s[1] == HEADER_COPY_MISSING) {
		errmsg_next(reterr, "correct its path, or mount the file system it is on; a new "
				    "volume: tdefsctl "
				    "format");
		return errmsg_fail(reterr, -ENOENT, EXIT_CODE_FAILED,
				   "volume %s: it has no header: not formatted", volume);
	}
	errmsg_next(reterr,
		    "restore .tdefs/header from a backup of this volume; without one of its "
		    "copies the data cannot be opened");
	return errmsg_fail(reterr, -EBADMSG, EXIT_CODE_FAILED,
			   "volume %s: no good copy of its header (header: %s, header.bak: %s)",
			   volume, header_copy_state_text(s[0]), header_copy_state_text(s[1]));
}

/* Which copy serves, and whether the other is behind it; -1: none. */
static int choose(struct header_found *f, const struct volume_header copies[HEADER_COPIES])
{
	enum header_copy_state *s = f->state;
	int best, other;

	if (s[0] == HEADER_COPY_NEWER || s[1] == HEADER_COPY_NEWER)
		return -1;
	if (s[0] != HEADER_COPY_GOOD && s[1] != HEADER_COPY_GOOD)
		return -1;
	best = s[0] != HEADER_COPY_GOOD ||
	       (s[1] == HEADER_COPY_GOOD && copies[1].sequence > copies[0].sequence);
	other = !best;
	if (s[other] == HEADER_COPY_GOOD &&
	    memcmp(copies[other].digest, copies[best].digest, sizeof(copies[0].digest)) != 0)
		s[other] = HEADER_COPY_STALE;
	return best;
}

int header_read(const struct sysio *sys, int header_dirfd, const char *volume,
		struct header_found *ret_found, struct errmsg *reterr)
{
	CLEANUP_FREE struct volume_header *copies = calloc(HEADER_COPIES, sizeof(*copies));
	struct header_found found = { 0 };
	int best;

	if (!copies)
		return errmsg_fail(reterr, -ENOMEM, EXIT_CODE_FAILED, "volume %s: out of memory",
				   volume);
	for (int i = 0; i < HEADER_COPIES; i++) {
		int r = read_copy(sys, header_dirfd, i, &found.state[i], &copies[i]);

		if (r < 0) {
			errmsg_next(reterr,
				    "look at the disk and the kernel's log, then try again");
			return errmsg_fail(reterr, r, EXIT_CODE_FAILED,
					   "volume %s: cannot read .tdefs/%s: %s", volume,
					   header_copy_names[i], errno_text(r));
		}
	}
	best = choose(&found, copies);
	if (best < 0)
		return refuse(&found, volume, reterr);
	found.header = copies[best];
	*ret_found = found;
	return 0;
}

int header_write(const struct sysio *sys, int header_dirfd, const struct volume_header *header)
{
	CLEANUP_FREE uint8_t *bytes = malloc(VOLUME_HEADER_LEN);
	int r;

	if (!bytes)
		return -ENOMEM;
	r = volume_header_encode(header, sha256, bytes);
	for (int i = 0; r == 0 && i < HEADER_COPIES; i++)
		r = atomic_file_write(sys, header_dirfd, header_copy_names[i], 0600, bytes,
				      VOLUME_HEADER_LEN);
	return r;
}

static int compute_mac(const struct volume_header *header, const struct secret *dek,
		       uint8_t ret_mac[static 32])
{
	CLEANUP_FREE uint8_t *bytes = malloc(VOLUME_HEADER_LEN);
	CLEANUP_SECRET struct secret *key = NULL;
	int r;

	if (!bytes)
		return -ENOMEM;
	r = volume_header_encode_unsealed(header, bytes);
	if (r == 0)
		r = derive_volume_header_key(dek, header->uuid, &key);
	return r < 0 ? r : hmac_sha256(key, bytes, VOLUME_HEADER_LEN, ret_mac);
}

int header_seal(struct volume_header *header, const struct secret *dek)
{
	int r = dek_id(dek, header->macs[0].dek_id);

	return r < 0 ? r : compute_mac(header, dek, header->macs[0].mac);
}

int header_authenticate(const struct volume_header *header, const struct secret *dek)
{
	uint8_t id[DEK_ID_LEN], mac[32];
	int r = dek_id(dek, id);

	if (r == 0)
		r = compute_mac(header, dek, mac);
	if (r < 0)
		return r;
	for (size_t i = 0; i < VOLUME_MAC_COUNT; i++)
		if (constant_time_equal(header->macs[i].dek_id, id, sizeof(id)) &&
		    constant_time_equal(header->macs[i].mac, mac, sizeof(mac)))
			return 0;
	return -EBADMSG;
}
