# SPDX-License-Identifier: Apache-2.0
"""Everything an engine, or a person with a shell, expects of a file system."""

import ctypes
import errno
import fcntl
import mmap
import multiprocessing
import os
import re
import resource
import socket
import stat
import struct
import threading
from pathlib import Path

import pytest
from conftest import EACH_MODE, run, wait_for
from guard_kit import holds

libc = ctypes.CDLL(None, use_errno=True)
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE = 1, 2, 16
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4


def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def as_user(uid, gid, function, *args, groups=()):
    """Run a function as a user, in a process of its own; its result or exception."""
    def body(pipe):
        try:
            os.setgroups(list(groups))
            os.setgid(gid)
            os.setuid(uid)
            pipe.send((True, function(*args)))
        except Exception as e:  # pylint: disable=broad-except
            pipe.send((False, e))

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=body, args=(theirs,))
    process.start()
    good, value = ours.recv()
    process.join()
    if not good:
        raise value
    return value


def error_of(function, *args):
    with pytest.raises(OSError) as e:
        function(*args)
    return e.value.errno


@pytest.fixture
def mnt(volume):
    os.chmod(volume.mount_point, 0o755)  # the backing's mode, until an engine sets its own
    return volume.mount_point


# Names.

def test_tree(mnt):
    (mnt / "a/b/c").mkdir(parents=True)
    (mnt / "a/b/c/f").write_text("deep")
    assert (mnt / "a/b/c/f").read_text() == "deep"
    assert error_of(os.rmdir, mnt / "a") == errno.ENOTEMPTY
    assert error_of(os.mkdir, mnt / "a") == errno.EEXIST
    assert error_of(os.unlink, mnt / "a") == errno.EISDIR
    assert error_of(os.stat, mnt / "none") == errno.ENOENT
    assert error_of(os.stat, mnt / "a/b/c/f/g") == errno.ENOTDIR
    assert (mnt / "a").stat().st_nlink == 3
    run("rm", "-r", mnt / "a")
    assert list(mnt.iterdir()) == []


def test_names_of_255_bytes(mnt):
    name = "n" * 255
    (mnt / name).write_text("x")
    assert os.listdir(mnt) == [name]
    assert error_of(os.stat, mnt / (name + "n")) == errno.ENAMETOOLONG
    assert os.statvfs(mnt).f_namemax == 255


def test_names_are_bytes(mnt):
    name = bytes(b for b in range(1, 256) if b != ord("/"))
    path = os.fsencode(mnt) + b"/" + name
    os.close(os.open(path, os.O_CREAT))
    assert os.listdir(os.fsencode(mnt)) == [name]


def test_many_names(mnt):
    for i in range(5000):
        os.close(os.open(mnt / f"f{i}", os.O_CREAT | os.O_WRONLY))
    assert len(set(os.listdir(mnt))) == 5000
    with os.scandir(mnt) as entries:
        assert all(e.stat().st_size == 0 for e in entries)
    fd = os.open(mnt, os.O_RDONLY)
    for i in range(5000):
        os.unlink(f"f{i}", dir_fd=fd)
    assert os.listdir(fd) == []
    os.close(fd)


def test_header_directory_does_not_exist(volume, mnt):
    assert (volume.backing / ".tdefs").is_dir()
    assert ".tdefs" not in os.listdir(mnt)
    hidden = mnt / ".tdefs"
    assert error_of(os.stat, hidden) == errno.ENOENT
    assert error_of(os.stat, hidden / "header") == errno.ENOENT
    assert error_of(os.mkdir, hidden) == errno.EPERM
    assert error_of(os.open, hidden, os.O_CREAT | os.O_WRONLY) == errno.EPERM
    assert error_of(os.symlink, "x", hidden) == errno.EPERM
    assert error_of(os.mkfifo, hidden) == errno.EPERM
    (mnt / "f").write_text("x")
    assert error_of(os.link, mnt / "f", hidden) == errno.EPERM
    assert error_of(os.rename, mnt / "f", hidden) == errno.EPERM
    assert error_of(os.rename, hidden, mnt / "g") == errno.ENOENT
    (mnt / "sub").mkdir()
    (mnt / "sub/.tdefs").mkdir()  # only at the top is it ours


def test_hard_links(mnt):
    (mnt / "a").write_text("one")
    os.link(mnt / "a", mnt / "b")
    assert os.stat(mnt / "a").st_ino == os.stat(mnt / "b").st_ino
    assert os.stat(mnt / "a").st_nlink == 2
    (mnt / "b").write_text("two")
    assert (mnt / "a").read_text() == "two"
    os.unlink(mnt / "a")
    assert (mnt / "b").read_text() == "two" and os.stat(mnt / "b").st_nlink == 1


