# SPDX-License-Identifier: Apache-2.0
"""What takes the key away, what users of the volume get meanwhile, and how it comes back."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from conftest import BUILD, CACHE_MODES, MAPPING_MODES, is_mounted, process_is_gone, wait_for
from guard_kit import MARKER, Reader, error_of, holds, map_shared, write_all

PAGE = MARKER * 1000


def revoke(permission):
    return lambda v: v.vault.command("revoke", "sales", "tde", permission)


def grant(v):
    v.vault.command("grant", "sales", "tde", "get,wrapKey,unwrapKey")


def key(verb, *options):
    return lambda v: v.vault.command("key", verb, "tde", *options)


# Two that the vault words differently; test_causes.py has them all, and what readers and writers get.
DENIALS = {
    "unwrapKey revoked": (revoke("unwrapKey"), grant),
    "key deleted": (key("delete"), key("recover")),
}


@pytest.mark.parametrize("cause", DENIALS)
def test_denied_and_granted_again(make_guarded, cause):
    take, give = DENIALS[cause]
    v = make_guarded()
    path = v.mount_point / "f"
    path.write_bytes(PAGE)
    fd = os.open(path, os.O_RDWR)
    take(v)
    v.reach_purged("denied")
    access = v.status()["key_access"]
    assert access["last_answer"]["class"] == "denied" and access["next_step"], access
    # Contents: nobody. Names and attributes: everybody.
    assert error_of(os.pread, fd, 10, 0) == "EKEYREVOKED"
    assert error_of(os.pwrite, fd, b"x", 0) == "EKEYREVOKED"
    assert error_of(os.open, path, os.O_RDONLY) == "EKEYREVOKED"
    assert error_of(os.open, v.mount_point / "new", os.O_CREAT | os.O_WRONLY) == "EKEYREVOKED"
    assert error_of(os.rename, path, v.mount_point / "g") == "EKEYREVOKED"
    assert error_of(os.truncate, path, 0) == "EKEYREVOKED"
    assert path.stat().st_size == len(PAGE) and os.listdir(v.mount_point) == ["f"]
    os.fsync(fd)
    assert v.ctl("status", v.name, check=False).returncode == 4
    # It heals by itself, and the file that was open all the time works again.
    give(v)
    v.reach("online")
    assert os.pread(fd, len(MARKER), 0) == MARKER
    os.pwrite(fd, b"healed", 0)
    os.fsync(fd)
    os.close(fd)
    v.remount()
    assert path.read_bytes()[:6] == b"healed"


def test_a_purged_key_does_not_resume(make_guarded):
    v = make_guarded()
    key("delete")(v)
    key("purge", "--yes")(v)
    v.reach("inaccessible", "denied")
    v.answers("denied")
    result = v.ctl("resume", v.name, check=False)
    assert result.returncode == 4 and "inaccessible" in result.stdout


@pytest.mark.parametrize("cache", MAPPING_MODES)
def test_nothing_that_was_written_before_is_lost(make_guarded, cache):
    """Dirty pages of the cache and of a mapping are written on the way down."""
    v = make_guarded(cache=cache)
    path = v.mount_point / "f"
    path.write_bytes(bytes(8192))
    fd = os.open(path, os.O_RDWR)
    mapping = map_shared(fd, 8192)
    write_all(fd, b"written")
    mapping[4096:4102] = b"mapped"
    v.control("lock")
    v.control_until("inaccessible", cache_purged=True)
    v.control("resume")
    v.control_until("online")
    assert os.pread(fd, 7, 0) == b"written"
    assert os.pread(fd, 6, 4096) == b"mapped"
    os.fsync(fd)
    mapping.close()
    os.close(fd)
    v.remount()
    assert path.read_bytes()[:7] == b"written" and path.read_bytes()[4096:4102] == b"mapped"


@pytest.mark.unsanitized("a sanitizer's shadow is too much to search")
@pytest.mark.parametrize("cache", MAPPING_MODES)
def test_no_plaintext_is_left(make_guarded, cache):
    """Not in the page cache, not in mappings of other processes, not in the daemon; nor its keys."""
    v = make_guarded(cache=cache)
    dek = v.dek()
    assert holds(v.pid, dek)
    path = v.mount_point / "f"
    path.write_bytes(PAGE)
    assert path.read_bytes() == PAGE
    fd = os.open(path, os.O_RDONLY)
    reader = Reader(path)
    try:
        assert reader.look() == PAGE[:16]
        v.ctl("lock", v.name)
        v.reach_purged("locked")
        assert reader.look() == signal.SIGBUS
        assert error_of(os.pread, fd, 10, 0) == "ENOKEY"
        assert not holds(v.pid, MARKER)
        assert not holds(v.pid, dek)
        v.ctl("resume", v.name)
        assert os.pread(fd, len(PAGE), 0) == PAGE
    finally:
        reader.close()
        os.close(fd)


def test_the_search_finds_what_it_looks_for(make_guarded):
    """The test before proves nothing if a process's memory were never really read."""
    keep = MARKER * 2
    assert holds(os.getpid(), keep)


