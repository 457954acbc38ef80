# SPDX-License-Identifier: Apache-2.0
"""Database servers: PostgreSQL by pgbench, MariaDB by sysbench."""

import contextlib
import os
import re
import secrets
import signal
import time

from conftest import wait_for
from engines import PG_BIN, MariaDB, PostgreSQL, as_user

from .programs import measured
from .sides import Native
from .suite import Suite

JOBS = 2
WARM_UP = 1


class Postgres(PostgreSQL):
    """With its own defaults; those of the tests, earlier on the command line, are small."""

    def _spawn(self, command, log):
        super()._spawn([*command, "-c", "shared_buffers=128MB", "-c", "checkpoint_timeout=5min",
                        "-c", "max_wal_size=1GB"], log)

    def pgbench(self, *args):
        return measured(*as_user(self.user), PG_BIN / "pgbench", "-h", self.sockets,
                        "-p", self.port, *args, "postgres")


class Maria(MariaDB):
    table_size = clients = 1

    def _spawn(self, command, log):
        super()._spawn([*command, "--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M"],
                       log)

    def _sysbench(self, test="oltp_read_write"):
        return [test, *super()._sysbench()[1:], "--tables=4", f"--threads={self.clients}",
                f"--table-size={self.table_size}"]

    def sysbench(self, test, *args):
        return measured("sysbench", *self._sysbench(test), *args)


class EncryptedMaria(Maria):
    """Its own encryption plugin: tables, redo log and temporary files."""

    OPTIONS = ("--plugin-load-add=file_key_management",
               "--file-key-management-encryption-algorithm=AES_CTR", "--innodb-encrypt-tables=FORCE",
               "--innodb-encrypt-log=ON", "--innodb-encrypt-temporary-tables=ON",
               "--innodb-encryption-threads=2", "--aria-encrypt-tables=ON",
               "--encrypt-tmp-files=ON", "--encrypt-tmp-disk-tables=ON")
    LEFT = ("SELECT COUNT(*) FROM information_schema.innodb_tablespaces_encryption "
            "WHERE encryption_scheme = 0 OR rotating_or_flushing")

    def _spawn(self, command, log):
        keys = self.work / "keys"
        if not keys.exists():
            keys.write_text(f"1;{secrets.token_hex(32)}\n", encoding="ascii")
        super()._spawn([*command, *self.OPTIONS, f"--file-key-management-filename={keys}"], log)

    def await_encrypted(self):
        """Its threads have encrypted what was there before the plugin was."""
        def left():
            with self.connect() as connection:
                cursor = connection.cursor()
                cursor.execute(self.LEFT)
                return cursor.fetchone()[0]
        wait_for(lambda: left() == 0, "MariaDB to encrypt its tablespaces")


class ServerSuite(Suite):
    """
    One cluster is made on the plain file system and copied to every side; one server serves the
    copies, one at a time. (On securefs no cluster could be made: whatever its users create belongs
    to root, and initdb refuses that.)
    """

    def set_up(self, data, work, sides):
        self.server, self.cluster = self._cluster(self.make_server, data, work, self.name)

    def _cluster(self, make_server, data, work, name):
        place = data / f"{name}-cluster"
        place.mkdir()
        server = make_server(place / "data", work / name)
        with self._stopped_after(server):
            server.create()
            self.fill(server)
        return server, place / "data"

    def fill(self, server):
        pass

    def server_of(self, _side):
        return self.server, self.cluster

    def prepare(self, side):
        super().prepare(side)
        measured("cp", "-a", "--reflink=never", self.server_of(side)[1], side.root / self.name)
        side.settle()

    @contextlib.contextmanager
    def running_on(self, side):
        server = self.server_of(side)[0]
        server.data = side.root / self.name / "data"
        with self._stopped_after(server):
            server.start()
            yield server

    @contextlib.contextmanager
    def _stopped_after(self, server):
        try:
            yield
            server.process.send_signal(self.stop_signal)
            code = server.process.wait()
            if code != 0:
                raise RuntimeError(f"the server ended with {code}")
        finally:
            server.kill()