def test_symbolic_links(volume, mnt):
    (mnt / "f").write_text("x")
    os.symlink("f", mnt / "l")
    assert os.readlink(mnt / "l") == "f" and (mnt / "l").read_text() == "x"
    assert os.lstat(mnt / "l").st_size == 1
    os.symlink("t" * 4000, mnt / "long")
    assert os.readlink(mnt / "long") == "t" * 4000
    os.symlink(str(volume.directory), mnt / "out")  # a PostgreSQL tablespace
    assert (mnt / "out" / "tdefs.conf").exists()
    volume.logged("event=absolute_symlink")
    # A link that was put into the backing directory is only ever shown, not followed.
    os.symlink("/etc/passwd", volume.backing / "planted")
    assert os.readlink(mnt / "planted") == "/etc/passwd"


def test_fifos_sockets_and_no_devices(mnt):
    os.mkfifo(mnt / "p", 0o600)
    assert stat.S_ISFIFO(os.stat(mnt / "p").st_mode)
    reader = os.open(mnt / "p", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(mnt / "p", os.O_WRONLY)
    os.write(writer, b"through")
    assert os.read(reader, 10) == b"through"
    os.close(reader)
    os.close(writer)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(mnt / "s"))
        server.listen()
        client.connect(str(mnt / "s"))
    assert error_of(os.mknod, mnt / "c", stat.S_IFCHR | 0o600, os.makedev(1, 3)) == errno.EPERM
    assert error_of(os.mknod, mnt / "b", stat.S_IFBLK | 0o600, os.makedev(7, 0)) == errno.EPERM


def test_rename(mnt):
    (mnt / "a").write_text("a")
    (mnt / "b").write_text("b")
    assert error_of(renameat2, mnt / "a", mnt / "b", RENAME_NOREPLACE) == errno.EEXIST
    renameat2(mnt / "a", mnt / "b", RENAME_EXCHANGE)
    assert (mnt / "a").read_text() == "b" and (mnt / "b").read_text() == "a"
    with open(mnt / "b", encoding="ascii") as replaced:
        os.rename(mnt / "a", mnt / "b")
        assert (mnt / "b").read_text() == "b" and replaced.read() == "a"
        assert os.fstat(replaced.fileno()).st_nlink == 0
    (mnt / "d/e").mkdir(parents=True)
    assert error_of(os.rename, mnt / "d", mnt / "d/e/x") == errno.EINVAL
    os.rename(mnt / "b", mnt / "d/e/moved")
    assert (mnt / "d/e/moved").read_text() == "b"
    assert error_of(renameat2, mnt / "d", mnt / "x", RENAME_WHITEOUT) == errno.EINVAL


@EACH_MODE
def test_unlinked_files_go_on(mnt):
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"before")
    os.unlink(mnt / "f")
    os.write(fd, b" after")
    os.fsync(fd)
    assert os.pread(fd, 20, 0) == b"before after"
    assert os.fstat(fd).st_nlink == 0 and os.fstat(fd).st_size == 12
    os.ftruncate(fd, 3)
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    assert os.read(again, 20) == b"bef"
    os.close(again)
    os.close(fd)
    d = os.open(mnt, os.O_RDONLY)
    os.mkdir("gone", dir_fd=d)
    inside = os.open(mnt / "gone", os.O_RDONLY)
    os.rmdir(mnt / "gone")
    assert os.fstat(inside).st_nlink == 0 and os.listdir(inside) == []
    os.close(inside)
    os.close(d)


def test_inode_numbers_are_stable(volume, mnt):
    (mnt / "d").mkdir()
    (mnt / "d/f").write_text("x")
    before = {p: os.stat(mnt / p).st_ino for p in (".", "d", "d/f")}
    assert before["d/f"] == os.stat(volume.backing / "d/f").st_ino
    os.rename(mnt / "d", mnt / "e")
    assert os.stat(mnt / "e/f").st_ino == before["d/f"]
    with os.scandir(mnt / "e") as entries:
        assert [e.inode() for e in entries] == [before["d/f"]]
    os.rename(mnt / "e", mnt / "d")
    volume.remount()
    assert {p: os.stat(mnt / p).st_ino for p in before} == before


# Owners, modes, times.

