/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume headers that there are: that of each configured volume, mounted or not,
 * and, beneath each --in DIR, of every directory with a .tdefs/header, and of every file
 * that is one (tdefsctl header backup). Each is listed
 * once. What could not be read or searched is listed, too, so that nobody takes what
 * was not looked at for an answer. Asks no vault.
 */
#ifndef TDEFSCTL_SURVEY_H
#define TDEFSCTL_SURVEY_H

#include "progress.h"
#include "tdefs/keyring.h"
#include "tdefsctl.h"
#include "walk.h"

#define SURVEY_HEADERS_MAX 50000u
#define SURVEY_MISSED_MAX  1000u

struct survey_header {
	char *path;			    /* of the backing directory, or of the file */
	const struct volume_config *volume; /* NULL: a copy, or another host's */
	bool mounted;			    /* its daemon answers; of a copy not known: false */
	struct directory_id id;		    /* zeros: it could not be opened */

	/* NULL: it was read, or there is none because the configured volume was never formatted. */
	struct errmsg *error;
	/* Of one that was read. */
	enum header_copy_state state[HEADER_COPIES];
	uint8_t uuid[16];
	uint32_t compatible;
	uint64_t sequence;
	size_t nslots;		/* 0: it was not */
	struct key_slot *slots; /* those in use: the active one first, then from new to old */
	size_t nkept;
	struct key_slot *kept; /* those of headers that a restore put aside, in no order */
};

/* Beneath this nothing was searched. */
struct survey_missed {
	char *path, *why;
};

struct survey {
	struct call *call;
	struct survey_header *headers; /* the configured volumes first, in their order */
	size_t count;
	struct survey_missed *missed;
	size_t nmissed;
	char **searched; /* each --in DIR, without symbolic links */
	size_t nsearched;
	uint64_t directories; /* that were looked at */
	struct progress progress;
};

/* Shows its progress on a terminal. An error is in call->err; release it even then. */
int survey_take(struct call *call, struct survey *ret_survey) WARN_UNUSED;
void survey_release(struct survey *s);

/* What survey.c leaves to survey_files.c. Negative errno, or 0 and 1 for a question. */
int survey_read_kept(struct survey_header *h, int header_fd) WARN_UNUSED;
/* Is it the ciphertext of a header: that of a volume which lies on another? */
bool survey_is_ciphertext(int header_fd);
/* Those who are mounted, but not configured any more: `missed`, by what tells of them. */
int survey_find_strays(const struct config *config,
		       int (*missed)(void *arg, const char *path, const char *why),
		       void *arg) WARN_UNUSED;
/* Is this file, by itself, a header? 1: it was read, or is of a version we do not know (-EPROTONOSUPPORT). */
int survey_read_file(int dirfd, const char *name, struct volume_header *ret_header,
		     struct directory_id *ret_id) WARN_UNUSED;
bool survey_answers(const struct config *config, const char *volume);

/* Was all of it read? */
bool survey_is_whole(const struct survey *s);

/* Until when the slot's key was in use: when the next newer slot was made; 0: it still is. */
uint64_t survey_slot_until(const struct survey_header *h, size_t slot);

/* {"volumes_of": FILE, "directories": [DIR ...]} and [{"path", "why"} ...]; NULL: no memory. */
json_t *survey_searched_json(const struct survey *s) WARN_UNUSED;
json_t *survey_missed_json(const struct survey *s) WARN_UNUSED;
/* What was searched, and what was not, to standard output. */
void survey_print_searched(const struct survey *s);

static inline void cleanup_survey_(struct survey *s)
{
	survey_release(s);
}
#define CLEANUP_SURVEY CLEANUP(cleanup_survey_)

#endif
