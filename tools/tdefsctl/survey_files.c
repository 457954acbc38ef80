/* SPDX-License-Identifier: Apache-2.0 */
/* Of a survey: what lies beside a header, and who is mounted that nobody configured. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "survey.h"
#include "tdefs/atomic_file.h"
#include "tdefs/crypto.h"
#include "tdefs/file_header.h"

#define SOCKET_END ".sock"

static DIR *open_again(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		cleanup_close_(&fd);
	return dir;
}

static bool has(const struct key_slot *slots, size_t n, const struct key_slot *slot)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(slots[i].kid, slot->kid) == 0 &&
		    memcmp(slots[i].thumbprint, slot->thumbprint, THUMBPRINT_LEN) == 0)
			return true;
	return false;
}

/* A key once: both copies are put aside. */
static int add_kept(struct survey_header *h, const struct volume_header *v)
{
	struct key_slot *kept = reallocarray(h->kept, h->nkept + VOLUME_SLOT_COUNT, sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	h->kept = kept;
	for (size_t i = 0; i < VOLUME_SLOT_COUNT; i++)
		if (v->slots[i].state != SLOT_EMPTY && !has(kept, h->nkept, &v->slots[i]))
			kept[h->nkept++] = v->slots[i];
	return 0;
}

/* What is no header opens nothing: most are put aside because they are damaged. */
static int take_kept(struct survey_header *h, int header_fd, const char *name)
{
	CLEANUP_FREE uint8_t *bytes = malloc(VOLUME_HEADER_MAX);
	CLEANUP_FREE struct volume_header *v = malloc(sizeof(*v));
	ssize_t n;

	if (!bytes || !v)
		return -ENOMEM;
	n = atomic_file_read(&sysio_kernel, header_fd, name, bytes, VOLUME_HEADER_MAX);
	if (n < 0 || volume_header_parse(bytes, (size_t)n, sha256, v) < 0)
		return 0;
	return add_kept(h, v);
}

int survey_read_kept(struct survey_header *h, int header_fd)
{
	CLEANUP_CLOSEDIR DIR *dir = open_again(header_fd);
	const struct dirent *e;
	int r = dir ? 0 : -errno;

	while (r == 0 && (errno = 0, e = readdir(dir)))
		if (strncmp(e->d_name, "header.", strlen("header.")) == 0 &&
		    strstr(e->d_name, HEADER_KEPT))
			r = take_kept(h, header_fd, e->d_name);
	return r == 0 && errno ? -errno : r;
}

int survey_read_file(int dirfd, const char *name, struct volume_header *ret_header,
		     struct directory_id *ret_id)
{
	uint8_t bytes[VOLUME_HEADER_LEN];
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size != VOLUME_HEADER_LEN)
		return 0;
	*ret_id = (struct directory_id){ st.st_dev, st.st_ino };
	fd = open_regular(dirfd, name, O_RDONLY | O_NOATIME);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (pread(fd, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return 0;
	r = volume_header_parse(bytes, sizeof(bytes), sha256, ret_header);
	return r == 0 ? 1 : r == -EBADMSG ? 0 : r;
}

bool survey_is_ciphertext(int header_fd)
{
	for (int i = 0; i < HEADER_COPIES; i++) {
		CLEANUP_CLOSE int fd = openat(header_fd, header_copy_names[i],
					      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		uint8_t bytes[FILE_RECORD_LEN];
		struct file_record record;

		if (fd >= 0 && pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
		    file_record_parse(bytes, &record) != -EBADMSG)
			return true;
	}
	return false;
}

bool survey_answers(const struct config *config, const char *volume)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "status");
	CLEANUP_JSON json_t *answer = NULL;
	int r = request ? control_call(config->runtime_dir, volume, request, &answer) : -ENOMEM;

	return r == 0 || r == -EACCES || r == -ETIMEDOUT;
}

/* The volume whose socket this is; false: it is none, or one of a configured volume. */
static bool is_stray(const struct config *config, const char *file, char ret_name[NAME_MAX + 1])
{
	const size_t len = strlen(file), end = strlen(SOCKET_END);

	if (len <= end || strcmp(file + len - end, SOCKET_END) != 0)
		return false;
	(void)snprintf(ret_name, NAME_MAX + 1, "%.*s", (int)(len - end), file);
	for (size_t i = 0; i < config->nvolumes; i++)
		if (strcmp(config->volumes[i].name, ret_name) == 0)
			return false;
	return survey_answers(config, ret_name);
}

int survey_find_strays(const struct config *config,
		       int (*missed)(void *arg, const char *path, const char *why), void *arg)
{
	CLEANUP_CLOSEDIR DIR *dir = opendir(config->runtime_dir);
	char name[NAME_MAX + 1], path[PATH_MAX];
	const struct dirent *e;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : missed(arg, config->runtime_dir, errno_text(-errno));
	while (r == 0 && (e = readdir(dir))) {
		if (!is_stray(config, e->d_name, name))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", config->runtime_dir, e->d_name);
		r = missed(arg, path, "a mounted volume that is not configured (any more)");
	}
	return r;
}