class Pgbench(ServerSuite):
    name = "pgbench"
    needs = {str(PG_BIN / "pgbench"): "postgresql-15"}
    modules = {"psycopg2": "python3-psycopg2"}
    make_server, stop_signal = Postgres, signal.SIGINT

    def __init__(self, options):
        self.scale, self.seconds = options.scale, options.seconds
        self.loaded = set()
        self.rows = {"load": ("s",)}
        for n in options.clients:
            self.rows |= {f"read-write, {n} clients": ("tps", n, [], "CHECKPOINT"),
                          f"read-only, {n} clients": ("tps", n, ["-S"])}
        self.rows["scan, cold"] = ("MiB/s",)

    def measure(self, side, row):
        if row == "load":
            return self._load(side)
        if side not in self.loaded:
            self._load(side)
        if row == "scan, cold":
            return self._scan(side)
        with self.running_on(side) as server:
            if "read-only" in row:
                server.query("VACUUM ANALYZE", "CHECKPOINT")
            return self._transactions(server, *self.rows[row][1:])

    def _load(self, side):
        self.loaded.discard(side)
        with self.running_on(side) as server:
            server.pgbench("-i", "-I", "d")
            server.query("CHECKPOINT")
            os.sync()
            start = time.monotonic()
            server.pgbench("-i", "-I", "tgvp", "-q", "-s", self.scale)
            seconds = time.monotonic() - start
        self.loaded.add(side)
        return seconds

    def _scan(self, side):
        """After no cache, neither the server's nor a file system's, has any of the table."""
        side.settle()
        with self.running_on(side) as server, contextlib.closing(server.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT pg_table_size('pgbench_accounts')")
            size = cursor.fetchone()[0]
            start = time.monotonic()
            cursor.execute("SELECT sum(abalance) FROM pgbench_accounts")
            return size / 2**20 / (time.monotonic() - start)

    def _transactions(self, server, clients, script, *after_warm_up):
        command = [*script, "-n", "-c", clients, "-j", min(clients, JOBS), "-T"]
        server.pgbench(*command, WARM_UP)
        server.query("SELECT 1", *after_warm_up)
        os.sync()
        return float(re.search(r"tps = ([\d.]+)", server.pgbench(*command, self.seconds))[1])


class Sysbench(ServerSuite):
    name = "sysbench"
    needs = {"sysbench": "sysbench", "mariadbd": "mariadb-server"}
    modules = {"pymysql": "python3-pymysql"}
    make_server, stop_signal = Maria, signal.SIGTERM

    def __init__(self, options):
        self.table_size, self.seconds = 10_000 * options.scale, options.seconds
        self.rows = {f"{test}, {n} clients": ("tps", test, n) for n in options.clients
                     for test in ("oltp_read_write", "oltp_update_non_index")}

    @staticmethod
    def applies(side):
        return True

    def set_up(self, data, work, sides):
        super().set_up(data, work, sides)
        if any(isinstance(side, Native) for side in sides):
            self.native = self._cluster(EncryptedMaria, data, work, "sysbench-native")

    def server_of(self, side):
        return self.native if isinstance(side, Native) else super().server_of(side)

    def fill(self, server):
        server.sysbench("oltp_read_write", "cleanup")
        server.table_size = self.table_size
        server.sysbench("oltp_read_write", "prepare")
        if isinstance(server, EncryptedMaria):
            server.await_encrypted()

    def measure(self, side, row):
        _unit, test, clients = self.rows[row]
        with self.running_on(side) as server:
            server.clients = clients
            server.sysbench(test, f"--time={WARM_UP}", "run")
            os.sync()
            out = server.sysbench(test, f"--time={self.seconds}", "run")
            return float(re.search(r"transactions: +\d+ +\(([\d.]+) per sec", out)[1])
