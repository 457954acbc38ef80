/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pin: STATE_DIR/NAME.pin, three lines of text. Whoever can write the
 * backing can wrap a DEK of his own to the public key; the pin is where that
 * shows.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdefs/atomic_file.h"
#include "tdefs/bytes.h"
#include "tdefs/keyring.h"

#define PIN_TEXT_MAX 256

static int open_state_dir(const struct sysio *sys, const char *state_dir, bool create)
{
	int fd = sys->openat(AT_FDCWD, state_dir, O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd != -ENOENT || !create)
		return fd;
	r = sys->mkdirat(AT_FDCWD, state_dir, 0700);
	if (r < 0 && r != -EEXIST)
		return r;
	return sys->openat(AT_FDCWD, state_dir, O_RDONLY | O_DIRECTORY, 0);
}

/* The directory's own name: whoever made it may have been killed before it was safe. */
static int sync_name_of(const struct sysio *sys, int dirfd)
{
	int fd = sys->openat(dirfd, "..", O_RDONLY | O_DIRECTORY, 0);
	int r = fd < 0 ? fd : sys->fsync(fd);

	if (fd >= 0)
		IGNORE_RESULT(sys->close(fd), "only read");
	return r;
}

/* The length. */
static int pin_print(const struct pin *pin, char text[static PIN_TEXT_MAX])
{
	char uuid[HEX_LEN(16)], id[HEX_LEN(16)];

	return snprintf(text, PIN_TEXT_MAX, "uuid %s\ndek-id %s\nsequence %" PRIu64 "\n",
			hex_encode(pin->uuid, 16, uuid), hex_encode(pin->dek_id, 16, id),
			pin->sequence);
}

/* Exactly what pin_print() writes, or -EBADMSG. */
static int pin_parse(const char *text, struct pin *ret_pin)
{
	char uuid[33], id[33], sequence[21], again[PIN_TEXT_MAX];
	struct pin pin;

	if (sscanf(text, "uuid %32s dek-id %32s sequence %20s", uuid, id, sequence) != 3 ||
	    !hex_decode(uuid, pin.uuid, 16) || !hex_decode(id, pin.dek_id, 16))
		return -EBADMSG;
	pin.sequence = strtoull(sequence, NULL, 10);
	if (pin_print(&pin, again) < 0 || strcmp(text, again) != 0)
		return -EBADMSG;
	*ret_pin = pin;
	return 0;
}

int pin_read(const struct sysio *sys, const char *state_dir, const char *volume,
	     struct pin *ret_pin)
{
	CLEANUP_CLOSE int dirfd = open_state_dir(sys, state_dir, false);
	char name[NAME_MAX + 1], text[PIN_TEXT_MAX + 1];
	ssize_t n;

	if (dirfd < 0)
		return dirfd;
	(void)snprintf(name, sizeof(name), "%s.pin", volume);
	n = atomic_file_read(sys, dirfd, name, text, PIN_TEXT_MAX);
	if (n < 0)
		return n == -EFBIG ? -EBADMSG : (int)n;
	text[n] = '\0';
	return pin_parse(text, ret_pin);
}

int pin_write(const struct sysio *sys, const char *state_dir, const char *volume,
	      const struct pin *pin)
{
	CLEANUP_CLOSE int dirfd = open_state_dir(sys, state_dir, true);
	char name[NAME_MAX + 1], text[PIN_TEXT_MAX];
	int len, r;

	if (dirfd < 0)
		return dirfd;
	(void)snprintf(name, sizeof(name), "%s.pin", volume);
	len = pin_print(pin, text);
	r = atomic_file_write(sys, dirfd, name, 0600, text, (size_t)len);
	return r < 0 ? r : sync_name_of(sys, dirfd);
}

void pin_remove(const struct sysio *sys, const char *state_dir, const char *volume)
{
	CLEANUP_CLOSE int dirfd = open_state_dir(sys, state_dir, false);
	char name[NAME_MAX + 1];

	if (dirfd < 0)
		return;
	(void)snprintf(name, sizeof(name), "%s.pin", volume);
	IGNORE_RESULT(sys->unlinkat(dirfd, name, 0), "as far as it goes");
}

struct pin pin_of_header(const struct volume_header *header)
{
	struct pin pin = { .sequence = header->sequence };

	memcpy(pin.uuid, header->uuid, 16);
	memcpy(pin.dek_id, volume_header_active_slot(header)->dek_id, 16);
	return pin;
}

int pin_check(const struct pin *pin, const struct volume_header *header, const char *volume,
	      struct errmsg *reterr)
{
	struct pin seen = pin_of_header(header);
	const char *what = NULL;

	if (memcmp(pin->uuid, seen.uuid, 16) != 0)
		what = "it is another volume's (its UUID differs)";
	else if (memcmp(pin->dek_id, seen.dek_id, 16) != 0)
		what = "its DEK is another one";
	else if (seen.sequence < pin->sequence)
		what = "it is older than one that was in use here";
	if (!what)
		return 0;
	errmsg_next(reterr,
		    "find out who changed .tdefs/header; if it was you (a restore, a copy), "
		    "mount once with --accept-header");
	return errmsg_fail(reterr, -EKEYREJECTED, EXIT_CODE_FAILED,
			   "volume %s: its header does not match the pin: %s", volume, what);
}
