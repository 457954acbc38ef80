/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64url without padding (RFC 4648, section 5), as Key Vault and JOSE write
 * bytes. What they carry may be a key: no tables, and no memory but the caller's.
 */
#ifndef TDEFS_BASE64URL_H
#define TDEFS_BASE64URL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Characters for `nbytes` bytes, and a final NUL. */
#define BASE64URL_LEN(nbytes) (((nbytes)*4 + 2) / 3 + 1)

/* With a final NUL; `out` has BASE64URL_LEN(len) characters. Returns `out`. */
char *base64url_encode(const void *data, size_t len, char *out);
/* The same as a new string, the caller's to free; NULL: no memory. For what is no secret. */
char *base64url_encode_new(const void *data, size_t len);

/*
 * The number of bytes, or -EBADMSG: not base64url, padded, or with bits left
 * over; -ENOSPC: more than `room` bytes. `out` is unspecified after an error.
 */
ssize_t base64url_decode(const char *text, size_t text_len, uint8_t *out, size_t room);

#endif
