/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "json_answer.h"

#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>

#include "tdefs/cleanup.h"
#include "tdefs/text.h"

int json_answer_print(json_t *object, int schema, int code)
{
	json_t *answer = json_pack("{s:i}", "schema", schema);
	char *text = NULL;

	if (object && json_object_update(answer, object) == 0)
		text = json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(DBL_DIG));
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

json_t *json_answer_of_error(struct errmsg *err)
{
	text_escape_message(err);
	return json_pack("{s:s, s:s, s:i}", "error", err->text, "next", err->next, "exit_code",
			 (int)err->exit_code);
}

int json_answer_failed(struct errmsg *err, const char *program, bool json, int schema)
{
	json_t *error = json_answer_of_error(err);
	int code = errmsg_print(err, program);

	if (json)
		return json_answer_print(error, schema, code);
	json_decref(error);
	return code;
}