def test_dirty_pages_that_are_refused_are_told_of(make_guarded):
    """Stored through a mapping while the volume is down: the engine must learn of it by fsync."""
    v = make_guarded()
    path = v.mount_point / "f"
    path.write_bytes(bytes(4096))
    fd = os.open(path, os.O_RDWR)
    v.control("drill", kind="outage", seconds=300)
    v.reach("read-only", "drill")
    assert error_of(os.pwrite, fd, b"x", 0) == "EROFS"
    mapping = map_shared(fd, 4096)
    mapping[0:5] = b"store"
    assert error_of(mapping.flush) in ("EROFS", "EIO")
    assert error_of(os.fsync, fd) == "EROFS"
    # What was refused is dropped, so that nobody takes it for written; nor what was there before for what is there.
    wait_for(lambda: error_of(os.pread, fd, 5, 0) == "EIO", "the refused page to be dropped")
    mapping.close()
    v.ctl("lock", v.name)
    v.reach("inaccessible", "locked", "drill")
    assert v.ctl("resume", v.name, check=False).returncode == 3
    v.reach("read-only", "drill")
    assert error_of(os.fsync, fd) == "EROFS"  # until its last close
    os.close(fd)
    assert path.read_bytes() == bytes(4096)


def test_what_writeback_lost_is_not_read_as_it_was(make_guarded):
    v = make_guarded(cache="writeback")
    path = v.mount_point / "f"
    path.write_bytes(PAGE)
    fd = os.open(path, os.O_RDWR)
    v.control("drill", kind="outage", seconds=300)
    v.reach("read-only", "drill")
    os.pwrite(fd, bytes(len(PAGE)), 0)  # into the page cache, which asks nobody
    assert error_of(os.fsync, fd) == "EROFS"
    wait_for(lambda: error_of(os.pread, fd, 5, 0) == "EIO", "the refused pages to be dropped")
    os.close(fd)
    assert path.read_bytes() == PAGE


def test_memory_that_engines_share_in_a_file_can_be_read_on(make_guarded):
    """What is refused of SQLite's index of a WAL is no loss, and its readers go on in read-only."""
    v = make_guarded(cache="write-through")
    path = v.mount_point / "db-shm"
    path.write_bytes(bytes(4096))
    fd = os.open(path, os.O_RDWR)
    v.control("drill", kind="outage", seconds=300)
    v.reach("read-only", "drill")
    mapping = map_shared(fd, 4096)
    mapping[0:5] = b"store"
    assert error_of(mapping.flush) in ("EROFS", "EIO")
    wait_for(lambda: os.pread(fd, 5, 0) == bytes(5), "the refused page to be dropped")
    mapping.close()
    os.close(fd)


@pytest.mark.parametrize("cache", CACHE_MODES)
def test_fsync_of_what_was_written_before_works_while_down(make_guarded, cache):
    """The kernel pushes times along with it, which are always accepted."""
    v = make_guarded(cache=cache)
    fd = os.open(v.mount_point / "f", os.O_CREAT | os.O_RDWR)
    os.utime(fd, (0, 0))  # so that writing gives it another time
    write_all(fd, PAGE)
    v.control("drill", kind="outage", seconds=60)
    v.control_until("read-only")
    os.fsync(fd)
    v.control("lock")
    v.control_until("inaccessible")
    os.fsync(fd)
    os.close(fd)


@pytest.mark.parametrize("cache", CACHE_MODES)
def test_who_writes_past_the_cache_is_refused_at_once(make_guarded, cache):
    """Also within a writeback mount, where all others learn of it by their next fsync."""
    v = make_guarded(cache=cache, **({} if cache == "direct" else {"direct_files": "*.log"}))
    log = os.open(v.mount_point / "x.log", os.O_CREAT | os.O_RDWR)
    write_all(log, PAGE)
    v.control("drill", kind="outage", seconds=60)
    v.control_until("read-only")
    assert error_of(os.pwrite, log, b"x", 0) == "EROFS"
    assert error_of(os.ftruncate, log, 0) == "EROFS"
    assert os.pread(log, len(MARKER), 0) == MARKER
    v.control("lock")
    v.control_until("inaccessible")
    assert error_of(os.pwrite, log, b"x", 0) == "ENOKEY"
    assert error_of(os.pread, log, 1, 0) == "ENOKEY"
    v.control("resume")
    v.control_until("read-only")
    assert os.pread(log, len(PAGE) + 1, 0) == PAGE  # nothing of it was kept, and nothing is latched
    os.fsync(log)
    os.close(log)


