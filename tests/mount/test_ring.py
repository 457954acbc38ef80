# SPDX-License-Identifier: Apache-2.0
"""
Requests over io_uring. Other tests run that way, too (TDEFS_IO_URING); here is what is of its own:
when it can be had, what it leaves in memory, who waits for whom.
"""

import json
import mmap
import os
import signal
import subprocess
import threading

import pytest
from conftest import BUILD, ring_lack, run, wait_for
from guard_kit import MARKER, holds

on_ring = pytest.mark.skipif(ring_lack() is not None, reason=str(ring_lack()))
PARAMETER = "/sys/module/fuse/parameters/enable_uring"
PAGE = MARKER * (8192 // len(MARKER)) + b"." * (8192 % len(MARKER))


@pytest.fixture
def volume(make_volume):
    v = make_volume(io_uring="yes")
    v.mount()
    wait_for(lambda: v.status()["transport"]["by"] == "io_uring", "the ring to be there")
    return v


def at_once(n, function):
    """n threads that call it with their number, and a list that has what each returned."""
    done = []
    threads = [threading.Thread(target=lambda i=i: done.append(function(i)), daemon=True) for i in range(n)]
    for t in threads:
        t.start()
    return threads, done


def join(threads):
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads)


def direct(path, flags=0):
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT | flags)


def aligned(data):
    buffer = mmap.mmap(-1, len(data))
    buffer[:] = data
    return buffer


@on_ring
def test_status_and_metrics_tell(volume):
    assert volume.status()["transport"] == {"by": "io_uring", "io_uring": "yes", "why_not": None}
    assert "requests   by io_uring" in volume.ctl("status", volume.name).stdout
    assert f'tdefs_io_uring{{volume="{volume.name}"}} 1' in volume.ctl("metrics", volume.name).stdout
    volume.logged("requests come over io_uring")


@pytest.mark.unsanitized("a sanitizer's memory is too large to be searched")
@on_ring
def test_nothing_that_was_read_or_written_stays_in_memory(volume):
    fds = [direct(volume.mount_point / str(i)) for i in range(16)]
    page = aligned(PAGE)

    def work(i):
        os.pwrite(fds[i], page, 0)
        os.fsync(fds[i])
        return os.preadv(fds[i], [mmap.mmap(-1, len(PAGE))], 0)

    threads, done = at_once(len(fds), work)
    join(threads)
    assert done == [len(PAGE)] * len(fds)
    assert not holds(volume.pid, MARKER)
    for fd in fds:
        os.close(fd)


@on_ring
def test_who_waits_for_the_disk_keeps_nobody_waiting(make_volume, make_disk, directory):
    """Writers wait in a backing that is frozen; on the same CPU, others read."""
    disk = make_disk()
    (disk.mount() / "backing").mkdir(mode=0o700)
    v = make_volume(backing=disk.mount_point / "backing", io_uring="yes", threads=16)
    m = v.mount()
    (m / "read").write_bytes(PAGE)
    writers = [os.open(m / str(i), os.O_RDWR | os.O_CREAT) for i in range(4)]
    reader = direct(m / "read")
    os.sched_setaffinity(0, cpus := {min(os.sched_getaffinity(0))})
    try:
        writes = v.counter("writes")
        run("fsfreeze", "-f", disk.mount_point)
        threads, done = at_once(len(writers), lambda i: os.pwrite(writers[i], PAGE, 0))
        reads, read = at_once(1, lambda _: [os.preadv(reader, [mmap.mmap(-1, len(PAGE))], 0) for _ in range(100)])
        join(reads)
        assert read == [[len(PAGE)] * 100] and done == []
    finally:
        os.sched_setaffinity(0, range(os.cpu_count()))
        run("fsfreeze", "-u", disk.mount_point)
    join(threads)
    assert done == [len(PAGE)] * len(writers) and v.counter("writes") == writes + len(writers)
    for fd in (*writers, reader):
        os.close(fd)
    v.unmount()


def frozen(v):
    assert json.loads(v.ctl("--json", "freeze", v.name, "--for", "60s").stdout)["frozen"]


@on_ring
def test_a_freeze_keeps_requests_in_the_ring(volume):
    """More than there were threads; then more of one CPU than it gets: the freeze ends, and says so."""
    fds = [os.open(volume.mount_point / str(i), os.O_RDWR | os.O_CREAT) for i in range(100)]
    frozen(volume)
    threads, done = at_once(40, lambda i: os.pwrite(fds[i], PAGE, 0))
    wait_for(lambda: volume.status()["freeze"]["held"] == 40, "writes to be held")
    os.fsync(fds[50])
    assert os.pread(fds[50], 1, 0) == b"" and done == []
    volume.ctl("thaw", volume.name)
    join(threads)
    assert done == [len(PAGE)] * 40
    frozen(volume)
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(own)})
    try:
        threads, done = at_once(len(fds), lambda i: os.pwrite(fds[i], PAGE, 0))
        join(threads)
    finally:
        os.sched_setaffinity(0, own)
    assert done == [len(PAGE)] * len(fds) and volume.status()["freeze"]["ended_by"] == "memory"
    assert volume.ctl("thaw", volume.name, check=False).returncode == 1
    for fd in fds:
        os.close(fd)


@pytest.fixture
def without_parameter(make_volume, directory):
    """A function that makes a volume whose programs see that parameter with another value."""
    value = directory / "enable_uring"
    value.write_text("N\n", encoding="ascii")

    def make(**settings):
        v = make_volume(**settings)
        v.within = ("unshare", "-m", "sh", "-c", f'mount --bind {value} {PARAMETER} && exec "$@"', "sh")
        return v
    return make


@on_ring
def test_yes_refuses_to_mount_without_it(without_parameter):
    v = without_parameter(io_uring="yes")
    result = v.tdefs("mount", v.name, check=False)
    assert result.returncode == 1
    assert "io_uring = yes: the kernel's FUSE over io_uring is switched off" in result.stderr
    assert f"next: echo Y >{PARAMETER}" in result.stderr


@on_ring
def test_auto_goes_on_without_it_and_says_so(without_parameter):
    v = without_parameter(io_uring="auto")
    daemon = subprocess.Popen([*v.within, BUILD / "tdefs", "--config", v.config, "mount", "--foreground", v.name],
                              env={**os.environ, **v.environment()})
    try:
        wait_for(lambda: v.status().get("mounted_at"), "the mount")
        assert v.status()["transport"] == {"by": "/dev/fuse", "io_uring": "auto",
                                           "why_not": "the kernel's FUSE over io_uring is switched off"}
        assert "no io_uring: the kernel's" in v.ctl("status", v.name).stdout
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0


def test_no_is_the_default(make_volume):
    v = make_volume()
    v.mount()
    if "io_uring" not in v.settings:
        assert v.status()["transport"] == {"by": "/dev/fuse", "io_uring": "no", "why_not": None}
