/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The details of an event, member by member. What finds no memory is left out:
 * an event without a detail is better than none. Private to src/volume.
 */
#ifndef TDEFS_VOLUME_EVENT_DETAILS_H
#define TDEFS_VOLUME_EVENT_DETAILS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tdefs/text.h"
#include "tdefs/vault.h"

/* `details` NULL: nothing. "" or NULL is left out; bytes that are no text are escaped. */
void details_put(json_t *details, const char *key, const char *bytes);
void details_put_number(json_t *details, const char *key, uint64_t n);
void details_put_json(json_t *details, const char *key, json_t *value); /* takes it over */
void details_put_hex(json_t *details, const char *key, const uint8_t *bytes, size_t len);
/* What a vault said: class, status, codes, request id, error. */
void details_put_report(json_t *details, const struct vault_report *report);

#endif