def test_a_lock_that_cannot_be_kept_says_so(make_guarded):
    v = make_guarded()
    state = v.backing / ".tdefs/state"
    wait_for(state.is_file, "the first grant to be remembered")
    state.unlink()
    state.mkdir()  # so that it cannot be replaced
    result = v.ctl("lock", v.name, check=False)
    assert result.returncode == 1 and "a restart would not know" in result.stderr
    assert v.now() == "inaccessible"
    state.rmdir()
    wait_for(state.is_file, "the state to be written with a later probe")


def test_a_denial_that_is_still_to_be_confirmed_is_remembered(make_guarded):
    v = make_guarded(denied_confirmations=1, denied_confirm_interval="60s")
    (v.mount_point / "f").write_bytes(PAGE)
    revoke("unwrapKey")(v)
    wait_for(lambda: "denied pending" in (v.backing / ".tdefs/state").read_text(),
             "the denial to be remembered")
    v.unmount()
    assert "denied pending" in (v.backing / ".tdefs/state").read_text()
    v.mount_inaccessible("denied")
    assert error_of((v.mount_point / "f").read_bytes) == "EKEYREVOKED"


def test_a_denial_that_flaps_does_not_take_it_down(make_guarded):
    """One denial is no denial: the vault must say it three times."""
    v = make_guarded(denied_confirm_interval="10s")
    revoke("unwrapKey")(v)
    v.answers("denied")
    grant(v)
    v.answers("granted")
    assert v.now() == "online" and not v.status()["key_access"]["trouble"]


def test_delete_while_inaccessible(make_guarded):
    v = make_guarded()
    os.chmod(v.mount_point, 0o777)
    for name in ("a", "b"):
        (v.mount_point / name).write_bytes(PAGE)
    v.ctl("lock", v.name)
    v.reach("inaccessible", "locked")
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        os._exit(0 if error_of(os.unlink, v.mount_point / "a") == "ENOKEY" else 1)
    assert os.waitpid(child, 0)[1] == 0
    os.unlink(v.mount_point / "b")  # as root may drop a database in Azure SQL
    assert os.listdir(v.mount_point) == ["a"]


def test_a_restart_undoes_no_lock(make_guarded):
    v = make_guarded()
    (v.mount_point / "f").write_bytes(PAGE)
    v.ctl("lock", v.name)
    v.unmount()
    v.mount_inaccessible("locked", f"resume {v.name}")
    v.answers("granted")
    v.answers("granted")
    assert v.now() == "inaccessible" and v.status()["reasons"] == ["locked"]
    assert error_of((v.mount_point / "f").read_bytes) == "ENOKEY"
    assert error_of(os.mkdir, v.mount_point / "d") == "ENOKEY"
    assert v.ctl("resume", v.name).returncode == 0
    assert (v.mount_point / "f").read_bytes() == PAGE


@pytest.mark.parametrize("how", ["unmounted", "killed"])
def test_a_restart_undoes_no_denial(make_guarded, how):
    v = make_guarded(heal_window="0")
    (v.mount_point / "f").write_bytes(PAGE)
    key("disable")(v)
    v.reach("inaccessible", "denied")
    if how == "killed":
        v.kill_daemon()
        v.unmount_dead()
    else:
        v.unmount()
    key("enable")(v)
    v.mount_inaccessible("denied")
    v.answers("granted")
    v.answers("granted")
    assert v.now() == "inaccessible"
    assert "too old" in v.status()["key_access"]["next_step"]
    assert error_of((v.mount_point / "f").read_bytes) == "EKEYREVOKED"
    assert error_of(os.mkdir, v.mount_point / "d") == "EKEYREVOKED"
    v.ctl("resume", v.name)
    assert (v.mount_point / "f").read_bytes() == PAGE


def test_denied_at_mount(make_guarded):
    v = make_guarded(mounted=False)
    key("disable")(v)
    v.mount_inaccessible("denied", "KeyDisabled")
    assert error_of(os.mkdir, v.mount_point / "base") == "EKEYREVOKED"
    key("enable")(v)
    v.reach("online")
    (v.mount_point / "f").write_bytes(PAGE)
    v.remount()
    assert (v.mount_point / "f").read_bytes() == PAGE


