# SPDX-License-Identifier: Apache-2.0
"""
Suites: what is measured on a side, and in which state of it.

Each suite has `rows` {name: (unit, ...)}, `needs` {program: Debian package}, `modules` likewise,
prepare(side), which may take its time, and measure(side, row), which returns one figure.
"""

import contextlib
import json
import os
import re
import signal
import time

from engines import PG_BIN, MariaDB, PostgreSQL, as_user

from .programs import measured

CLIENTS, JOBS = 4, 2


class Fio:
    """Pages of a database at random, by several threads; a log's, and long requests, by one."""

    name = "fio"
    needs = {"fio": "fio"}
    modules = {}
    READ = f"--rw=randread --bs=8k --numjobs={CLIENTS} --size=25% --offset_increment=25%"
    WRITE = "--rw=randwrite --bs=8k --norandommap --time_based"
    rows = {
        "randread 8k direct": ("IOPS", f"{READ} --direct=1"),
        "randread 8k buffered": ("IOPS", READ),
        "randwrite 8k direct": ("IOPS", f"{WRITE} --numjobs={CLIENTS} --direct=1"),
        "randwrite 8k buffered": ("IOPS", f"{WRITE} --numjobs={CLIENTS}"),
        "randwrite 8k fdatasync": ("IOPS", f"{WRITE} --fdatasync=1"),
        "read 1M": ("MiB/s", "--rw=read --bs=1M"),
        "write 1M": ("MiB/s", "--rw=write --bs=1M --end_fsync=1"),
    }

    def __init__(self, options):
        self.size, self.seconds = options.size, max(1, options.seconds // 2)

    def prepare(self, side):
        (side.root / "fio").mkdir()
        self._fio(side.root / "fio/data", self.rows["write 1M"][1])

    def measure(self, side, row):
        unit, how = self.rows[row]
        path = side.root / "fio" / ("new" if row == "write 1M" else "data")
        (side.root / "fio/new").unlink(missing_ok=True)
        self._settle(side)
        try:
            done = self._fio(path, how)["read" if "read" in row else "write"]
        finally:
            self._settle(side)
        return done["iops"] if unit == "IOPS" else done["bw_bytes"] / 2**20

    def _fio(self, path, how):
        limit = [f"--runtime={self.seconds}"] if "--bs=8k" in how else []
        out = measured("fio", "--name=row", f"--filename={path}", f"--size={self.size}M", *limit,
                       "--ioengine=psync", "--thread", "--group_reporting", "--fallocate=none",
                       "--output-format=json", *how.split())
        return json.loads(out[out.index("{"):])["jobs"][0]

    @staticmethod
    def _settle(side):
        """Sync every file of the side, the mount's first, and drop its pages from the cache."""
        for top in dict.fromkeys([side.root, side.backing]):
            for path in (p for p in top.rglob("*") if p.is_file()):
                fd = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(fd)
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(fd)
        os.sync()


class Postgres(PostgreSQL):
    """With its own defaults; those of the tests, earlier on the command line, are small."""

    def _spawn(self, command, log):
        super()._spawn([*command, "-c", "shared_buffers=128MB", "-c", "checkpoint_timeout=5min",
                        "-c", "max_wal_size=1GB"], log)

    def pgbench(self, *args):
        return measured(*as_user(self.user), PG_BIN / "pgbench", "-h", self.sockets,
                        "-p", self.port, *args, "postgres")


class Maria(MariaDB):
    rows_per_table = 1

    def _spawn(self, command, log):
        super()._spawn([*command, "--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M"],
                       log)

    def _sysbench(self, test="oltp_read_write"):
        return [test, *super()._sysbench()[1:], "--tables=4", f"--threads={CLIENTS}",
                f"--table-size={self.rows_per_table}"]

    def sysbench(self, test, *args):
        return measured("sysbench", *self._sysbench(test), *args)


@contextlib.contextmanager
def running(engine, sig):
    """A server for the length of a block; killed if the block fails."""
    try:
        if engine.process is None:
            engine.start()
        yield engine
        engine.stop(sig)
    finally:
        engine.kill()


class Pgbench:
    name = "pgbench"
    needs = {str(PG_BIN / "pgbench"): "postgresql-15"}
    modules = {"psycopg2": "python3-psycopg2"}
    rows = {"load": ("s",), "read-write": ("tps",), "read-only": ("tps",)}

    def __init__(self, options):
        self.scale, self.seconds, self.servers = options.scale, options.seconds, {}

    def prepare(self, side):
        (side.root / "pgbench").mkdir()
        server = Postgres(side.root / "pgbench/data", side.work / "pgbench")
        self.servers[side] = server
        try:
            server.create()
            server.stop(signal.SIGINT)
        finally:
            server.kill()

    def measure(self, side, row):
        with running(self.servers[side], signal.SIGINT) as server:
            if row == "load":
                return self._load(server)
            if row == "read-write":
                return self._transactions(server, [], ["CHECKPOINT"])
            server.query("VACUUM ANALYZE", "CHECKPOINT")
            return self._transactions(server, ["-S"], [])

    def _load(self, server):
        server.pgbench("-i", "-I", "d")
        server.query("CHECKPOINT")
        os.sync()
        start = time.monotonic()
        server.pgbench("-i", "-I", "tgvp", "-q", "-s", self.scale)
        return time.monotonic() - start

    def _transactions(self, server, script, then):
        """Transactions a second, after a warm-up of the same and the statements `then`."""
        command = [*script, "-n", "-c", CLIENTS, "-j", JOBS, "-T"]
        server.pgbench(*command, max(1, self.seconds // 4))
        server.query("SELECT 1", *then)
        os.sync()
        return float(re.search(r"tps = ([\d.]+)", server.pgbench(*command, self.seconds))[1])


class Sysbench:
    name = "sysbench"
    needs = {"sysbench": "sysbench", "mariadbd": "mariadb-server"}
    modules = {"pymysql": "python3-pymysql"}
    rows = {"oltp_read_write": ("tps",), "oltp_read_only": ("tps",)}

    def __init__(self, options):
        self.rows_per_table, self.seconds = 10_000 * options.scale, options.seconds
        self.servers = {}

    def prepare(self, side):
        (side.root / "sysbench").mkdir()
        server = Maria(side.root / "sysbench/data", side.work / "sysbench")
        self.servers[side] = server
        try:
            server.create()
            server.sysbench("oltp_read_write", "cleanup")
            server.rows_per_table = self.rows_per_table
            server.sysbench("oltp_read_write", "prepare")
            server.stop(signal.SIGTERM)
        finally:
            server.kill()

    def measure(self, side, row):
        with running(self.servers[side], signal.SIGTERM) as server:
            server.sysbench(row, f"--time={max(1, self.seconds // 4)}", "run")
            os.sync()
            out = server.sysbench(row, f"--time={self.seconds}", "run")
            return float(re.search(r"transactions: +\d+ +\(([\d.]+) per sec", out)[1])


SUITES = {suite.name: suite for suite in (Fio, Pgbench, Sysbench)}