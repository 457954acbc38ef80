/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with what it needs included first, in the order it needs. */
#ifndef TDEFS_TEST_H
#define TDEFS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