def test_mount_waits_for_a_vault_and_gives_up(make_guarded):
    v = make_guarded(mounted=False, mount_timeout="8s", probe_timeout="1s")
    v.vault.kill()
    result = v.tdefs("mount", v.name, check=False)
    assert result.returncode == 6 and "its vault is unreachable" in result.stderr, result.stderr
    assert not is_mounted(v.mount_point)
    assert v.ctl("status", v.name, check=False).returncode == 5


def begin_mount(v):
    """A mount whose vault does not answer."""
    process = subprocess.Popen([BUILD / "tdefs", "--config", v.config, "mount", v.name],
                               stderr=subprocess.PIPE, text=True, env={**os.environ, **v.environment()})
    wait_for(lambda: v.status()["state"] == "waiting", "the state waiting")
    return process


def test_mount_waits_until_the_vault_is_back(make_guarded):
    v = make_guarded(mounted=False, mount_timeout="0")
    v.vault.kill()
    process = begin_mount(v)
    result = v.ctl("status", v.name, check=False)
    assert result.returncode == 6 and "mounted as soon as the vault answers" in result.stdout
    assert "cannot start: its directory is not there" in result.stdout
    assert "waiting for its vault" in process.stderr.readline()
    assert v.mount_point.stat().st_mode & 0o7777 == 0  # no engine begins in it meanwhile
    v.vault.start(listen=v.vault.address)
    assert process.wait(120) == 0
    process.stderr.close()
    v.pid = v.status()["pid"]
    (v.mount_point / "f").write_bytes(PAGE)


def test_unmount_ends_a_wait(make_guarded):
    v = make_guarded(mounted=False, mount_timeout="0")
    v.vault.kill()
    process = begin_mount(v)
    pid = v.status()["pid"]
    v.tdefs("unmount", v.name)
    assert process.wait(120) == 6
    process.stderr.close()
    wait_for(lambda: process_is_gone(pid), "the daemon to be gone")


def test_the_mount_point_admits_nobody_beneath(make_guarded):
    v = make_guarded()
    v.unmount()
    assert v.mount_point.stat().st_mode & 0o7777 == 0


def test_extend(make_guarded):
    v = make_guarded(outage_read_only_after="2m", outage_deny_after="1h", outage_extend_max="10m")
    v.vault.kill()
    v.answers("unreachable")
    v.ctl("extend", v.name, "--for", "5m", check=False)
    assert 300 < v.status()["key_access"]["seconds_until_read_only"] <= 420
    result = v.ctl("extend", v.name, "--for", "1h", check=False)
    assert result.returncode == 1 and 'next: ask for less, or set "outage_extend_max"' in result.stderr


def test_a_state_file_that_is_damaged_counts_as_locked(make_guarded):
    v = make_guarded()
    v.ctl("lock", v.name)
    v.unmount()
    (v.backing / ".tdefs/state").write_bytes(b"tdefs-state 1\nlocked no\n")
    v.mount_inaccessible("denied,locked")
    v.logged("state_damaged")
    v.ctl("resume", v.name)
    assert v.now() == "online"


def test_only_root_may_command(make_guarded):
    v = make_guarded()
    for verb in ("lock", "resume"):
        answer = ask_as_nobody(v, verb)
        assert "only root" in answer and "be root" in answer, answer
    assert v.now() == "online"


def test_members_who_hold_the_socket_do_not_keep_root_from_it(make_guarded):
    v = make_guarded()
    path = v.directory / "run/sales.sock"
    holder = subprocess.Popen(
        [sys.executable, "-c", "import socket, sys\n"
         "held = []\n"
         "for i in range(100):\n"
         "    held.append(socket.socket(socket.AF_UNIX))\n"
         "    held[-1].connect(sys.argv[1])\n"
         "    if i == 15: print('ready', flush=True)\n"
         "sys.stdin.read()\n", str(path)], user=65534, group=path.stat().st_gid, extra_groups=[],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"ready\n"
        v.ctl("lock", v.name)
    finally:
        holder.kill()
        holder.communicate()
    v.reach("inaccessible", "locked")


def ask_as_nobody(v, command):
    address = str(next((v.directory / "run").glob("*.sock")))
    os.chmod(address, 0o666)
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        s = socket.socket(socket.AF_UNIX)
        s.connect(address)
        s.sendall(b'{"command": "%s"}\n' % command.encode())
        theirs.sendall(s.recv(65536))
        os._exit(0)
    os.waitpid(child, 0)
    theirs.close()
    with ours:
        return ours.recv(65536).decode()


