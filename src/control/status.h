/* SPDX-License-Identifier: Apache-2.0 */
/* What status answers. Private to src/control. */
#ifndef TDEFS_CONTROL_STATUS_H
#define TDEFS_CONTROL_STATUS_H

#include "tdefs/control.h"

/* NULL: no memory. */
json_t *control_status(const struct control_context *context) WARN_UNUSED;

#endif
