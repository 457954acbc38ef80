/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary files and directories below $TMPDIR, by default /var/tmp: ext4 or XFS. */
#ifndef TDEFS_TEST_TEMPORARY_H
#define TDEFS_TEST_TEMPORARY_H

#define TEMPORARY_PATH_MAX 256

/* A new, empty directory; 0, or -1 with errno. */
int temporary_directory(char path[static TEMPORARY_PATH_MAX]);
/* Remove it with all that is in it, files that are immutable too; 0, or another value. */
int temporary_remove(const char *path);
/* A file without a name, open for reading and writing; the descriptor, or -1 with errno. */
int temporary_file(void);

#endif
