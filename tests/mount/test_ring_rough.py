# SPDX-License-Identifier: Apache-2.0
"""
What an operator, a scheduler and rough clients do to a volume whose requests come over io_uring: it
goes on, nothing that was written is lost or changed, nobody waits for ever.
"""

import errno
import itertools
import multiprocessing
import os
import random
import signal
import threading
import time

import pytest
from conftest import ALL, CACHE_MODES, SANITIZED, is_mounted, process_is_gone, ring_lack, run, wait_for

pytestmark = pytest.mark.skipif(ring_lack() is not None, reason=str(ring_lack()))
fork = multiprocessing.get_context("fork")
BLOCK, BLOCKS = 4096, 64
SECONDS = 1 if SANITIZED else 3


def record(writer, block, version):
    return b"%07d.%03d.%03d\n" % (version, writer, block) * (BLOCK // 16)


def overwrite(path, writer, until, flags=0):
    """A client: blocks of a file of its own, over and over, some synced, some read again."""
    chance, versions = random.Random(writer), [0] * BLOCKS
    fd = os.open(path, os.O_RDWR | os.O_CREAT | flags)
    while not until():
        n = chance.randrange(BLOCKS)
        versions[n] += 1
        assert os.pwrite(fd, record(writer, n, versions[n]), n * BLOCK) == BLOCK
        if chance.random() < 0.1:
            os.fsync(fd)
        n = chance.randrange(BLOCKS)
        if versions[n]:
            assert os.pread(fd, BLOCK, n * BLOCK) == record(writer, n, versions[n])
    os.close(fd)
    return versions


class Clients:
    """Processes that write, each its file, until they are told to end; they end well, then all is there."""

    def __init__(self, directory, count=6, prepare=None):
        self.directory, self.ended = directory, fork.Event()
        self.pipes, self.processes = [], []
        for i in range(count):
            ours, theirs = fork.Pipe()
            self.pipes.append(ours)
            self.processes.append(fork.Process(target=self.body, args=(i, theirs, prepare), daemon=True))
            self.processes[-1].start()

    def body(self, i, pipe, prepare):
        if prepare:
            prepare()
        pipe.send(overwrite(self.directory / f"f{i}", i, self.ended.is_set))

    def finish(self):
        self.ended.set()
        told = []
        for pipe, process in zip(self.pipes, self.processes):
            assert pipe.poll(120), "a client waits for ever"
            told.append(pipe.recv())
            process.join(60)
            assert process.exitcode == 0
        return told


def check(directory, told):
    for writer, versions in enumerate(told):
        data = (directory / f"f{writer}").read_bytes()
        for n, version in enumerate(versions):
            if version:
                assert data[n * BLOCK:(n + 1) * BLOCK] == record(writer, n, version), (writer, n)


def threads_of(pid):
    return [int(t) for t in os.listdir(f"/proc/{pid}/task")]


@pytest.fixture(params=CACHE_MODES if ALL else ["writeback"])
def volume(request, make_volume):
    v = make_volume(io_uring="yes", cache=request.param)
    v.mount()
    wait_for(lambda: v.status()["transport"]["by"] == "io_uring", "the ring to be there")
    return v


def finish(volume, clients):
    told = clients.finish()
    check(volume.mount_point, told)
    volume.remount()
    check(volume.mount_point, told)
    assert "ended:" not in volume.log_text()


def test_stopped_and_continued(volume):
    clients = Clients(volume.mount_point)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        os.kill(volume.pid, signal.SIGSTOP)
        time.sleep(random.random() / 10)
        os.kill(volume.pid, signal.SIGCONT)
        time.sleep(random.random() / 10)
    finish(volume, clients)


def test_its_threads_are_moved_about(volume):
    clients = Clients(volume.mount_point)
    cpus = sorted(os.sched_getaffinity(0))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for thread in [*threads_of(volume.pid), *(c.pid for c in clients.processes)]:
            try:
                os.sched_setaffinity(thread, {random.choice(cpus)})
            except ProcessLookupError:
                pass
        time.sleep(0.01)
    finish(volume, clients)


def storm():
    """SIGALRM every millisecond, of which a system call that can be interrupted begins again (SA_RESTART)."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)


def test_a_storm_of_signals(volume):
    clients = Clients(volume.mount_point, prepare=storm)
    time.sleep(SECONDS)
    finish(volume, clients)


def test_clients_that_are_killed(volume):
    """In the middle of whatever they do: names, opens, reads, writes, syncs."""
    def body(i):
        path = volume.mount_point / f"d{i}"
        for n in itertools.count():
            os.mkdir(path)
            with open(path / "f", "wb") as f:
                f.write(b"x" * random.randrange(300000))
                f.flush()
                os.fsync(f.fileno())
            os.rename(path / "f", path / f"g{n}")
            (path / f"g{n}").read_bytes()
            (path / f"g{n}").unlink()
            os.rmdir(path)

    end = time.monotonic() + SECONDS
    for i in itertools.count():
        if time.monotonic() > end:
            break
        clients = [fork.Process(target=body, args=(8 * i + n,), daemon=True) for n in range(8)]
        for c in clients:
            c.start()
        time.sleep(random.random() / 4)
        if i % 2:
            os.kill(volume.pid, signal.SIGSTOP)
        for c in clients:
            c.kill()
        os.kill(volume.pid, signal.SIGCONT)
        for c in clients:
            c.join(60)
            assert c.exitcode == -signal.SIGKILL
    run("rm", "-rf", *volume.mount_point.iterdir())
    assert not list(volume.mount_point.iterdir())
    volume.unmount()
    assert not [p for p in volume.backing.iterdir() if p.name != ".tdefs"]


def test_forks_that_share_a_description(volume):
    """Children append to one open file and end without closing it; what they wrote is whole."""
    fd = os.open(volume.mount_point / "log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    children = []
    for i in range(60):
        pid = os.fork()
        if pid == 0:
            for n in range(5):
                os.write(fd, b"%04d.%02d\n" % (i, n))
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    os.close(fd)
    lines = (volume.mount_point / "log").read_bytes().splitlines()
    assert sorted(lines) == sorted(b"%04d.%02d" % (i, n) for i in range(60) for n in range(5))


def test_lazy_unmount_with_requests_in_flight(volume):
    """The daemon serves on until the last client has let go, then ends."""
    clients = Clients(volume.mount_point)
    wait_for(lambda: len(list(volume.mount_point.iterdir())) == 6, "files")
    run("umount", "-l", volume.mount_point)
    assert not is_mounted(volume.mount_point)
    time.sleep(0.3)
    assert not process_is_gone(volume.pid)
    told = clients.finish()
    wait_for(lambda: process_is_gone(volume.pid), "the daemon to end")
    volume.pid = None
    volume.mount()
    check(volume.mount_point, told)


def test_aborted_with_requests_in_flight(volume):
    """The connection is aborted (umount -f): whoever waits gets an error, the daemon ends."""
    def body(i, pipe):
        try:
            overwrite(volume.mount_point / f"f{i}", i, lambda: False)
        except OSError as e:
            pipe.send(e.errno)

    pipes = []
    for i in range(6):
        ours, theirs = fork.Pipe()
        pipes.append(ours)
        fork.Process(target=body, args=(i, theirs), daemon=True).start()
    wait_for(lambda: len(list(volume.mount_point.iterdir())) == 6, "files")
    time.sleep(random.random())
    run("umount", "-f", volume.mount_point, check=False)
    for pipe in pipes:
        assert pipe.poll(60), "a client waits for ever"
        assert pipe.recv() in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO)
    wait_for(lambda: process_is_gone(volume.pid), "the daemon to end")
    volume.pid = None
    volume.unmount_dead()
    volume.mount()


def test_freezes_beneath_many_writers(volume):
    clients = Clients(volume.mount_point, 24)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        result = volume.ctl("freeze", volume.name, "--for", "5s", check=False)
        if result.returncode == 0:
            time.sleep(random.random() / 5)
            volume.ctl("thaw", volume.name, check=False)
    finish(volume, clients)


def test_freeze_meets_the_unmount(volume):
    for _ in range(5):
        stopping = threading.Event()

        def freeze(stopping=stopping):
            while not stopping.is_set():
                volume.ctl("freeze", volume.name, "--for", "1s", check=False)

        freezer = threading.Thread(target=freeze)
        freezer.start()
        (volume.mount_point / "f").write_text("x")
        time.sleep(random.random() / 5)
        volume.unmount()
        stopping.set()
        freezer.join()
        volume.mount()


def test_full_disk_beneath_writers(make_disk, make_volume):
    """Writers of more than there is; room is made meanwhile, over and over; what was synced is there."""
    disk = make_disk(size_mb=24)
    (disk.mount() / "backing").mkdir(mode=0o700)
    v = make_volume(backing=disk.mount_point / "backing", io_uring="yes")
    m = v.mount()

    def free():
        os.sync()
        return os.statvfs(disk.mount_point).f_bfree

    at_first = free()

    def body(i, pipe):
        refused = written = 0
        while not pipe.poll():
            try:
                with open(m / f"f{i}", "wb") as f:
                    for n in range(400):
                        f.write(record(i, n % 1000, n) * 4)
                    f.flush()
                    os.fsync(f.fileno())
            except OSError as e:
                assert e.errno == errno.ENOSPC, e
                refused += 1
            else:
                written += 1
                data = (m / f"f{i}").read_bytes()
                assert data == b"".join(record(i, n % 1000, n) * 4 for n in range(400))
            os.unlink(m / f"f{i}")
        pipe.send((refused, written))

    pipes = []
    for i in range(8):
        ours, theirs = fork.Pipe()
        pipes.append(ours)
        fork.Process(target=body, args=(i, theirs), daemon=True).start()
    time.sleep(3 * SECONDS)
    for pipe in pipes:
        pipe.send("end")
    told = []
    for pipe in pipes:
        assert pipe.poll(120), "a client waits for ever"
        told.append(pipe.recv())
    assert sum(refused for refused, _ in told) > 0, told
    wait_for(lambda: free() == at_first, lambda: f"{at_first - free()} blocks to be given back")
    (m / "after").write_bytes(b"x" * 1000000)
    v.remount()
    assert (m / "after").read_bytes() == b"x" * 1000000
    v.unmount()
    disk.unmount()


def test_a_daemon_of_one_cpu(make_volume):
    """Its clients are elsewhere, too: they are served, and a freeze holds or says that it ended."""
    v = make_volume(io_uring="yes")
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[0]})
    try:
        v.mount()
    finally:
        os.sched_setaffinity(0, cpus)
    wait_for(lambda: v.status()["transport"]["by"] == "io_uring", "the ring to be there")
    clients = Clients(v.mount_point, prepare=lambda: os.sched_setaffinity(0, {cpus[-1]}))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        v.ctl("freeze", v.name, "--for", "1s", check=False)
        time.sleep(0.1)
        v.ctl("thaw", v.name, check=False)
    finish(v, clients)
