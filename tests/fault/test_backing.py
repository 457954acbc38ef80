# SPDX-License-Identifier: Apache-2.0
"""Faults of the backing file system: the right errno, and nothing lost that was synced."""

import errno
import os

import pytest
from conftest import CACHE_MODES, wait_for


@pytest.fixture(params=CACHE_MODES)
def cache(request):
    return request.param


@pytest.fixture
def disk_and_volume(make_disk, make_volume, cache):
    disk = make_disk(size_mb=64)
    disk.mount()
    v = make_volume(backing=disk.mount_point, cache=cache)
    v.mount()
    yield disk, v
    if v.pid is not None:
        v.unmount()


def synced_file(path, content):
    with open(path, "wb") as f:
        f.write(content)
        os.fsync(f.fileno())


def unmount_with_loss(v):
    """The disk is gone: unmounting works, and says that something was lost."""
    result = v.tdefs("unmount", v.name, check=False)
    assert result.returncode == 1 and "could not be written" in result.stderr
    v.pid = None


def write_until_full(path):
    """
    Write and sync until an error; where it came, which it was, and what was synced before: of the
    last write perhaps a part, for it may be several requests (fewer bytes each over io_uring).
    """
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    synced = b""
    try:
        while True:
            content = os.urandom(1 << 20)
            try:
                content = content[:os.pwrite(fd, content, len(synced))]
            except OSError as e:
                return "write", e.errno, synced
            try:
                os.fsync(fd)
            except OSError as e:
                return "fsync", e.errno, synced
            synced += content
    finally:
        try:
            os.close(fd)
        except OSError:
            pass  # with writeback, close(2) may be the one to say it


def test_full_disk(disk_and_volume, cache):
    _, v = disk_and_volume
    mnt = v.mount_point
    content = os.urandom(3_000_001)
    synced_file(mnt / "before", content)
    where, error, synced = write_until_full(mnt / "big")
    assert error == errno.ENOSPC
    assert where == ("write" if cache != "writeback" else "fsync")
    assert len(synced) > 10 << 20
    assert (mnt / "before").read_bytes() == content
    with open(mnt / "before", "r+b") as f:  # what has blocks already can be overwritten
        f.write(b"overwritten")
        os.fsync(f.fileno())
    v.remount()
    assert (mnt / "before").read_bytes() == b"overwritten" + content[11:]
    assert (mnt / "big").read_bytes().startswith(synced)
    os.unlink(mnt / "big")
    synced_file(mnt / "after", content)  # there is room again
    assert (mnt / "after").read_bytes() == content


def test_full_disk_keeps_sizes_and_old_bytes(disk_and_volume, cache):
    """An append that fails leaves the file as it was."""
    _, v = disk_and_volume
    mnt = v.mount_point
    synced_file(mnt / "log", b"committed" * 1111)
    write_until_full(mnt / "big")
    for filler in range(200):  # the last blocks, too
        try:
            synced_file(mnt / f"filler{filler}", b"x" * 4096)
        except OSError:
            break
    fd = os.open(mnt / "log", os.O_WRONLY | os.O_APPEND)
    with pytest.raises(OSError) as e:
        for _ in range(100):
            os.write(fd, b"y" * 70_000)
            os.fsync(fd)
    assert e.value.errno == errno.ENOSPC
    try:
        os.close(fd)
    except OSError:
        pass
    v.remount()
    kept = (mnt / "log").read_bytes()
    assert kept.startswith(b"committed" * 1111)
    assert set(kept[9 * 1111:]) <= {ord("y")}


def test_full_disk_without_writing(disk_and_volume):
    _, v = disk_and_volume
    mnt = v.mount_point
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR)
    with pytest.raises(OSError) as e:
        os.posix_fallocate(fd, 0, 1 << 30)
    assert e.value.errno == errno.ENOSPC
    assert os.fstat(fd).st_size == 0
    os.ftruncate(fd, 1 << 30)  # a hole costs nothing
    os.close(fd)
    assert os.stat(mnt / "f").st_size == 1 << 30


