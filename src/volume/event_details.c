/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "event_details.h"

#include "tdefs/bytes.h"

#define HEX_MAX 32 /* bytes */

void details_put_json(json_t *details, const char *key, json_t *value)
{
	IGNORE_RESULT(json_object_set_new(details, key, value), "left out");
}

void details_put(json_t *details, const char *key, const char *bytes)
{
	CLEANUP_FREE char *text = bytes && *bytes ? text_new(bytes) : NULL;

	if (text)
		details_put_json(details, key, json_string(text));
}

void details_put_number(json_t *details, const char *key, uint64_t n)
{
	details_put_json(details, key, json_integer((json_int_t)n));
}

void details_put_hex(json_t *details, const char *key, const uint8_t *bytes, size_t len)
{
	char text[HEX_LEN(HEX_MAX)];

	if (len <= HEX_MAX)
		details_put(details, key, hex_encode(bytes, len, text));
}

void details_put_report(json_t *details, const struct vault_report *report)
{
	details_put(details, "class", vault_verdict_name(report->verdict));
	if (report->http_status)
		details_put_number(details, "http_status", (uint64_t)report->http_status);
	details_put(details, "request_id", report->request_id);
	if (report->verdict == VAULT_GRANTED)
		return;
	details_put(details, "network_info", report->network_info);
	details_put(details, "code", report->code);
	details_put(details, "inner_code", report->inner_code);
	details_put(details, "error", report->error.text);
}
