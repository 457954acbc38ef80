# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL on a volume: load, kills, recovery, and every commit it acknowledged."""

import random
import signal

import pytest
from conftest import SANITIZED
from engines import Load, PostgreSQL, give_to

KILLS = 2 if SANITIZED else 10


@pytest.fixture
def start(make_volume, directory):
    engines = []

    def start_on(**settings):
        v = make_volume(**settings)
        v.mount()
        pg = PostgreSQL(v.mount_point / "data", directory / "pg").create()
        engines.append(pg)
        return v, pg

    yield start_on
    for pg in engines:
        pg.kill()


def check_commits(pg, acked):
    missing = acked - pg.committed()
    assert not missing, f"{len(missing)} acknowledged commits are lost: {sorted(missing)[:10]}"


def kill_in_mid_load(v, pg, victim, kills):
    acked = set()
    for generation in range(1, kills + 1):
        pg.start_background()
        load = Load(pg, generation)
        load.await_commits(random.randrange(5, 60))
        if victim == "server":
            pg.kill()
        else:
            v.kill_daemon()
            pg.kill()
            v.unmount_dead()
            v.mount()
        acked |= load.finish()
        pg.start()
        check_commits(pg, acked)
    assert len(acked) > kills * 4 * 4
    return acked


@pytest.mark.parametrize("victim", ["server", "tdefs"])
@pytest.mark.parametrize("cache", ["write-through", "direct-logs"])
def test_killed_in_mid_load(start, cache, victim):
    v, pg = start(cache=cache)
    kills = KILLS if cache == "write-through" else max(2, KILLS // 3)
    acked = kill_in_mid_load(v, pg, victim, kills)
    pg.check()
    v.remount()
    assert v.ctl("verify", v.name).returncode == 0
    pg.start()
    check_commits(pg, acked)


def test_life_with_remounts(start):
    """Everything an administrator does in a week: tables, indexes, vacuum, a tablespace, restarts."""
    v, pg = start()
    statements = [
        "CREATE TABLE t (id serial PRIMARY KEY, body text)",
        "INSERT INTO t (body) SELECT repeat(md5(g::text), 50) FROM generate_series(1, 5000) g",
        "CREATE INDEX ON t (md5(body))",
        "DELETE FROM t WHERE id % 3 = 0",
        "VACUUM FULL t",
        "CREATE UNLOGGED TABLE u AS SELECT * FROM t",
        "ALTER TABLE t ADD COLUMN n int DEFAULT 7",
        "REINDEX DATABASE postgres",
        "DROP TABLE u",
        "CREATE DATABASE other TEMPLATE postgres STRATEGY file_copy",
        "CHECKPOINT",
    ]
    figures = "SELECT count(*), sum(length(body)), sum(n) FROM t"
    before = pg.query(*statements, figures)
    for _ in range(2):
        pg.stop(signal.SIGTERM, pg.log)
        v.remount()
        pg.start()
        assert pg.query(figures) == before
    pg.check()


def test_tablespace_outside_is_a_link_outside(start, directory):
    """CREATE TABLESPACE makes an absolute link: it works, it is not encrypted, and it is said."""
    v, pg = start()
    outside = directory / "tablespace"
    outside.mkdir()
    give_to(outside, "postgres")
    pg.query(f"CREATE TABLESPACE away LOCATION '{outside}'",
             "CREATE TABLE t TABLESPACE away AS SELECT generate_series(1, 1000) n")
    v.logged("event=absolute_symlink")
    assert any(p.is_file() for p in outside.rglob("*"))
