# SPDX-License-Identifier: Apache-2.0
"""
Real engines in temporary directories: started, loaded, killed and checked.

Each has the same few verbs, so that one test can put any of them through the same. A `Committer`
is a client that remembers what the engine said was committed.
"""

import contextlib
import os
import pwd
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

from conftest import BUILD, process_is_gone, run, wait_for

PG_BIN = Path("/usr/lib/postgresql/15/bin")


def as_user(name):
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", "--no-new-privs"]


def give_to(path, name):
    user = pwd.getpwnam(name)
    os.chown(path, user.pw_uid, user.pw_gid)


def state_and_parent(pid):
    """Of a process, from proc(5): its state's letter, and its parent; None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None, None
    state, parent = stat.rsplit(")", 1)[1].split()[:2]
    return state, int(parent)


def children_of(pid):
    processes = (int(e.name) for e in Path("/proc").iterdir() if e.name.isdigit())
    return [p for p in processes if state_and_parent(p)[1] == pid]


class Server:
    """A server process that is ours to kill."""

    process = None
    children = ()
    within = ()  # what it is started by: region.py

    def _spawn(self, command, log):
        with open(log, "ab") as out:
            self.process = subprocess.Popen([str(c) for c in (*self.within, *command)], stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL, cwd="/")

    def kill(self):
        """SIGKILL, the children too, and wait: nobody cleans up."""
        if self.process is None:
            return
        # While it runs it may make one more child, which would be missed and live on.
        pid = self.process.pid
        self.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: state_and_parent(pid)[0] in ("T", "Z", None), "the server to stand still")
        children = children_of(pid)
        self.process.kill()
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        for child in children:
            wait_for(lambda pid=child: process_is_gone(pid), "a killed server's child to be gone")
        self.process = None

    def stop(self, sig, log):
        """Ask it to end, and wait; it must end well."""
        self.process.send_signal(sig)
        code = self.process.wait(120)
        self.process = None
        assert code == 0, self._ended(code, log)

    @staticmethod
    def _ended(code, log):
        return f"the server ended with {code}: {Path(log).read_text(errors='replace')[-3000:]}"

    def _await_start(self, connect, log):
        def ready():
            assert self.process.poll() is None, self._ended(self.process.returncode, log)
            try:
                connect().close()
                return True
            except Exception:  # pylint: disable=broad-except
                return False

        wait_for(ready, "the server to accept connections", 180)


class Committer(threading.Thread):
    """Commits numbers, one after the other, until something fails; `acked` were acknowledged."""

    def __init__(self, connect, first):
        super().__init__(daemon=True)
        self.connect, self.next, self.acked = connect, first, []
        self.stopping = False
        self.error = None

    def run(self):
        try:
            with contextlib.closing(self.connect()) as connection:
                cursor = connection.cursor()
                while not self.stopping:
                    cursor.execute(f"INSERT INTO acked VALUES ({self.next})")
                    connection.commit()
                    self.acked.append(self.next)
                    self.next += 1
        except Exception as e:  # pylint: disable=broad-except
            self.error = e


class Load:
    """Several committers, each with numbers of its own."""

    def __init__(self, engine, generation, clients=4):
        self.committers = [Committer(engine.connect, (generation * 100 + i) * 10_000_000)
                           for i in range(clients)]
        for c in self.committers:
            c.start()

    def await_commits(self, count):
        """Wait until each client has this many more."""
        goals = [(c, len(c.acked) + count) for c in self.committers]
        for c, goal in goals:
            wait_for(lambda c=c, goal=goal: len(c.acked) >= goal or c.error,
                     "commits to be acknowledged", 120)
            assert c.error is None, c.error

    def finish(self):
        """After the engine was killed: everything that was acknowledged."""
        for c in self.committers:
            c.stopping = True
        for c in self.committers:
            c.join(60)
            assert not c.is_alive()
        return self.acked()

    def acked(self):
        return {n for c in self.committers for n in list(c.acked)}


class PostgreSQL(Server):
    user = "postgres"

    listen = ""  # addresses of other hosts' clients

    def __init__(self, data, work, port=5999):
        self.data, self.work, self.port = Path(data), Path(work), port
        self.log = self.work / "postgresql.log"
        self.sockets = self.work / "sockets"
        self.background = None

    def create(self):
        self.work.mkdir(exist_ok=True)
        self.sockets.mkdir(exist_ok=True)
        for path in self.data.parent, self.sockets:
            give_to(path, self.user)
        run(*as_user(self.user), PG_BIN / "initdb", "--data-checksums", "--auth=trust", "-D",
            self.data)
        self.start()
        self.query("CREATE TABLE acked (n bigint PRIMARY KEY)")
        self._client("pgbench", "-i", "-q", "-s", "2")
        return self

    def start(self):
        self._spawn([*as_user(self.user), PG_BIN / "postgres", "-D", self.data, "-k", self.sockets,
                     "-p", self.port, "-c", f"listen_addresses={self.listen}", "-c", "checkpoint_timeout=30s",
                     "-c", "shared_buffers=32MB", "-c", "max_wal_size=256MB"], self.log)
        self._await_start(self.connect, self.log)

    def connect(self):
        import psycopg2
        return psycopg2.connect(host=str(self.sockets), port=self.port, user="postgres",
                                dbname="postgres")

    def _client(self, program, *args, check=True):
        return run(*as_user(self.user), PG_BIN / program, "-h", self.sockets, "-p", self.port,
                   *args, "postgres", check=check)

    def start_background(self):
        self.background = subprocess.Popen(
            [*as_user(self.user), str(PG_BIN / "pgbench"), "-h", str(self.sockets), "-p",
             str(self.port), "-c", "4", "-T", "3600", "-n", "postgres"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        super().kill()
        if self.background:
            self.background.kill()
            self.background.wait()
            self.background = None

    def query(self, *statements):
        """Run each by itself, as psql does; the rows of the last."""
        with contextlib.closing(self.connect()) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def committed(self):
        return {row[0] for row in self.query("SELECT n FROM acked")}

    def check(self):
        """Every structure by pg_amcheck, then, stopped, every page's checksum."""
        self._client("pg_amcheck", "--install-missing", "--heapallindexed", "--parent-check", "-d")
        sums = self.query("SELECT (SELECT sum(abalance) FROM pgbench_accounts), "
                          "(SELECT sum(bbalance) FROM pgbench_branches), "
                          "(SELECT sum(tbalance) FROM pgbench_tellers)")
        assert len(set(sums[0])) == 1  # pgbench's own invariant
        self.stop(signal.SIGINT, self.log)
        checked = run(*as_user(self.user), PG_BIN / "pg_checksums", "--check", "-D", self.data)
        assert "Bad checksums:  0" in checked.stdout


