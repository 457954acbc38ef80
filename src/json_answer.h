/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of all programs to --json: one line each, of which "schema" is the first member. */
#ifndef TDEFS_JSON_ANSWER_H
#define TDEFS_JSON_ANSWER_H

#include <jansson.h>
#include <stdbool.h>

#include "tdefs/cleanup.h"
#include "tdefs/errmsg.h"

/* Drops the reference, also to NULL: no memory. `code`, or EXIT_CODE_FAILED where it cannot be printed. */
int json_answer_print(json_t *object, int schema, int code);

/* {"error", "next", "exit_code"}; escapes the message's texts in place. */
json_t *json_answer_of_error(struct errmsg *err) WARN_UNUSED;

/* The message on standard error; as an answer, too, where that is asked for. Its exit code. */
int json_answer_failed(struct errmsg *err, const char *program, bool json, int schema);

#endif
