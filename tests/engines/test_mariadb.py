# SPDX-License-Identifier: Apache-2.0
"""MariaDB on a volume, by both of its ways to flush: load, kills, recovery, every commit."""

import random

import pytest
from conftest import SANITIZED
from engines import Load, MariaDB

KILLS = 1 if SANITIZED else 10


@pytest.mark.parametrize("victim", ["server", "tdefs"])
@pytest.mark.parametrize("flush_method", ["O_DIRECT", "fsync"])
def test_killed_in_mid_load(make_volume, directory, flush_method, victim):
    # InnoDB's log_checkpoint() syncs its files first and asks then how far pages were written: one
    # whose buffered write ends in between is lost with the page cache that a writeback mount's
    # daemon takes along (a power cut does the same to any file system). What fsync promised
    # beneath a writeback mount, tests/crash/test_kill.py looks for.
    cache = {("fsync", "server"): "direct-logs", ("O_DIRECT", "server"): "direct"}
    v = make_volume(cache=cache.get((flush_method, victim), "write-through"))
    v.mount()
    db = MariaDB(v.mount_point / "data", directory / "mariadb", flush_method).create()
    acked = set()
    try:
        for generation in range(1, KILLS + 1):
            db.start_background()
            load = Load(db, generation, clients=3)
            load.await_commits(random.randrange(5, 60))
            if victim == "server":
                db.kill()
            else:
                v.kill_daemon()
                db.kill()
                v.unmount_dead()
                v.mount()
            acked |= load.finish()
            db.start()
            missing = acked - db.committed()
            assert not missing, f"acknowledged commits are lost: {sorted(missing)[:10]}"
        assert len(acked) > KILLS * 3 * 4
        db.check()
    finally:
        db.kill()
    v.unmount()
    assert v.ctl("verify", v.name).returncode == 0
