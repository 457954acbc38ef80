# SPDX-License-Identifier: Apache-2.0
"""Engines under write load, each with the same few verbs, that must keep what they acknowledged."""

from engines import Load, MariaDB, PostgreSQL, SQLite, WiredTiger


class LoadedServer:
    """PostgreSQL or MariaDB with clients that remember what was acknowledged."""

    def __init__(self, engine):
        self.kind = type(engine).__name__
        self.engine, self.acked, self.load, self.generation = engine, set(), None, 0

    def begin(self):
        self.generation += 1
        self.engine.start_background()
        self.load = Load(self.engine, self.generation)
        self.load.await_commits(20)

    def await_commits(self, count=20):
        self.load.await_commits(count)

    def halt(self):
        """As an engine that gave up: some do by themselves when the key is lost."""
        self.engine.kill()
        if self.load:
            self.acked |= self.load.finish()
            self.load = None

    def recover(self):
        """Start it again: everything that was acknowledged is there."""
        self.engine.start()
        missing = self.acked - self.engine.committed()
        assert not missing, f"{len(missing)} acknowledged commits are lost: {sorted(missing)[:10]}"

    def check(self):
        """Its own checks, checksums too; it is stopped afterwards."""
        self.engine.check()


class LoadedWriters:
    """SQLite or WiredTiger, whose writers say themselves what was acknowledged."""

    def __init__(self, engine):
        self.kind = type(engine).__name__
        self.engine, self.generation = engine, 0

    @property
    def acked(self):
        return self.engine.acked

    def begin(self):
        self.generation += 1
        self.engine.start_load(self.generation)
        self.engine.await_commits(50)

    def await_commits(self, count=20):
        self.engine.await_commits(count)

    def halt(self):
        self.engine.kill()

    def recover(self):
        self.engine.check()

    def check(self):
        self.engine.check()


ENGINES = ("postgresql", "mariadb", "sqlite", "wiredtiger")


def create(kind, mount_point, work):
    place = mount_point / "engine"
    place.mkdir()
    mount_point.chmod(0o755)
    if kind == "postgresql":
        return LoadedServer(PostgreSQL(place / "data", work / "pg").create())
    if kind == "mariadb":
        return LoadedServer(MariaDB(place / "data", work / "maria").create())
    return LoadedWriters(SQLite(place).create() if kind == "sqlite" else WiredTiger(place).create())