@EACH_MODE
def test_new_files_belong_to_their_maker(mnt):
    os.chmod(mnt, 0o777)

    def make():
        os.umask(0o027)
        (mnt / "f").write_text("x")
        (mnt / "d").mkdir()
        os.symlink("f", mnt / "l")
        os.mkfifo(mnt / "p")

    as_user(4321, 4322, make)
    for name, mode in ("f", 0o640), ("d", 0o750), ("p", 0o640):
        st = os.lstat(mnt / name)
        assert (st.st_uid, st.st_gid, st.st_mode & 0o7777) == (4321, 4322, mode)
    assert os.lstat(mnt / "l").st_uid == 4321


def test_permissions_are_checked(mnt):
    (mnt / "secret").write_text("x")
    os.chmod(mnt / "secret", 0o600)
    (mnt / "closed").mkdir(mode=0o700)
    assert as_user(1000, 1000, error_of, os.open, mnt / "secret", os.O_RDONLY) == errno.EACCES
    assert as_user(1000, 1000, error_of, os.listdir, mnt / "closed") == errno.EACCES
    assert as_user(1000, 1000, error_of, os.unlink, mnt / "secret") == errno.EACCES
    assert as_user(1000, 1000, error_of, os.chmod, mnt / "secret", 0o666) == errno.EPERM
    assert as_user(1000, 1000, error_of, os.mkdir, mnt / "x") == errno.EACCES


def test_a_directory_of_a_group(mnt):
    """Writable by a supplementary group, S_ISGID: the group is handed on, and may be kept."""
    (mnt / "g").mkdir()
    os.chown(mnt / "g", 0, 5555)
    os.chmod(mnt / "g", 0o2770)

    def make():
        os.umask(0)
        (mnt / "g/f").write_text("x")
        (mnt / "g/d").mkdir()
        os.close(os.open(mnt / "g/s", os.O_CREAT | os.O_WRONLY, 0o2755))

    as_user(1000, 1000, make, groups=[5555])
    assert os.stat(mnt / "g/f").st_gid == 5555
    assert os.stat(mnt / "g/d").st_gid == 5555 and os.stat(mnt / "g/d").st_mode & stat.S_ISGID
    assert os.stat(mnt / "g/s").st_mode & 0o7777 == 0o2755
    os.chmod(mnt / "g", 0o2777)
    as_user(1000, 1000, lambda: os.close(os.open(mnt / "g/t", os.O_CREAT | os.O_WRONLY, 0o2755)))
    assert not os.stat(mnt / "g/t").st_mode & stat.S_ISGID  # not in the group


def test_sticky_directories(mnt):
    (mnt / "tmp").mkdir()
    os.chmod(mnt / "tmp", 0o1777)
    as_user(1000, 1000, (mnt / "tmp/mine").write_text, "x")
    assert as_user(1001, 1001, error_of, os.unlink, mnt / "tmp/mine") == errno.EPERM
    as_user(1000, 1000, os.unlink, mnt / "tmp/mine")


def test_writing_and_chown_clear_suid(mnt):
    (mnt / "f").write_text("x")
    os.chmod(mnt / "f", 0o6777)

    def append():
        with open(mnt / "f", "a", encoding="ascii") as f:
            f.write("y")

    as_user(1000, 1000, append)
    assert os.stat(mnt / "f").st_mode & 0o7777 == 0o777
    os.chmod(mnt / "f", 0o4755)
    os.chown(mnt / "f", 7, 7)
    assert os.stat(mnt / "f").st_mode & 0o7777 == 0o755
    os.chmod(mnt / "f", 0o4777)
    as_user(1000, 1000, os.truncate, mnt / "f", 0)
    assert os.stat(mnt / "f").st_mode & 0o7777 == 0o777


def test_times(mnt):
    f = mnt / "f"
    f.write_text("x")
    os.utime(f, ns=(1_000_000_001, 2_000_000_002))
    st = os.stat(f)
    assert (st.st_atime_ns, st.st_mtime_ns) == (1_000_000_001, 2_000_000_002)
    with open(f, "a", encoding="ascii") as out:
        out.write("y")
    assert os.stat(f).st_mtime_ns > 2_000_000_002
    before = os.stat(mnt).st_mtime_ns
    (mnt / "g").write_text("")
    assert os.stat(mnt).st_mtime_ns > before
    os.symlink("f", mnt / "l")
    os.utime(mnt / "l", ns=(5, 6), follow_symlinks=False)
    assert os.lstat(mnt / "l").st_mtime_ns == 6 and os.stat(f).st_mtime_ns != 6


