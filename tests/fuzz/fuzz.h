/* SPDX-License-Identifier: Apache-2.0 */
/* What libFuzzer calls (llvm.org/docs/LibFuzzer.html). */
#ifndef TDEFS_FUZZ_H
#define TDEFS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* One input; 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Once, before the first. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
