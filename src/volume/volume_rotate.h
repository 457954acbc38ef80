/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/volume. */
#ifndef TDEFS_VOLUME_ROTATE_INTERNAL_H
#define TDEFS_VOLUME_ROTATE_INTERNAL_H

#include "tdefs/rotate.h"
#include "tdefs/volume_rotate.h"
#include "volume_internal.h"

struct rotor *rotor_new(struct volume *v) WARN_UNUSED; /* NULL: no memory */
/* False: a rotation hangs with a vault or the disk, and is left behind; it writes no header any more. */
bool rotor_stop(struct rotor *r) WARN_UNUSED;
void rotor_silence(struct rotor *r); /* after rotor_stop(): see watched_vault_end() */
void rotor_free(struct rotor *r);    /* accepts NULL */

/*
 * The key that is asked for, if these settings allow it as a protector. `serving`: a kid
 * whose vault serves as the secondary now; NULL: none. `ret_kid` is set also when it is refused.
 */
int rotation_target(const struct rotation_request *request, const struct settings *settings,
		    const struct policy *policy, const char *serving, const char *volume,
		    char ret_kid[static KID_MAX + 1], struct errmsg *reterr) WARN_UNUSED;

enum rotation_choice rotation_choice_of(const struct rotation_request *request);

void rotation_outcome_of(const struct volume_header *before, const struct rotation_result *result,
			 int error, struct rotation_outcome *outcome);

/* rotated, rotation_failed; policy_noted, policy_refused. */
void volume_event_rotation(struct audit *audit, const struct rotation_request *request,
			   const struct rotation_outcome *outcome);

#endif
