# SPDX-License-Identifier: Apache-2.0
"""What a cache mode promises of its own: files that are direct, and times that the kernel keeps."""

import errno
import mmap
import os
import stat

import pytest
from conftest import CACHE_MODES, MAPPING_MODES, run

DAY = 86_400 * 10**9


@pytest.fixture(params=MAPPING_MODES)
def volume(request, make_volume):
    """Where logs are direct, and all else is cached as the mode says."""
    v = make_volume(cache=request.param, direct_files="*.log new.*")
    v.mount()
    return v


def error_of(function, *args):
    with pytest.raises(OSError) as e:
        function(*args)
    return e.value.errno


def requests(volume, name, act):
    """How many of them reached the daemon by the time that `act` returned."""
    before = volume.counter(name)
    act()
    return volume.counter(name) - before


def test_status_tells_which_files_are_direct(volume, make_volume):
    assert volume.status()["direct_files"] == "*.log new.*"
    assert "direct     *.log new.*" in volume.ctl("status", volume.name).stdout
    other = make_volume("other")
    other.mount()
    assert other.status()["direct_files"] == "none"


def test_nothing_of_a_direct_file_is_cached(volume):
    fd = os.open(volume.mount_point / "x.log", os.O_CREAT | os.O_RDWR)
    assert requests(volume, "writes", lambda: os.pwrite(fd, b"a" * 8192, 0)) == 1  # at once
    for _ in range(2):
        assert requests(volume, "reads", lambda: os.pread(fd, 8192, 0)) == 1
    assert requests(volume, "syncs", lambda: os.pwrite(fd, b"b", 0)) == 0
    assert requests(volume, "syncs", lambda: os.fdatasync(fd)) == 1
    os.close(fd)
    assert requests(volume, "reads", (volume.mount_point / "x.log").read_bytes) >= 1


def test_other_files_are_cached_as_the_mode_says(volume):
    fd = os.open(volume.mount_point / "data", os.O_CREAT | os.O_RDWR)
    writes = requests(volume, "writes", lambda: os.pwrite(fd, b"a" * 8192, 0))
    assert writes == 1 or volume.settings["cache"] == "writeback"  # there when the kernel likes
    os.fdatasync(fd)
    os.pread(fd, 8192, 0)
    assert requests(volume, "reads", lambda: os.pread(fd, 8192, 0)) == 0
    os.close(fd)


def test_a_file_stays_what_it_was_first_seen_as(volume):
    mnt = volume.mount_point
    fd = os.open(mnt / "new.1", os.O_CREAT | os.O_RDWR)
    os.rename(mnt / "new.1", mnt / "data")
    again = os.open(mnt / "data", os.O_RDWR)
    for f in fd, again:
        assert requests(volume, "writes", lambda f=f: os.pwrite(f, b"a", 0)) == 1
    assert error_of(mmap.mmap, again, 1) == errno.ENODEV
    os.close(fd)
    os.close(again)
    volume.remount()  # it is seen anew
    with open(mnt / "data", "r+b") as f:
        mmap.mmap(f.fileno(), 1).close()


def test_sizes_are_true_right_after_a_write(volume):
    path = volume.mount_point / "x.log"
    fd, other = (os.open(path, os.O_CREAT | os.O_RDWR) for _ in range(2))
    appender = os.open(path, os.O_WRONLY | os.O_APPEND)
    size = 0
    for n in 1, 15, 16, 4096, 10_000:
        os.pwrite(fd, b"w" * n, size)
        size += n
        os.write(appender, b"a" * n)
        size += n
        assert {os.stat(path).st_size, os.fstat(other).st_size, os.lseek(other, 0, os.SEEK_END),
                len(os.pread(other, 1 << 20, 0))} == {size}
    os.ftruncate(other, 20)
    assert os.fstat(fd).st_size == 20 and os.pread(fd, 100, 0) == b"wa" + b"w" * 15 + b"aaa"
    os.write(appender, b"end")
    assert os.pread(fd, 100, 17) == b"aaaend"
    os.truncate(path, 0)
    assert os.pread(fd, 1, 0) == b"" and os.lseek(fd, 0, os.SEEK_END) == 0
    os.pwrite(fd, b"x", 1 << 20)
    exact = volume.settings["cache"] == "write-through"
    os.fsync(fd)
    for f in fd, other, appender:
        os.close(f)
    fd = os.open(path, os.O_RDONLY)
    assert os.lseek(fd, 0, os.SEEK_DATA) in ((0, 1 << 20) if exact else (0,))
    assert os.lseek(fd, 1 << 20, os.SEEK_HOLE) == (1 << 20) + 1
    assert error_of(os.lseek, fd, (1 << 20) + 1, os.SEEK_DATA) == errno.ENXIO
    os.close(fd)


