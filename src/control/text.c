/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a JSON string. */
#include "tdefs/control.h"

json_t *text_json(const char *bytes)
{
	CLEANUP_FREE char *text = text_new(bytes);

	return text ? json_string(text) : NULL;
}
