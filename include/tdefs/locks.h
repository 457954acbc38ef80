/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every lock of the daemon and its rank. A thread that holds one takes only
 * locks further down. None is held over a network call, over a reply to the
 * kernel or over a notification to it.
 *
 *  1  dir_handle.lock      a directory stream's position and buffer (src/store/dir.c)
 *  2  node.lock            open state of a node: file, handles, path descriptor (node.h)
 *  3  range (range_lock.h) sectors of one file; held over backing I/O on them
 *  4  store.settle_lock    queue of closed files that are still dirty (settle.c)
 *  5  store.table_lock     node table: look-up counts, holds, handle hash (node.h)
 *     file_keys.lock       the DEK and the file keys; around a cipher at work, never I/O (file_keys.c)
 *  6  file.state_lock      a file's latched error and sync count (file_sync.c)
 *     store.space_lock     count of files about to be forgotten (space.c)
 *     key_log.lock         what was told of a vault's calls (key_log.h); above the recorder's
 *     watched_vault.lock   who asks a vault in order to probe (volume_vault.c)
 *     rotor.lock           the rotation at work and its outcome (volume_rotate.c); above guard_runner.lock, key_box.lock
 *     freezer.lock         the sync or freeze at work (volume_freeze.c); above freeze.lock, its queue's
 *     key_box.lock         the header in force and who looks at it (volume_key.c); above key_log.lock
 *     secondary.lock       a second vault's questions and what is known of it; innermost but for the arena's
 *     range_lock.lock, idtable.lock, the log's queue.lock, the secret arena's lock, a recorder's lock
 *     (src/audit/recorder.h), control_server.lock: innermost; so are those of a hook and a webhook (src/audit/outlet.h)
 *
 *     volume.reload_lock   what was taken over last, over reading tdefs.conf; above the next
 *     guard_runner.lock    a volume's guard and what waits for it; above worker.lock,
 *                          apart from the others: held for no call into the volume
 */