def test_io_errors(disk_and_volume, cache):
    """The file system below shuts down: EIO to each who asks, and no crash."""
    disk, v = disk_and_volume
    mnt = v.mount_point
    content = os.urandom(200_000)
    synced_file(mnt / "synced", content)
    fd = os.open(mnt / "open", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"not yet safe")
    disk.shutdown()
    with pytest.raises(OSError) as e:
        os.fsync(fd)
    assert e.value.errno == errno.EIO
    with pytest.raises(OSError) as e:  # it is not forgotten (fsyncgate)
        os.fsync(fd)
    assert e.value.errno == errno.EIO
    other = os.open(mnt / "open", os.O_RDWR)
    with pytest.raises(OSError) as e:  # nor by another descriptor: it is the inode's
        os.fsync(other)
    assert e.value.errno == errno.EIO
    os.close(other)
    with pytest.raises(OSError) as e:
        os.mkdir(mnt / "d")
    assert e.value.errno == errno.EIO
    status = v.status()
    assert status["state"] == "online" and status["latched_errors"] >= 1
    assert status["counters"]["io_errors"] >= 1
    try:
        os.close(fd)
    except OSError:
        pass
    unmount_with_loss(v)
    v.logged("could not be written")
    disk.unmount()
    disk.mount()
    v.mount()
    assert (mnt / "synced").read_bytes() == content


def test_write_errors_reach_the_writer(disk_and_volume, cache):
    disk, v = disk_and_volume
    mnt = v.mount_point
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"x" * 8192)
    os.fsync(fd)
    disk.shutdown()
    if cache != "writeback":
        with pytest.raises(OSError) as e:
            os.pwrite(fd, b"y" * 8192, 0)
        assert e.value.errno == errno.EIO
    else:
        os.pwrite(fd, b"y" * 8192, 0)
        with pytest.raises(OSError) as e:
            os.fsync(fd)
        assert e.value.errno == errno.EIO
    try:
        os.close(fd)
    except OSError:
        pass
    unmount_with_loss(v)


def test_read_only_backing(make_disk, make_volume, cache):
    disk = make_disk(size_mb=64)
    disk.mount()
    v = make_volume(backing=disk.mount_point, cache=cache)
    mnt = v.mount()
    content = os.urandom(100_003)
    synced_file(mnt / "f", content)
    v.unmount()
    disk.remount("ro")
    v.mount()
    assert (mnt / "f").read_bytes() == content
    attempts = {
        "open": lambda: os.open(mnt / "f", os.O_RDWR),
        "append": lambda: os.open(mnt / "f", os.O_WRONLY | os.O_APPEND),
        "create": lambda: os.open(mnt / "new", os.O_CREAT | os.O_WRONLY),
        "mkdir": lambda: os.mkdir(mnt / "d"),
        "unlink": lambda: os.unlink(mnt / "f"),
        "rename": lambda: os.rename(mnt / "f", mnt / "g"),
        "truncate": lambda: os.truncate(mnt / "f", 0),
        "chmod": lambda: os.chmod(mnt / "f", 0o600),
        "link": lambda: os.link(mnt / "f", mnt / "h"),
        "symlink": lambda: os.symlink("f", mnt / "s"),
    }
    for name, attempt in attempts.items():
        with pytest.raises(OSError) as e:
            attempt()
        assert e.value.errno == errno.EROFS, name
    assert (mnt / "f").read_bytes() == content
    v.unmount()
    disk.remount("rw")
    v.mount()
    with open(mnt / "f", "r+b") as f:
        f.write(b"writable again")
    v.unmount()
    disk.unmount()


def test_unreported_errors_outlive_the_last_close(make_disk, make_volume):
    """
    Written, closed, and only then the disk fails: whoever opens the file again and asks, is told.
    """
    disk = make_disk(size_mb=64)
    disk.mount()
    v = make_volume(backing=disk.mount_point)
    mnt = v.mount()
    with open(mnt / "f", "wb") as f:
        f.write(b"x" * 100_000)
    disk.shutdown()
    wait_for(lambda: v.status()["latched_errors"] == 1, "the daemon to notice")
    fd = os.open(mnt / "f", os.O_RDWR)
    with pytest.raises(OSError) as e:
        os.fsync(fd)
    assert e.value.errno == errno.EIO
    os.close(fd)
    unmount_with_loss(v)
    disk.unmount()
