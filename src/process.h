/* SPDX-License-Identifier: Apache-2.0 */
/* What a program does to itself before it does anything else: both programs, then the daemon. */
#ifndef TDEFS_PROCESS_H
#define TDEFS_PROCESS_H

#include <stdint.h>

#include "tdefs/errmsg.h"
#include "tdefs/cleanup.h"

/* First of all: /dev/null where 0, 1 or 2 is closed, else the next file opened becomes output. */
int process_fill_standard_descriptors(void) WARN_UNUSED;

/* Before anything is read: no core dumps, no debugger, few inherited descriptors. */
int process_harden(struct errmsg *reterr) WARN_UNUSED;

/* As many open files as may be, files of any size. What cannot be had is logged. */
void process_raise_limits(void);

/*
 * No signal ends this process or the threads it will start, but those that an
 * error of its own raises (and SIGKILL). What is wanted is taken by sigwait(3).
 */
void process_block_signals(void);

/*
 * Keep the capabilities that the daemon needs, and no other: above all not
 * CAP_SYS_RESOURCE, which is above hard quotas; and gain none by what is run
 * (no_new_privs). Of this thread and those that it will start; after
 * process_raise_limits(), and after the fork of what runs commands.
 */
int process_drop_privileges(void) WARN_UNUSED;

/* The same of the keeper, which needs two. */
int process_drop_keeper_privileges(void) WARN_UNUSED;

/* What each of them keeps, a bit for each capability. */
uint64_t process_daemon_capabilities(void);
uint64_t process_keeper_capabilities(void);

/* Keep no capability but the one to send signals to any process. */
int process_keep_kill_capability(void) WARN_UNUSED;

/* For a child that needs nothing of it: secrets may be in it. Its own copy is wiped. */
void process_forget_environment(void);

#endif
