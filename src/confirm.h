/* SPDX-License-Identifier: Apache-2.0 */
/* Before what cannot be undone: a question to whoever sits at the terminal. */
#ifndef TDEFS_CONFIRM_H
#define TDEFS_CONFIRM_H

#include <stdbool.h>

/* `yes`, or yes on the terminal. Without a terminal the answer is no. */
bool confirm(bool yes, const char *question);

#endif