@EACH_MODE
def test_times_survive_a_remount(volume, mnt):
    with open(mnt / "f", "wb") as f:
        f.write(b"x" * 100)
        f.flush()
        os.utime(f.fileno(), ns=(10**18, 10**18 + 5))
        os.fsync(f.fileno())
    volume.remount()
    assert os.stat(mnt / "f").st_mtime_ns == 10**18 + 5


@EACH_MODE
def test_block_figures(volume, mnt):
    with open(mnt / "f", "wb") as f:
        f.write(os.urandom(100_000))
        os.fsync(f.fileno())
    st = os.stat(mnt / "f")
    assert st.st_blksize == 4096
    assert st.st_size == 100_000
    assert st.st_blocks == os.stat(volume.backing / "f").st_blocks
    assert 100_000 <= st.st_blocks * 512 <= 120_000
    with open(mnt / "sparse", "wb") as f:
        f.truncate(1 << 40)
    assert os.stat(mnt / "sparse").st_blocks * 512 <= 16384
    ours, theirs = os.statvfs(mnt), os.statvfs(volume.backing)
    assert ours.f_blocks == theirs.f_blocks and ours.f_files == theirs.f_files
    assert ours.f_frsize == theirs.f_frsize


def test_mount_is_what_it_says(volume, mnt):
    with open("/proc/self/mounts", encoding="ascii") as mounts:
        line = next(m for m in mounts if m.split()[1] == str(mnt))
    source, _, kind, options = line.split()[:4]
    assert source == "sales" and kind == "fuse.tdefs"
    assert {"nosuid", "nodev", "default_permissions", "allow_other"} <= set(options.split(","))


# Contents.

@EACH_MODE
def test_large_and_odd_writes(mnt):
    content = os.urandom(3 * 1024 * 1024 + 777)
    (mnt / "f").write_bytes(content)
    assert (mnt / "f").read_bytes() == content
    fd = os.open(mnt / "f", os.O_RDWR)
    os.pwrite(fd, b"Z" * 1_500_001, 12345)
    os.close(fd)
    expect = content[:12345] + b"Z" * 1_500_001 + content[12345 + 1_500_001:]
    assert (mnt / "f").read_bytes() == expect


@EACH_MODE
def test_beyond_four_gigabytes(volume, mnt):
    offsets = [(1 << 32) - 5, (1 << 32) + 4091, (1 << 35) + 1, (1 << 40) - 16]
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR)
    for off in offsets:
        os.pwrite(fd, b"0123456789", off)
    os.fsync(fd)
    assert os.fstat(fd).st_size == offsets[-1] + 10
    os.close(fd)
    volume.remount()
    fd = os.open(mnt / "f", os.O_RDONLY)
    for off in offsets:
        assert os.pread(fd, 10, off) == b"0123456789"
        assert os.pread(fd, 4, off + 4096 * 3) in (bytes(4), b"")
    os.close(fd)


def test_holes_are_found(volume, mnt):
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"x", 1 << 20)
    os.fsync(fd)
    os.close(fd)
    volume.remount()
    fd = os.open(mnt / "f", os.O_RDONLY)
    exact = volume.settings["cache"] == "write-through"
    assert os.lseek(fd, 0, os.SEEK_DATA) == (1 << 20 if exact else 0)
    assert os.lseek(fd, 0, os.SEEK_HOLE) == (0 if exact else (1 << 20) + 1)
    assert os.lseek(fd, 1 << 20, os.SEEK_HOLE) == (1 << 20) + 1
    assert error_of(os.lseek, fd, (1 << 20) + 1, os.SEEK_DATA) == errno.ENXIO
    os.close(fd)
    run("cp", "--sparse=always", mnt / "f", mnt / "g")
    assert (mnt / "g").read_bytes() == (mnt / "f").read_bytes()


@EACH_MODE
def test_fallocate(mnt):
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(fd, 0, 1 << 20)
    assert os.fstat(fd).st_size == 1 << 20
    assert os.fstat(fd).st_blocks * 512 >= 1 << 20
    os.pwrite(fd, b"A" * (1 << 20), 0)
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 500_000)
    assert os.fstat(fd).st_size == 1 << 20
    assert os.fstat(fd).st_blocks * 512 <= 600_000
    assert os.pread(fd, 1 << 20, 0) == b"A" * 5000 + bytes(500_000) + b"A" * ((1 << 20) - 505_000)
    fallocate(fd, FALLOC_FL_ZERO_RANGE, 1000, 100)
    assert os.pread(fd, 102, 999) == b"A" + bytes(100) + b"A"
    fallocate(fd, FALLOC_FL_KEEP_SIZE, 1 << 20, 1 << 20)
    assert os.fstat(fd).st_size == 1 << 20
    assert error_of(fallocate, fd, 8, 0, 4096) == errno.EOPNOTSUPP  # COLLAPSE_RANGE
    os.close(fd)


