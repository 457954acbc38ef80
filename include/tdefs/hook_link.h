/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hook's thread and its helper process (src/hook_helper.c) say to each
 * other, a message each (SOCK_SEQPACKET): a job, its answer, the next job. A job
 * is the command's words, a zero byte, and the event's line. The helper ends
 * when the daemon's end is closed.
 */
#ifndef TDEFS_HOOK_LINK_H
#define TDEFS_HOOK_LINK_H

#include <stdint.h>

#define HOOK_COMMAND_MAX 4096
#define HOOK_LINE_MAX	 65536
#define HOOK_WORDS_MAX	 64
#define HOOK_RUN_MS	 10000 /* then the command's process group is killed */

enum hook_outcome {
	HOOK_READY,	/* once, first: the helper is who it shall be */
	HOOK_EXITED,	/* value: its status */
	HOOK_SIGNALLED, /* value: the signal */
	HOOK_TIMED_OUT,
	HOOK_NOT_RUN, /* value: a negative errno */
};

struct hook_answer {
	int32_t outcome; /* enum hook_outcome */
	int32_t value;
};

#endif
