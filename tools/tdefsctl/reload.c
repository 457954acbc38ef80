/* SPDX-License-Identifier: Apache-2.0 */
/* tdefsctl reload: a daemon reads tdefs.conf again. */
#include <stdio.h>

#include "ask.h"

int verb_reload(struct call *call)
{
	CLEANUP_JSON json_t *request = json_pack("{s:s}", "command", "reload");
	CLEANUP_JSON json_t *answer = NULL;
	const char *taken;

	if (call_ask(call, request, &answer) < 0)
		return call_failed(call);
	if (call->json)
		return print_json(TAKE_PTR(answer), EXIT_CODE_DONE);
	taken = json_string_value(json_object_get(answer, "taken"));
	printf("%s: %s%s\n", call->args[0],
	       taken && *taken ? "taken over: "
			       : "nothing has changed (files that it names were read again)",
	       taken ? taken : "");
	return EXIT_CODE_DONE;
}