@EACH_MODE
def test_truncate(mnt):
    f = mnt / "f"
    f.write_bytes(b"0123456789" * 1000)
    for size in 9999, 5000, 4097, 4096, 4095, 17, 16, 15, 1, 0, 1, 100, 5000:
        os.truncate(f, size)
        assert f.stat().st_size == size
        assert len(f.read_bytes()) == size
    assert f.read_bytes() == bytes(5000)
    f.write_bytes(b"x" * 100)
    with open(f, "wb"):  # O_TRUNC
        pass
    assert f.stat().st_size == 0
    assert error_of(os.truncate, mnt, 0) == errno.EISDIR


@EACH_MODE
def test_append_by_several_writers(mnt):
    def body(me):
        with open(mnt / "log", "ab", buffering=0) as f:
            for i in range(300):
                f.write(b"%d:%04d\n" % (me, i))

    writers = [threading.Thread(target=body, args=(n,)) for n in range(6)]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    lines = (mnt / "log").read_bytes().splitlines()
    assert len(lines) == 1800 and len(set(lines)) == 1800


@EACH_MODE
@pytest.mark.parametrize("flags", [os.O_SYNC, os.O_DSYNC, os.O_DIRECT, os.O_DIRECT | os.O_DSYNC])
def test_open_flags(mnt, flags):
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR | flags)
    buffer = mmap.mmap(-1, 8192)  # aligned
    buffer.write(b"d" * 8192)
    assert os.pwrite(fd, buffer, 0) == 8192
    assert os.preadv(fd, [buffer], 0) == 8192 and buffer[:] == b"d" * 8192
    os.close(fd)
    fd = os.open(mnt / "f", os.O_RDONLY)
    assert os.read(fd, 9000) == b"d" * 8192
    os.close(fd)


@pytest.mark.parametrize("flags", [os.O_SYNC, os.O_DSYNC, os.O_DIRECT | os.O_DSYNC,
                                   os.O_DIRECT | os.O_SYNC])
def test_synchronous_writes_are_synced_before_they_return(volume, mnt, flags):
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR | flags)
    buffer = mmap.mmap(-1, 4096)
    for i in range(5):
        before = volume.counter("syncs")
        os.pwrite(fd, buffer, i * 4096)
        assert volume.counter("syncs") > before
    os.close(fd)


LIBAIO = {"io_setup": 206, "io_destroy": 207, "io_getevents": 208, "io_submit": 209}  # x86-64


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_asynchronous_direct_writes_are_synced_too(volume, mnt, flag):
    """The kernel completes them without an FSYNC of its own (include/uapi/linux/aio_abi.h)."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR | os.O_DIRECT | flag)
    os.posix_fallocate(fd, 0, 1 << 20)
    buffer = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    context = ctypes.c_ulong(0)
    assert call(LIBAIO["io_setup"], 8, ctypes.byref(context)) == 0
    for i in range(5):
        before = volume.counter("syncs")
        iocb = ctypes.create_string_buffer(struct.pack(
            "QIIHhIQQqQII", 0, 0, 0, 1, 0, fd, address, 4096, i * 4096, 0, 0, 0))
        pointer = ctypes.pointer(ctypes.cast(iocb, ctypes.c_void_p))
        assert call(LIBAIO["io_submit"], context, ctypes.c_long(1), pointer) == 1
        events = ctypes.create_string_buffer(32)
        assert call(LIBAIO["io_getevents"], context, ctypes.c_long(1), ctypes.c_long(1), events,
                    None) == 1
        assert struct.unpack("QQqq", events.raw)[2] == 4096
        assert volume.counter("syncs") > before
    assert call(LIBAIO["io_destroy"], context) == 0
    os.close(fd)


def test_fallocate_far_into_an_empty_file_takes_only_what_it_asks(mnt):
    for mode in 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
        fd = os.open(mnt / f"f{mode}", os.O_CREAT | os.O_RDWR)
        fallocate(fd, mode, 1 << 30, 4096)
        assert os.fstat(fd).st_blocks * 512 < 65536
        os.close(fd)


def test_names_that_are_replaced_can_always_be_opened(mnt):
    """Write a temporary file, rename it over the old: readers meet the old or the new."""
    (mnt / "f").write_text("0")
    done = threading.Event()
    failed = []

    def read():
        while not done.is_set():
            try:
                assert (mnt / "f").read_text().isdigit()
            except OSError as e:
                failed.append(e)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for r in readers:
        r.start()
    for i in range(3000):
        (mnt / "new").write_text(str(i))
        os.rename(mnt / "new", mnt / "f")
    done.set()
    for r in readers:
        r.join()
    assert not failed


@pytest.mark.unsanitized("sanitizers reserve terabytes of address space")
def test_a_lack_of_memory_does_not_end_the_mount(volume, mnt):
    """A bare directory in place of the mount would take an engine's writes in plaintext."""
    with open(f"/proc/{volume.pid}/status", encoding="ascii") as f:
        size = int(re.search(r"VmSize:\s+(\d+) kB", f.read())[1]) * 1024
    limits = resource.prlimit(volume.pid, resource.RLIMIT_AS)
    for room in 0, 300_000, 2 << 20, 9 << 20:
        resource.prlimit(volume.pid, resource.RLIMIT_AS, (size + room, limits[1]))
        writers = [threading.Thread(target=lambda i=i: (mnt / f"f{i}").write_bytes(b"x" * 100_000))
                   for i in range(40)]
        for w in writers:
            w.start()
        for w in writers:
            w.join()
    resource.prlimit(volume.pid, resource.RLIMIT_AS, limits)
    assert os.path.ismount(mnt) and volume.status()["state"] == "online"
    (mnt / "after").write_text("it still serves")
    assert (mnt / "after").read_text() == "it still serves"


