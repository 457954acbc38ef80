# SPDX-License-Identifier: Apache-2.0
"""Engines under load while the key is lost: after healing each recovers, and no commit is missing."""

import contextlib
import signal

import pytest
from conftest import CACHE_MODES
from engines import Load, MariaDB, PostgreSQL, SQLite
from guard_kit import OUTAGE


def disable(v):
    v.vault.command("key", "disable", "tde")
    v.reach_purged("denied")


def enable(v):
    v.vault.command("key", "enable", "tde")
    v.reach("online")


def stop_vault(v):
    v.vault.kill()
    v.reach_purged("outage")


def start_vault(v):
    v.vault.start(listen=v.vault.address)
    v.reach("online")


def lock(v):
    v.ctl("lock", v.name)
    v.reach_purged("locked")


def resume(v):
    assert v.ctl("resume", v.name).returncode == 0


CAUSES = {"denied": (disable, enable), "outage": (stop_vault, start_vault), "locked": (lock, resume)}


@pytest.fixture
def engines():
    made = []
    yield made
    for engine in made:
        engine.kill()


def lose_and_heal(v, cause, acknowledged):
    """Lose the key, take note of what was acknowledged by then, and get it back."""
    lose, heal = CAUSES[cause]
    lose(v)
    acked = acknowledged()
    heal(v)
    return acked


def check(engine, acked):
    missing = acked - engine.committed()
    assert not missing, f"{len(missing)} acknowledged commits are lost: {sorted(missing)[:10]}"
    engine.check()


@pytest.mark.parametrize("cause,cache", [("denied", c) for c in CACHE_MODES] + [("outage", "write-through")])
def test_postgresql(make_guarded, engines, directory, cause, cache):
    v = make_guarded(cache=cache, **OUTAGE)
    pg = PostgreSQL(v.mount_point / "data", directory / "pg").create()
    engines.append(pg)
    acked = set()
    for generation in (1, 2):
        pg.start_background()
        load = Load(pg, generation)
        load.await_commits(30)

        def stopped(load=load):
            pg.kill()  # it has given up by itself, or cannot do anything any more
            return load.finish()

        acked |= lose_and_heal(v, cause, stopped)
        pg.start()
        assert acked <= pg.committed()
    check(pg, acked)


def test_mariadb(make_guarded, engines, directory):
    v = make_guarded()
    maria = MariaDB(v.mount_point / "data", directory / "maria").create()
    engines.append(maria)
    maria.start_background()
    load = Load(maria, 1)
    load.await_commits(30)

    def stopped():
        maria.kill()
        return load.finish()

    acked = lose_and_heal(v, "denied", stopped)
    maria.start()
    check(maria, acked)


def test_sqlite(make_guarded, engines):
    v = make_guarded()
    db = SQLite(v.mount_point).create()
    engines.append(db)
    db.start_load(1)
    db.await_commits(200)

    def stopped():
        db.kill()
        return set(db.acked)

    lose_and_heal(v, "locked", stopped)
    db.check()


def test_a_select_runs_on_in_read_only(make_guarded, engines, directory):
    """As long as nothing wants to write the log: when it cannot, PostgreSQL gives up by itself."""
    v = make_guarded(outage_read_only_after="3s", outage_deny_after="1h")
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
        v.reach("read-only", "outage")
        while more := cursor.fetchmany(1000):  # all at once would want a temporary file
            rows += more
        assert len(rows) == 100000 and {length for _, length in rows} == {640}
    start_vault(v)
    pg.query("INSERT INTO acked VALUES (1)")
    assert pg.committed() == {1}
    pg.check()
