# SPDX-License-Identifier: Apache-2.0
"""
Suites: what is measured on a side, and in which state of it.

Each suite has `rows` {name: (unit, ...)}, `needs` {program: Debian package}, `modules` likewise,
set_up(data, work), once, prepare(side), and measure(side, row), which returns one figure.
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

    def set_up(self, data, work):
        pass

    def prepare(self, side):
        (side.root / "fio").mkdir()
        self._fio(side.root / "fio/data", self.rows["write 1M"][1])

    def measure(self, side, row):
        unit, how = self.rows[row]
        path = side.root / "fio" / ("new" if row == "write 1M" else "data")
        (side.root / "fio/new").unlink(missing_ok=True)
        side.settle()
        try:
            done = self._fio(path, how)["read" if "read" in row else "write"]
        finally:
            side.settle()
        return done["iops"] if unit == "IOPS" else done["bw_bytes"] / 2**20

    def _fio(self, path, how):
        limit = [f"--runtime={self.seconds}"] if "--bs=8k" in how else []
        out = measured("fio", "--name=row", f"--filename={path}", f"--size={self.size}M", *limit,
                       "--ioengine=psync", "--thread", "--group_reporting", "--fallocate=none",
                       "--output-format=json", *how.split())
        return json.loads(out[out.index("{"):])["jobs"][0]


class Postgres(PostgreSQL):
    """With its own defaults; those of the tests, earlier on the command line, are small."""

    def _spawn(self, command, log):
        super()._spawn([*command, "-c", "shared_buffers=128MB", "-c", "checkpoint_timeout=5min",
                        "-c", "max_wal_size=1GB"], log)

    def pgbench(self, *args):
        return measured(*as_user(self.user), PG_BIN / "pgbench", "-h", self.sockets,
                        "-p", self.port, *args, "postgres")


class Maria(MariaDB):
    table_size = 1

    def _spawn(self, command, log):
        super()._spawn([*command, "--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M"],
                       log)

    def _sysbench(self, test="oltp_read_write"):
        return [test, *super()._sysbench()[1:], "--tables=4", f"--threads={CLIENTS}",
                f"--table-size={self.table_size}"]

    def sysbench(self, test, *args):
        return measured("sysbench", *self._sysbench(test), *args)


class ServerSuite:
    """
    One cluster is made on the plain file system and copied to every side; one server serves the
    copies, one at a time. (On securefs no cluster could be made: whatever its users create belongs
    to root, and initdb refuses that.)
    """

    def set_up(self, data, work):
        place = data / f"{self.name}-cluster"
        place.mkdir()
        self.server = self.make_server(place / "data", work / self.name)
        with self._stopped_after():
            self.server.create()
            self.fill()
        self.cluster = place / "data"

    def fill(self):
        pass

    def prepare(self, side):
        (side.root / self.name).mkdir()
        measured("cp", "-a", "--reflink=never", self.cluster, side.root / self.name)
        side.settle()

    @contextlib.contextmanager
    def running_on(self, side):
        self.server.data = side.root / self.name / "data"
        with self._stopped_after():
            self.server.start()
            yield self.server

    @contextlib.contextmanager
    def _stopped_after(self):
        try:
            yield
            self.server.process.send_signal(self.stop_signal)
            code = self.server.process.wait()
            if code != 0:
                raise RuntimeError(f"the server ended with {code}")
        finally:
            self.server.kill()


class Pgbench(ServerSuite):
    name = "pgbench"
    needs = {str(PG_BIN / "pgbench"): "postgresql-15"}
    modules = {"psycopg2": "python3-psycopg2"}
    rows = {"load": ("s",), "read-write": ("tps",), "read-only": ("tps",)}
    make_server, stop_signal = Postgres, signal.SIGINT

    def __init__(self, options):
        self.scale, self.seconds = options.scale, options.seconds
        self.loaded = set()

    def measure(self, side, row):
        if row != "load" and side not in self.loaded:
            raise RuntimeError("was not loaded")
        with self.running_on(side) as server:
            if row == "load":
                self.loaded.discard(side)
                seconds = self._load(server)
                self.loaded.add(side)
                return seconds
            if row == "read-write":
                return self._transactions(server, [], "CHECKPOINT")
            server.query("VACUUM ANALYZE", "CHECKPOINT")
            return self._transactions(server, ["-S"])

    def _load(self, server):
        server.pgbench("-i", "-I", "d")
        server.query("CHECKPOINT")
        os.sync()
        start = time.monotonic()
        server.pgbench("-i", "-I", "tgvp", "-q", "-s", self.scale)
        return time.monotonic() - start

    def _transactions(self, server, script, *after_warm_up):
        command = [*script, "-n", "-c", CLIENTS, "-j", JOBS, "-T"]
        server.pgbench(*command, max(1, self.seconds // 4))
        server.query("SELECT 1", *after_warm_up)
        os.sync()
        return float(re.search(r"tps = ([\d.]+)", server.pgbench(*command, self.seconds))[1])


class Sysbench(ServerSuite):
    name = "sysbench"
    needs = {"sysbench": "sysbench", "mariadbd": "mariadb-server"}
    modules = {"pymysql": "python3-pymysql"}
    rows = {"oltp_read_write": ("tps",), "oltp_read_only": ("tps",)}
    make_server, stop_signal = Maria, signal.SIGTERM

    def __init__(self, options):
        self.table_size, self.seconds = 10_000 * options.scale, options.seconds

    def fill(self):
        self.server.sysbench("oltp_read_write", "cleanup")
        self.server.table_size = self.table_size
        self.server.sysbench("oltp_read_write", "prepare")

    def measure(self, side, row):
        with self.running_on(side) as server:
            server.sysbench(row, f"--time={max(1, self.seconds // 4)}", "run")
            os.sync()
            out = server.sysbench(row, f"--time={self.seconds}", "run")
            return float(re.search(r"transactions: +\d+ +\(([\d.]+) per sec", out)[1])


SUITES = {suite.name: suite for suite in (Fio, Pgbench, Sysbench)}
