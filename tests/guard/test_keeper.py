# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed: its keeper drops every page that the kernel has cached of the mount."""

import os
import signal
import threading
from pathlib import Path

import pytest
from conftest import MAPPING_MODES, is_mounted, parent_of, process_is_gone, wait_for
from guard_kit import MARKER, Reader, error_of, map_shared

PAGE = MARKER * 1000
DEAD = ("ENOTCONN", "ECONNABORTED", "EIO")


def kill(v):
    """Kill the daemon; its keeper's process id."""
    keeper = parent_of(v.pid)
    v.kill_daemon()
    return keeper


def ends(keeper):
    wait_for(lambda: process_is_gone(keeper), "the keeper to end")


@pytest.fixture(params=MAPPING_MODES)
def opened(request, make_volume):
    """A mounted volume, in each cache mode, a file of PAGE in it, and a descriptor of that."""
    v = make_volume(cache=request.param)
    v.mount()
    path = v.mount_point / "f"
    path.write_bytes(PAGE)
    return v, path, os.open(path, os.O_RDWR)


def test_no_page_stays_readable(opened):
    v, path, fd = opened
    assert os.pread(fd, 10, 0) == PAGE[:10]
    reader = Reader(path)
    try:
        assert reader.look() == PAGE[:16]
        ends(kill(v))
        assert error_of(os.pread, fd, 10, 0) in DEAD
        assert reader.look() == signal.SIGBUS
        assert is_mounted(v.mount_point)  # dead, but no bare directory
        assert error_of(os.listdir, v.mount_point) == "ENOTCONN"
    finally:
        reader.close()
        os.close(fd)
    v.unmount_dead()


def test_dirty_pages_do_not_hold_it_up(opened):
    """They cannot be written any more; what was not synced is lost, as in any crash."""
    v, path, fd = opened
    os.fsync(fd)
    mapping = map_shared(fd, len(PAGE))
    mapping[0:5] = b"dirty"
    os.pwrite(fd, b"dirty", 8192)
    ends(kill(v))
    assert error_of(os.fsync, fd) is not None
    mapping.close()
    os.close(fd)
    v.unmount_dead()
    v.mount()
    assert path.stat().st_size == len(PAGE)


def test_many_files_under_load(make_volume):
    """Readers and writers are at work when it happens; none hangs, and nothing stays cached."""
    v = make_volume()
    v.mount()
    files = [v.mount_point / str(i) for i in range(500)]
    for f in files:
        f.write_bytes(PAGE)
    fds = [os.open(f, os.O_RDWR) for f in files]
    stop = threading.Event()

    def work(seed):
        i = seed
        while not stop.is_set():
            i = (i * 31 + 7) % len(fds)
            if error_of(os.pread, fds[i], 4096, 4096) or error_of(os.pwrite, fds[i], b"x" * 4096, 8192):
                return

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    try:
        ends(kill(v))
    finally:
        stop.set()
        for t in threads:
            t.join(60)
    assert not any(t.is_alive() for t in threads)
    for fd in fds:
        assert error_of(os.pread, fd, 10, 0) in DEAD
        error_of(os.close, fd)  # which may tell of what was not written
    v.unmount_dead()


def test_reads_that_were_never_answered(make_volume):
    """Pages that the daemon was about to fill are locked: others' must be dropped all the same."""
    v = make_volume()
    v.mount()
    files = [v.mount_point / str(i) for i in range(24)]
    for f in files:
        f.write_bytes(PAGE * 100)
        forget(f)
        forget(v.backing / f.name)
    known = v.mount_point / "known"
    known.write_bytes(PAGE)
    fd = os.open(known, os.O_RDONLY)
    assert os.pread(fd, 10, 0) == PAGE[:10]
    threads = [threading.Thread(target=error_of, args=(f.read_bytes,)) for f in files]
    for t in threads:
        t.start()
    reads = v.counter("reads")
    wait_for(lambda: v.counter("reads") > reads or not any(t.is_alive() for t in threads), "reads")
    ends(kill(v))
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads)
    assert error_of(os.pread, fd, 10, 0) in DEAD
    os.close(fd)
    v.unmount_dead()


def forget(path):
    """Put it on disk and out of the cache."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def test_an_ordinary_end_is_the_keepers_too(make_volume):
    v = make_volume()
    v.mount()
    keeper = parent_of(v.pid)
    v.unmount()
    ends(keeper)


def test_a_signal_to_the_keeper_unmounts(make_volume):
    v = make_volume()
    v.mount()
    os.kill(parent_of(v.pid), signal.SIGTERM)
    wait_for(lambda: not is_mounted(v.mount_point), "the unmount")
    wait_for(lambda: process_is_gone(v.pid), "the daemon to end")


def test_the_keeper_knows_no_secret(make_volume):
    """Its environment is gone, and it was there before any key was."""
    v = make_volume()
    os.environ["AZURE_CLIENT_SECRET"] = "not-to-be-seen"
    try:
        v.mount()
    finally:
        del os.environ["AZURE_CLIENT_SECRET"]
    assert b"not-to-be-seen" not in Path(f"/proc/{parent_of(v.pid)}/environ").read_bytes()


def test_without_a_keeper_there_is_an_alarm(make_volume):
    """The volume works on, and an operator knows what its death would leave."""
    v = make_volume()
    v.mount()
    assert v.status()["alarms"] == []
    keeper = parent_of(v.pid)
    os.kill(keeper, signal.SIGKILL)
    ends(keeper)
    assert [a["name"] for a in v.status()["alarms"]] == ["keeper"]
    (v.mount_point / "f").write_bytes(PAGE)
