# SPDX-License-Identifier: Apache-2.0
"""SQLite on a volume: journals, mappings, kills, and every commit it acknowledged."""

import pytest
from conftest import SANITIZED
from engines import SQLite

KILLS = 2 if SANITIZED else 10
MAPPED = 64 << 20


@pytest.mark.parametrize("victim", ["writers", "tdefs"])
@pytest.mark.parametrize("journal,mmap_size,cache", [
    ("WAL", 0, "write-through"),
    ("WAL", MAPPED, "writeback"),
    ("DELETE", 0, "direct"),  # the only one that maps nothing shared, not even -shm
    ("DELETE", MAPPED, "writeback"),
])
def test_killed_in_mid_load(make_volume, journal, mmap_size, cache, victim):
    v = make_volume(cache=cache)
    db = SQLite(v.mount(), journal, mmap_size).create()
    db.killed_in_mid_load(v, victim, KILLS, commits=(5, 60))
    v.remount()
    db.check()


def test_several_processes_share_a_wal(make_volume):
    """The -shm file is a shared mapping; its locks are between processes."""
    v = make_volume()
    db = SQLite(v.mount(), "WAL").create()
    db.start_load(1, clients=4)
    try:
        db.await_commits(200)
        reader = db.connect()
        counts = [reader.execute("SELECT count(*) FROM acked").fetchone()[0] for _ in range(50)]
        reader.close()
        assert counts == sorted(counts) and counts[0] > 0
    finally:
        db.kill()
    db.check()
