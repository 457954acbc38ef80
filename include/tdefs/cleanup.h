/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound cleanup: the few attributes and helpers every module uses.
 * Not a place for anything that has a type of its own.
 */
#ifndef TDEFS_CLEANUP_H
#define TDEFS_CLEANUP_H

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WARN_UNUSED __attribute__((warn_unused_result))

/* Run fn(&variable) when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hand a pointer over: yields it and leaves NULL behind. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

/* Hand a descriptor over: yields it and leaves -1 behind. */
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})

/*
 * Drop a result on purpose; the reason is for the reader. (gcc does not take a
 * void cast for warn_unused_result.)
 */
#define IGNORE_RESULT(call, reason)                                                                \
	do {                                                                                       \
		__auto_type ignored_ = (call);                                                     \
		(void)ignored_;                                                                    \
		(void)(reason);                                                                    \
	} while (0)

#define ADD_OVERFLOW(a, b, ret) __builtin_add_overflow((a), (b), (ret)) /* true when it wrapped */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void cleanup_free_(void *p)
{
	free(*(void **)p);
}
#define CLEANUP_FREE CLEANUP(cleanup_free_)

static inline void cleanup_close_(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define CLEANUP_CLOSE CLEANUP(cleanup_close_)

static inline void cleanup_fclose_(FILE **f)
{
	if (*f)
		fclose(*f);
}
#define CLEANUP_FCLOSE CLEANUP(cleanup_fclose_)

static inline void cleanup_closedir_(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define CLEANUP_CLOSEDIR CLEANUP(cleanup_closedir_)

static inline void cleanup_unlock_(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *lock_scope_(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}
#define LOCK_SCOPE_NAME2_(line) lock_scope_##line
#define LOCK_SCOPE_NAME_(line)	LOCK_SCOPE_NAME2_(line)
/* Hold a mutex until the end of the enclosing block. */
#define LOCK_SCOPE(m)                                                                              \
	CLEANUP(cleanup_unlock_)                                                                   \
	__attribute__((unused)) pthread_mutex_t *LOCK_SCOPE_NAME_(__LINE__) = lock_scope_(m)

#endif
