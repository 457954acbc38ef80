# SPDX-License-Identifier: Apache-2.0
"""What engines do while the key is lost, beyond test_causes.py."""

import contextlib
import errno
import os
import random
import signal

import pytest
from causes import READ_ONLY_AFTER
from engines import Load, PostgreSQL, WiredTiger


@pytest.fixture
def engines():
    made = []
    yield made
    for engine in made:
        engine.kill()


def test_postgresql_loses_the_key_twice(make_guarded, engines, directory):
    """Through a writeback cache, which has most to lose, and a log that goes past it."""
    v = make_guarded(cache="direct-logs")
    pg = PostgreSQL(v.mount_point / "data", directory / "pg").create()
    engines.append(pg)
    acked = set()
    for generation in (1, 2):
        pg.start_background()
        load = Load(pg, generation)
        load.await_commits(30)
        v.vault.command("key", "disable", "tde")
        v.reach_purged("denied")
        pg.kill()  # it has given up by itself, or cannot do anything any more
        acked |= load.finish()
        v.vault.command("key", "enable", "tde")
        v.reach("online")
        pg.start()
        assert acked <= pg.committed()
    pg.check()


def test_a_select_runs_on_in_read_only(scene, engines, directory):
    """As long as nothing wants to write the log: when it cannot, PostgreSQL gives up by itself."""
    v = scene.mount()
    pg = PostgreSQL(v.mount_point / "data", directory / "pg").create()
    engines.append(pg)
    pg.query("ALTER SYSTEM SET wal_level = minimal", "ALTER SYSTEM SET max_wal_senders = 0",
             "ALTER SYSTEM SET autovacuum = off")
    pg.stop(signal.SIGINT, pg.log)
    pg.start()
    pg.query("CREATE TABLE big AS SELECT g, repeat(md5(g::text), 20) body FROM generate_series(1, 100000) g",
             "VACUUM FREEZE ANALYZE big", "SELECT sum(length(body)) FROM big", "CHECKPOINT")
    with contextlib.closing(pg.connect()) as connection, connection.cursor("long") as cursor:
        cursor.itersize = 1000
        cursor.execute("SELECT g, length(body) FROM big")
        rows = cursor.fetchmany(1000)
        v.vault.kill()
        v.answers("unreachable")
        scene.world.pass_time(READ_ONLY_AFTER)
        v.reach("read-only", "outage")
        while more := cursor.fetchmany(1000):  # all at once would want a temporary file
            rows += more
        assert len(rows) == 100000 and {length for _, length in rows} == {640}
    v.vault.start(listen=v.vault.address)
    v.reach("online")
    pg.query("INSERT INTO acked VALUES (1)")
    assert pg.committed() == {1}
    pg.check()


@pytest.mark.parametrize("cache", ["write-through", "writeback", "direct-logs"])
def test_wiredtiger_loses_the_key_twice(make_guarded, engines, cache):
    """It says why, and ends at once, as mongod does when it panics."""
    v = make_guarded(cache=cache)
    db = WiredTiger(v.mount_point / "db").create()
    engines.append(db)
    for generation in (1, 2):
        db.start_load(generation)
        db.await_commits(random.randrange(20, 200))
        v.vault.command("key", "disable", "tde")
        v.reach_purged("denied")
        assert db.ended() == WiredTiger.PANIC
        db.kill()
        assert os.strerror(errno.EKEYREVOKED) in db.said[0], db.said
        v.vault.command("key", "enable", "tde")
        v.reach("online")
        db.check()