def test_o_tmpfile(volume, mnt):
    if tuple(map(int, volume.status()["libfuse"].split(".")[:2])) >= (3, 17):
        fd = os.open(mnt, os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(fd, b"nameless")
        os.link(f"/proc/self/fd/{fd}", mnt / "named", follow_symlinks=True)
        assert (mnt / "named").read_bytes() == b"nameless"
        os.close(fd)
    else:
        assert error_of(os.open, mnt, os.O_TMPFILE | os.O_RDWR, 0o600) == errno.EOPNOTSUPP


def test_extended_attributes_are_honestly_absent(mnt):
    (mnt / "f").write_text("x")
    assert error_of(os.setxattr, mnt / "f", "user.x", b"1") == errno.ENOTSUP
    assert error_of(os.getxattr, mnt / "f", "user.x") == errno.ENOTSUP
    assert run("setfacl", "-m", "u:1000:r", mnt / "f", check=False).returncode != 0


@EACH_MODE
def test_copy_file_range(mnt):
    content = os.urandom(300_000)
    (mnt / "a").write_bytes(content)
    src, dst = os.open(mnt / "a", os.O_RDONLY), os.open(mnt / "b", os.O_CREAT | os.O_WRONLY)
    copied = 0
    while copied < len(content):
        copied += os.copy_file_range(src, dst, len(content))
    os.close(src)
    os.close(dst)
    assert (mnt / "b").read_bytes() == content


# Mappings.

def test_shared_mapping_is_one_with_the_file(mnt):
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 20000)
    m = mmap.mmap(fd, 20000)
    m[5000:5005] = b"hello"
    assert os.pread(fd, 5, 5000) == b"hello"
    os.pwrite(fd, b"world", 12000)
    assert m[12000:12005] == b"world"
    m.flush()
    m.close()
    os.close(fd)


def test_mapping_is_shared_between_processes_and_durable(volume, mnt):
    with open(mnt / "f", "wb") as f:
        f.write(bytes(8192))

    def child():
        fd = os.open(mnt / "f", os.O_RDWR)
        m = mmap.mmap(fd, 8192)
        m[100:105] = b"child"
        m.flush()

    fd = os.open(mnt / "f", os.O_RDWR)
    m = mmap.mmap(fd, 8192)
    as_user(0, 0, child)
    assert m[100:105] == b"child"
    m.close()
    os.close(fd)
    volume.remount()
    assert (mnt / "f").read_bytes()[100:105] == b"child"


def test_mapped_stores_reach_the_disk_by_fsync(volume, mnt):
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 4096)
    m = mmap.mmap(fd, 4096)
    m[0:6] = b"stored"
    os.fsync(fd)
    m.close()
    os.close(fd)
    volume.remount()
    assert (mnt / "f").read_bytes()[:6] == b"stored"


