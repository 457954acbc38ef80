/* SPDX-License-Identifier: Apache-2.0 */
/* Answers and errors in Azure's form. Decides nothing. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tdefs/log.h"

#include "request.h"

#define JSON_TYPE "application/json; charset=utf-8"

void request_release(struct request *rq)
{
	json_decref(rq->body);
	rq->body = NULL;
}

void answer_release(struct answer *a)
{
	if (a->text)
		secret_wipe(a->text, a->len);
	free(a->text);
	a->text = NULL;
}

static int set_text(struct answer *a, unsigned status, const char *type, char *text)
{
	if (!text)
		return -ENOMEM;
	answer_release(a);
	a->status = status;
	a->content_type = type;
	a->text = text;
	a->len = strlen(text);
	return 0;
}

int answer_text(struct answer *a, unsigned status, const char *content_type, const char *text)
{
	return set_text(a, status, content_type, strdup(text));
}

int answer_json(struct answer *a, json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	return set_text(a, 200, JSON_TYPE, text);
}

static int error_message(struct answer *a, unsigned status, const char *code, const char *inner,
			 const char *message)
{
	json_t *error = json_pack("{s:s, s:s}", "code", code, "message", message);
	int r;

	if (inner && error &&
	    json_object_set_new(error, "innererror", json_pack("{s:s}", "code", inner)) < 0) {
		json_decref(error);
		return -ENOMEM;
	}
	r = answer_json(a, json_pack("{s:o}", "error", error));
	a->status = status;
	(void)snprintf(a->result, sizeof(a->result), "%s", inner ? inner : code);
	return r;
}

__attribute__((format(printf, 5, 0))) static int error_args(struct answer *a, unsigned status,
							    const char *code, const char *inner,
							    const char *fmt, va_list args)
{
	char message[2048];
	int n = vsnprintf(message, sizeof(message), fmt, args);

	if (n < 0)
		return -EIO;
	/* A name that was cut, or bytes that are not UTF-8, must not break the answer. */
	for (char *p = message; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return error_message(a, status, code, inner, message);
}

int answer_error(struct answer *a, unsigned status, const char *code, const char *inner,
		 const char *fmt, ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = error_args(a, status, code, inner, fmt, args);
	va_end(args);
	return r;
}

int answer_bad_parameter(struct answer *a, const char *fmt, ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = error_args(a, 400, "BadParameter", NULL, fmt, args);
	va_end(args);
	return r;
}

int answer_key_not_found(struct answer *a, const struct request *rq)
{
	return answer_error(
		a, 404, "KeyNotFound", NULL,
		"A key with (name/id) %s%s%s was not found in this key vault. If you "
		"recently deleted this key you may be able to recover it using the correct "
		"recovery command. For help resolving this issue, please see "
		"https://go.microsoft.com/fwlink/?linkid=2125182",
		rq->name, rq->version[0] ? "/" : "", rq->version);
}

int answer_deleted_key_not_found(struct answer *a, const struct request *rq)
{
	return answer_error(a, 404, "KeyNotFound", NULL, "Deleted Key not found: %s", rq->name);
}

int answer_internal(struct answer *a, const struct request *rq, int r)
{
	bool retry = r == -EAGAIN || r == -ENOMEM;

	log_error("request %s: %s %s: %s", rq->id, rq->method, rq->path, errno_text(r));
	return retry ? answer_error(a, 503, "ServiceUnavailable", NULL,
				    "The service is unavailable. Please try again later.")
		     : answer_error(a, 500, "InternalServerError", NULL,
				    "An internal error has occurred. RequestId: %s", rq->id);
}
