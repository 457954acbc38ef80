/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the daemon of the volume that a verb is about: call->args[0]. */
#ifndef TDEFSCTL_ASK_H
#define TDEFSCTL_ASK_H

#include "tdefsctl.h"

#define LOOK_AGAIN_MS 50

/* Hand it a request; an error, its own, too, is in call->err. */
int call_ask(struct call *call, const json_t *request, json_t **ret_answer) WARN_UNUSED;
int call_tell(struct call *call, json_t *request) WARN_UNUSED; /* takes the request over */
int call_look(struct call *call, json_t **ret_status) WARN_UNUSED;

/* "" when there is none. */
const char *text_at(const json_t *object, const char *key);
/* The part of a status. */
const json_t *key_access(const json_t *status);

/* Until the daemon is no longer busy; at most so many looks. */
int look_while(struct call *call, bool (*busy)(const json_t *status), unsigned looks) WARN_UNUSED;
int wait_while(struct call *call, bool (*busy)(const json_t *status)) WARN_UNUSED;
bool is_draining(const json_t *status);
void pause_briefly(void);

#endif