def test_executing_from_the_mount(mnt):
    """nosuid, but not noexec: extensions are mapped and run from a data directory."""
    run("cp", "/bin/true", mnt / "program")
    run(mnt / "program")


# Locks.

def lock_conflicts(path, how):
    """Does a second process see the lock?"""
    def try_it():
        fd = os.open(path, os.O_RDWR)
        try:
            how(fd)
        except (BlockingIOError, PermissionError):
            return True
        return False

    return as_user(0, 0, try_it)


@EACH_MODE
def test_posix_locks(mnt):
    (mnt / "f").write_bytes(bytes(100))
    fd = os.open(mnt / "f", os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 20)
    assert lock_conflicts(mnt / "f", lambda d: fcntl.lockf(d, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 25))
    assert not lock_conflicts(mnt / "f",
                              lambda d: fcntl.lockf(d, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 40))
    fcntl.lockf(fd, fcntl.LOCK_UN, 10, 20)
    assert not lock_conflicts(mnt / "f",
                              lambda d: fcntl.lockf(d, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 25))
    os.close(fd)


def test_flock(mnt):
    (mnt / "f").write_bytes(b"")
    fd = os.open(mnt / "f", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert lock_conflicts(mnt / "f", lambda d: fcntl.flock(d, fcntl.LOCK_SH | fcntl.LOCK_NB))
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert not lock_conflicts(mnt / "f", lambda d: fcntl.flock(d, fcntl.LOCK_SH | fcntl.LOCK_NB))
    os.close(fd)


def test_open_file_description_locks(mnt):
    f_ofd_setlk = 37
    (mnt / "f").write_bytes(bytes(100))

    def lock(fd):
        fcntl.fcntl(fd, f_ofd_setlk, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 10, 0))

    first, second = os.open(mnt / "f", os.O_RDWR), os.open(mnt / "f", os.O_RDWR)
    lock(first)
    with pytest.raises(BlockingIOError):
        lock(second)  # in one process
    os.close(first)
    lock(second)
    os.close(second)


# Many.

