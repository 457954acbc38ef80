/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as text that JSON takes and a terminal shows: control characters, what
 * is not UTF-8, and backslashes become \xNN.
 */
#ifndef TDEFS_TEXT_H
#define TDEFS_TEXT_H

#include <stddef.h>

#include "tdefs/cleanup.h"
#include "tdefs/errmsg.h"

/* Cuts what does not fit into `room`; returns `out`. */
char *text_escape(const char *bytes, char *out, size_t room);
/* The caller's to free; NULL without memory. */
char *text_new(const char *bytes) WARN_UNUSED;
/* A message in place, before it is printed: it may quote a name or a header. */
void text_escape_message(struct errmsg *e);
/* Back, in place; -EINVAL when it is no such text. */
int text_unescape(char *text) WARN_UNUSED;

#endif
