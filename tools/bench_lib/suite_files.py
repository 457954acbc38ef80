# SPDX-License-Identifier: Apache-2.0
"""SQLite, and files without an engine."""

import os
import secrets
import shutil
import time
from pathlib import Path

from .programs import measured
from .sides import Native, Tdefs
from .suite import Suite


def timed(do):
    start = time.monotonic()
    do()
    return time.monotonic() - start


class SQLite(Suite):
    """
    Small transactions, one after the other, each synced: SQLite's own shell reads them from a
    file. The native side is SQLCipher's shell, with a raw key, so that none is derived.
    """

    name = "sqlite"
    needs = {"sqlite3": "sqlite3"}
    rows = {"small transactions": ("tps",)}

    def __init__(self, options):
        self.transactions = options.transactions

    @staticmethod
    def applies(side):
        return True

    def set_up(self, data, work, sides):
        self.place, self.key = work, f"PRAGMA key = \"x'{secrets.token_hex(32)}'\";\n"
        self.make = "PRAGMA journal_mode = WAL;\nCREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT);\n"
        self.insert = "PRAGMA synchronous = FULL;\n" + "".join(
            f"INSERT INTO t VALUES ({n}, '{n * 7919:0100}');\n" for n in range(self.transactions))

    def _shell(self, side, script):
        native = isinstance(side, Native)
        path = self.place / "script.sql"
        path.write_text((self.key if native else "") + script, encoding="ascii")
        with open(path, "rb") as stdin:
            measured("sqlcipher" if native else "sqlite3", "-batch", "-bail",
                     side.root / self.name / "database", stdin=stdin)

    def measure(self, side, row):
        for path in (side.root / self.name).iterdir():
            path.unlink()
        self._shell(side, self.make)
        side.settle()
        return self.transactions / timed(lambda: self._shell(side, self.insert))


class Files(Suite):
    """Many files in one directory: made, listed by `ls -l` when nothing of them is known, removed."""

    name = "files"
    CREATE, LIST, REMOVE = "create", "ls -l", "rm -r"

    def __init__(self, options):
        self.files = options.files
        self.rows = {f"{what} {self.files} files": ("s", what)
                     for what in (self.CREATE, self.LIST, self.REMOVE)}

    def _create(self, place):
        place.mkdir()
        for n in range(self.files):
            (place / f"{n:06}").touch()

    def measure(self, side, row):
        what, place = self.rows[row][1], side.root / self.name / "many"
        if what == self.CREATE:
            shutil.rmtree(place, ignore_errors=True)
            return timed(lambda: self._create(place))
        if not place.exists():
            self._create(place)
        if what == self.REMOVE:
            return timed(lambda: measured("rm", "-r", place))
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("2", encoding="ascii")  # names and inodes
        return timed(lambda: measured("ls", "-l", place))


class Mount(Suite):
    """From the command to the first answer. The empty files are made beneath, as names are the same."""

    name = "mount"

    def __init__(self, options):
        self.files = 10 * options.files
        self.rows = {f"over {self.files} files": ("s",)}

    @staticmethod
    def applies(side):
        return isinstance(side, Tdefs)

    def prepare(self, side):
        side.volume.unmount()
        try:
            for n in range(self.files):
                place = side.backing / self.name / str(n // 1000)
                if n % 1000 == 0:
                    place.mkdir(parents=True)
                (place / str(n)).touch()
        finally:
            side.mount()

    def measure(self, side, row):
        side.volume.unmount()
        try:
            seconds = timed(lambda: side.volume.tdefs("mount", side.volume.name) and
                            os.listdir(side.root))
        finally:
            side.mount()
        return seconds