class MariaDB(Server):
    user = "mysql"

    def __init__(self, data, work, flush_method="O_DIRECT"):
        self.data, self.work, self.flush_method = Path(data), Path(work), flush_method
        self.log = self.work / "mariadb.log"
        self.socket = self.work / "mariadb.sock"
        self.log_start = 0
        self.background = None

    def create(self):
        self.work.mkdir(exist_ok=True)
        give_to(self.data.parent, self.user)
        give_to(self.work, self.user)
        run("mariadb-install-db", "--no-defaults", f"--user={self.user}",
            f"--datadir={self.data}", f"--tmpdir={self.work}", "--auth-root-authentication-method=normal",
            "--skip-test-db")
        self.start()
        with self.connect() as c:
            c.cursor().execute("CREATE TABLE acked (n bigint PRIMARY KEY) ENGINE=InnoDB")
        run("sysbench", *self._sysbench(), "prepare")
        return self

    def _sysbench(self):
        return ["oltp_read_write", "--db-driver=mysql", f"--mysql-socket={self.socket}",
                "--mysql-user=root", "--mysql-db=test", "--tables=2", "--table-size=5000"]

    def start(self):
        self.socket.unlink(missing_ok=True)
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        self._spawn(["mariadbd", "--no-defaults", f"--user={self.user}", f"--datadir={self.data}",
                     # A start removes what other servers keep in a tmpdir that they share.
                     f"--tmpdir={self.work}", f"--socket={self.socket}", "--skip-networking",
                     f"--pid-file={self.work}/mariadb.pid",
                     f"--innodb-flush-method={self.flush_method}",
                     "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M",
                     f"--log-error={self.log}"], self.work / "mariadb.out")
        self._await_start(lambda: self.connect(database=None), self.log)
        with self.connect(database=None) as c:
            c.cursor().execute("CREATE DATABASE IF NOT EXISTS test")
        self.check_log()

    def check_log(self):
        """Since the last start: a server whose file system was killed before may say anything."""
        log = self.log.read_bytes()[self.log_start:].decode(errors="replace")
        assert "corrupt" not in log.lower(), log[-3000:]

    def connect(self, database="test"):
        import pymysql
        return pymysql.connect(unix_socket=str(self.socket), user="root", database=database)

    def start_background(self):
        self.background = subprocess.Popen(
            ["sysbench", *self._sysbench(), "--threads=2", "--time=3600", "run"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        super().kill()
        if self.background:
            self.background.kill()
            self.background.wait()
            self.background = None

    def committed(self):
        with self.connect() as c:
            cursor = c.cursor()
            cursor.execute("SELECT n FROM acked")
            return {row[0] for row in cursor.fetchall()}

    def check(self):
        with self.connect() as c:
            cursor = c.cursor()
            for table in "acked", "sbtest1", "sbtest2", "mysql.proc", "mysql.global_priv":
                cursor.execute(f"CHECK TABLE {table} EXTENDED")
                verdicts = [row[3] for row in cursor.fetchall() if row[2] == "status"]
                assert verdicts == ["OK"], (table, verdicts)
        self.stop(signal.SIGTERM, self.log)
        self.check_log()


SQLITE_WRITER = r"""
import sqlite3, sys
path, journal, mmap_size, first, client = sys.argv[1:]
c = sqlite3.connect(path, timeout=60, isolation_level=None)
c.execute(f"PRAGMA journal_mode={journal}")
c.execute("PRAGMA synchronous=EXTRA")  # FULL does not sync the directory after DELETE's unlink
c.execute(f"PRAGMA mmap_size={mmap_size}")
n = int(first)
while True:
    c.execute("BEGIN IMMEDIATE")
    c.execute("INSERT INTO acked VALUES (?)", (n,))
    c.execute("INSERT OR REPLACE INTO filler VALUES (?, ?)", (n % 997, "x" * (n % 3000)))
    c.execute("COMMIT")
    sys.stdout.write(f"{n}\n")
    sys.stdout.flush()
    n += 1
"""


class Writers:
    """No server: the clients are processes that write the files themselves, and print what is committed."""

    def __init__(self):
        self.writers, self.readers, self.acked = [], [], set()
        self.said = []  # by each, until it was killed

    def _start(self, *command):
        def collect(stream):
            for line in stream:
                if line.endswith("\n"):
                    self.acked.add(int(line))

        writer = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, cwd="/")
        reader = threading.Thread(target=collect, args=(writer.stdout,), daemon=True)
        reader.start()
        self.writers.append(writer)
        self.readers.append(reader)

    def await_commits(self, count):
        goal = len(self.acked) + count
        wait_for(lambda: len(self.acked) >= goal or self._failed(), "commits to be acknowledged",
                 120)
        assert not self._failed(), self._failed()

    def _failed(self):
        return [w.stderr.read() for w in self.writers if w.poll() is not None]

    def kill(self):
        for w in self.writers:
            w.kill()
        self.said = []
        for w, r in zip(self.writers, self.readers):
            w.wait()
            r.join()
            w.stdout.close()
            self.said.append(w.stderr.read())
            w.stderr.close()
        self.writers, self.readers = [], []

    def assert_kept(self, found):
        assert self.acked <= found, sorted(self.acked - found)[:10]

    def killed_in_mid_load(self, volume, victim, kills, commits):
        """Again and again, after so many commits out of a range; with "tdefs", the volume's daemon first."""
        try:
            for generation in range(1, kills + 1):
                self.start_load(generation)
                self.await_commits(random.randrange(*commits))
                if victim == "tdefs":
                    volume.kill_daemon()
                self.kill()
                if victim == "tdefs":
                    volume.unmount_dead()
                    volume.mount()
                self.check()
        finally:
            self.kill()


class SQLite(Writers):
    def __init__(self, data, journal="WAL", mmap_size=0):
        super().__init__()
        self.path = Path(data) / "database.sqlite"
        self.journal, self.mmap_size = journal, mmap_size

    def create(self):
        with contextlib.closing(self.connect()) as c:
            c.execute(f"PRAGMA journal_mode={self.journal}")
            c.execute("CREATE TABLE acked (n INTEGER PRIMARY KEY)")
            c.execute("CREATE TABLE filler (k INTEGER PRIMARY KEY, v TEXT)")
        return self

    def connect(self):
        return sqlite3.connect(self.path, timeout=60)

    def start_load(self, generation, clients=2):
        for i in range(clients):
            self._start(sys.executable, "-c", SQLITE_WRITER, self.path, self.journal, self.mmap_size,
                        (generation * 100 + i) * 10_000_000, i)

    def check(self):
        with contextlib.closing(self.connect()) as c:
            c.execute(f"PRAGMA mmap_size={self.mmap_size}")
            assert c.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            self.assert_kept({row[0] for row in c.execute("SELECT n FROM acked")})


class WiredTiger(Writers):
    """MongoDB's storage engine, within one process that opens it as mongod does (wiredtiger_load.c)."""

    PROGRAM = BUILD / "tests/wiredtiger_load"
    OPENED = ("config_base=false,log=(enabled=true,path=journal,compressor=snappy),"
              "extensions=[libwiredtiger_snappy.so]")
    PANIC = 14  # its exit code then, and mongod's

    def __init__(self, data):
        super().__init__()
        self.data = Path(data)

    def create(self):
        (self.data / "journal").mkdir(parents=True)
        return self

    def start_load(self, generation, clients=4):
        self._start(self.PROGRAM, "write", self.data, generation * 100 * 10_000_000, clients)

    def ended(self):
        """By itself; its exit code."""
        writer, = self.writers
        return writer.wait(120)

    def stop(self):
        self.writers[0].terminate()
        code = self.ended()
        self.kill()
        assert code == 0, (code, self.said)

    def check(self):
        """It recovers; each document is what it was, in memory and in the mapped files, and those are sound."""
        found = run(self.PROGRAM, "check", self.data).stdout
        self.assert_kept({int(n) for n in found.split()})

    def verify(self):
        """By its own tool."""
        for table in "collection", "index":
            run("wt", "-h", self.data, "-C", self.OPENED, "verify", f"table:{table}")
