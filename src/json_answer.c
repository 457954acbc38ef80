/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "json_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tdefs/cleanup.h"
#include "tdefs/errmsg.h"

int json_answer_print(json_t *object, int schema, int code)
{
	json_t *answer = json_pack("{s:i}", "schema", schema);
	char *text = NULL;

	if (object && json_object_update(answer, object) == 0)
		text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	json_decref(object);
	if (!text) {
		fprintf(stderr, "%s: out of memory\n  next: free some and try again\n",
			program_invocation_short_name);
		return EXIT_CODE_FAILED;
	}
	puts(text);
	free(text);
	return code;
}
