/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's system calls, of which the n-th fails when armed. One thread
 * arms; any may call.
 */
#ifndef TDEFS_TEST_FAULTS_H
#define TDEFS_TEST_FAULTS_H

#include <stdbool.h>

#include "tdefs/sysio.h"

extern const struct sysio faults_sysio;

/* The n-th call from now (1: the next) answers `error`; `for_ever`: and all after it. */
void faults_arm(unsigned n, int error, bool for_ever);
/* The process dies by SIGKILL at the n-th call from now. */
void faults_kill(unsigned n);
/* Off; true if a call failed since it was armed. */
bool faults_disarm(void);
/* Only calls of this slot count while armed; NULL: all. A name as in struct sysio. */
void faults_only(const char *slot);
/* Calls that counted since faults_only(), armed or not. */
unsigned faults_calls(void);

/* Descriptors that this process has open, more or less some that counting needs. */
unsigned open_descriptors(void);

#endif