def test_mappings_of_a_direct_file(volume):
    """Private ones work; shared ones are refused, unless the library can keep them coherent."""
    fd = os.open(volume.mount_point / "x.log", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"before" * 1000, 0)
    with mmap.mmap(fd, 6000, flags=mmap.MAP_PRIVATE) as m:
        assert m[:6] == b"before"
        m[:6] = b"mine.."
        assert os.pread(fd, 6, 0) == b"before"
    try:
        with mmap.mmap(fd, 6000) as m:
            os.pwrite(fd, b"behind", 0)
            assert m[:6] == b"behind"
    except OSError as e:
        assert e.errno == errno.ENODEV
    os.close(fd)


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_synchronous_writes_to_direct_files_are_synced(volume, flag):
    fd = os.open(volume.mount_point / "x.log", os.O_CREAT | os.O_WRONLY | flag)
    for i in range(3):  # the kernel sends no FSYNC: the flag is the only trace
        assert requests(volume, "syncs", lambda i=i: os.pwrite(fd, b"x" * 512, i * 512)) >= 1
    assert requests(volume, "syncs", lambda: os.pwrite(fd, b"y" * (3 << 20), 0)) >= 1
    os.close(fd)


# Times.

@pytest.mark.parametrize("full", [False, True])
def test_pushed_times_reach_the_backing_by_fsync_or_close(make_volume, full):
    """In writeback the kernel has the word, and says it before each sync."""
    v = make_volume(cache="writeback")
    path = v.mount() / "f"
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o640)
    os.utime(fd, (0, 0))  # so that writing gives it another time, however fast it is
    os.pwrite(fd, b"x" * 8192, 0)
    (os.fsync if full else os.fdatasync)(fd)
    seen = os.fstat(fd)
    assert (os.stat(v.backing / "f").st_mtime_ns == seen.st_mtime_ns) == full
    assert (seen.st_mode, seen.st_uid, seen.st_size) == (stat.S_IFREG | 0o640, 0, 8192)
    os.utime(fd, (0, 0))
    os.pwrite(fd, b"y", 0)
    os.fdatasync(fd)
    seen = os.fstat(fd).st_mtime_ns
    os.rename(path, v.mount_point / "g")
    os.close(fd)
    v.remount()
    assert os.stat(v.mount_point / "g").st_mtime_ns == seen


@pytest.mark.parametrize("cache", CACHE_MODES)
def test_times_that_are_set_while_a_file_is_open_stay(make_volume, cache):
    v = make_volume(cache=cache)
    mnt = v.mount()
    with open(mnt / "f", "wb") as f:
        f.write(b"x" * 10_000)
        f.flush()
        os.fdatasync(f.fileno())  # pushes times
        run("touch", "-m", "-d", "2001-02-03 04:05:06.789 UTC", mnt / "f")
        expect = 981_173_106_789_000_000
        assert os.stat(mnt / "f").st_mtime_ns == os.stat(v.backing / "f").st_mtime_ns == expect
    run("cp", "-p", mnt / "f", mnt / "copy")
    v.remount()
    for name in "f", "copy":
        assert os.stat(mnt / name).st_mtime_ns == expect
        assert (mnt / name).read_bytes() == b"x" * 10_000
    with open(mnt / "f", "r+b") as f:  # a later write moves it on
        f.write(b"y")
    v.remount()
    assert os.stat(mnt / "f").st_mtime_ns > expect + DAY


def test_the_time_of_a_direct_file_is_that_of_its_last_write(volume):
    path = volume.mount_point / "x.log"
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC)
    os.utime(path, ns=(DAY, DAY))
    os.pwrite(fd, b"x", 0)
    os.fsync(fd)
    os.close(fd)
    true = os.stat(volume.backing / "x.log").st_mtime_ns
    assert true > 2 * DAY
    volume.remount()
    assert os.stat(path).st_mtime_ns == true