def test_thousands_of_open_files(volume, mnt):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(5000, hard - 200)
    try:
        fds = []
        for i in range(count):
            fd = os.open(mnt / f"f{i}", os.O_CREAT | os.O_RDWR)
            os.write(fd, b"%d" % i)
            fds.append(fd)
        assert volume.status()["open_files"] >= count
        for i, fd in enumerate(fds):
            assert os.pread(fd, 10, 0) == b"%d" % i
            os.close(fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_looked_up_files_hold_no_descriptor(volume, mnt):
    for i in range(2000):
        (mnt / f"f{i}").write_bytes(b"")
    for i in range(2000):
        os.stat(mnt / f"f{i}")
    assert volume.status()["nodes"] > 1500
    assert len(os.listdir(f"/proc/{volume.pid}/fd")) < 200


@EACH_MODE
def test_many_threads_on_one_file(mnt):
    block = 8192
    fd = os.open(mnt / "f", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 64 * block)
    wrong = []

    def body(me):
        for i in range(200):
            at = (me * 8 + i % 8) * block
            os.pwrite(fd, bytes([me * 8 + i % 8]) * block, at)
            if os.pread(fd, block, at) != bytes([me * 8 + i % 8]) * block:
                wrong.append((me, i))

    threads = [threading.Thread(target=body, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    os.close(fd)
    assert wrong == []


def test_crossing_into_another_file_system_is_refused(volume, mnt):
    (volume.backing / "other").mkdir()
    run("mount", "-t", "tmpfs", "none", volume.backing / "other")
    try:
        assert error_of(os.listdir, mnt / "other") == errno.EXDEV
    finally:
        run("umount", volume.backing / "other")


# What is on disk.

def test_no_plaintext_on_disk(volume, mnt):
    marker = b"PLAINTEXT-MARKER-0123456789-abcdef"
    (mnt / "whole").write_bytes(marker * 5000)
    (mnt / "d").mkdir()
    with open(mnt / "d/appended", "ab") as f:
        for _ in range(50):
            f.write(marker)
            f.flush()
    with open(mnt / "mapped", "w+b") as f:
        f.truncate(65536)
        m = mmap.mmap(f.fileno(), 65536)
        m[30000:30000 + len(marker)] = marker
        m.flush()
        m.close()
    fd = os.open(mnt / "direct", os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, 4096)
    buffer.write(marker * 100)
    os.write(fd, buffer)
    os.close(fd)
    os.truncate(mnt / "whole", 100_001)
    os.rename(mnt / "d/appended", mnt / "renamed")
    volume.unmount()
    pieces = [marker[i:i + 16] for i in range(len(marker) - 15)]
    checked = 0
    for path in volume.backing.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            checked += len(content)
            assert not any(piece in content for piece in pieces), path
    assert checked > 100_000


@EACH_MODE
@pytest.mark.parametrize("damage", ["zeroed", "flipped"])
def test_damaged_file_header_is_an_error_never_an_empty_file(volume, mnt, damage):
    with open(mnt / "f", "wb") as f:
        f.write(b"synced" * 1000)
        os.fsync(f.fileno())
    volume.unmount()
    with open(volume.backing / "f", "r+b") as f:
        header = f.read(4096)
        f.seek(0)
        f.write(bytes(4096) if damage == "zeroed" else bytes(b ^ 1 for b in header))
    before = (volume.backing / "f").read_bytes()
    volume.mount()
    for flags in os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND:
        assert error_of(os.open, mnt / "f", flags) == errno.EBADMSG
    assert error_of(os.truncate, mnt / "f", 100) == errno.EBADMSG
    assert os.stat(mnt / "f").st_size == 6000
    volume.logged(r"event=file_header_(missing|damaged) inode=\d+")
    assert volume.counter("damaged_headers") >= 4
    assert (volume.backing / "f").read_bytes() == before
    os.unlink(mnt / "f")  # it can be removed


def test_a_file_put_back_is_a_file_again(volume, mnt):
    """A backup by copying ciphertext, and its restore by copying back."""
    (mnt / "f").write_bytes(b"to be restored" * 500)
    volume.unmount()
    kept = (volume.backing / "f").read_bytes()
    volume.mount()
    os.unlink(mnt / "f")
    volume.unmount()
    (volume.backing / "g").write_bytes(kept)
    volume.mount()
    assert (mnt / "g").read_bytes() == b"to be restored" * 500


def test_backing_of_another_volume_is_refused(make_volume, volume, mnt):
    other = make_volume("other")
    (other.mount() / "f").write_text("of another volume")
    other.unmount()
    (volume.backing / "f").write_bytes((other.backing / "f").read_bytes())
    assert error_of(os.open, mnt / "f", os.O_RDONLY) == errno.EBADMSG


def test_the_daemon_cannot_be_looked_into(volume):
    """Not by another process of the same user, and not after a crash."""
    with open(f"/proc/{volume.pid}/limits", encoding="ascii") as limits:
        line = next(x for x in limits if x.startswith("Max core file size"))
    assert line.split()[4] == "0"
    assert os.stat(f"/proc/{volume.pid}/mem").st_uid == 0


def test_making_a_file_for_somebody_does_not_make_the_daemon_dumpable(volume, mnt):
    """The kernel forgets that it was not, at each setfsuid(2), where hosts have core dumps of such processes."""
    setting = Path("/proc/sys/fs/suid_dumpable")
    if not os.access(setting, os.W_OK):
        pytest.skip(f"{setting} is not ours to set here")
    os.chmod(mnt, 0o777)
    with open(__file__, "rb") as lock:  # it is the host's, and the tests of another build run beside
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = setting.read_text(encoding="ascii")
        setting.write_text("2", encoding="ascii")
        try:
            as_user(65534, 65534, (mnt / "f").write_text, "x")
            assert volume.status()["dumpable"] is False
        finally:
            setting.write_text(before, encoding="ascii")


@pytest.mark.unsanitized("a sanitizer's memory is too large to be searched")
def test_nothing_around_what_was_read_stays_in_the_daemon(make_volume):
    """A whole block is decrypted for each byte of it that a direct file is asked for."""
    volume = make_volume(direct_files="*")
    block = os.urandom(16)
    with open(volume.mount() / "f", "w+b", 0) as f:
        f.write(block)
        assert os.pread(f.fileno(), 1, 7) == block[7:8]
        # It is wiped once the reader has been answered.
        wait_for(lambda: not holds(volume.pid, block[8:]) and not holds(volume.pid, block[:7]),
                 "the daemon to wipe it")


@pytest.mark.unsanitized("sanitizers make mlock(2) do nothing")
def test_the_daemons_secrets_are_locked_in_memory(volume):
    with open(f"/proc/{volume.pid}/status", encoding="ascii") as f:
        assert int(re.search(r"VmLck:\s+(\d+) kB", f.read())[1]) > 0
