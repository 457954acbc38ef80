/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of tdefsctl --json and tdefs-vault --json: one line each, of which "schema" is the first member. */
#ifndef TDEFS_JSON_ANSWER_H
#define TDEFS_JSON_ANSWER_H

#include <jansson.h>

/* Drops the reference, also to NULL: no memory. `code`, or EXIT_CODE_FAILED where it cannot be printed. */
int json_answer_print(json_t *object, int schema, int code);

#endif
