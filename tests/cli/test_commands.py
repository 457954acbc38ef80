# SPDX-License-Identifier: Apache-2.0
"""The commands as an operator uses them, and every error with its exit code."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import BUILD, Volume, is_mounted, parent_of, process_is_gone, run, wait_for


def snapshot(*places):
    """Every name, mode and byte below, to show that nothing was changed."""
    found = {}
    for place in places:
        for path in sorted([place, *place.rglob("*")]):
            if not path.exists():
                found[str(path)] = None
                continue
            st = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
            found[str(path)] = (st.st_mode, st.st_uid, st.st_size, content)
    return found


def what_is_kept(volume):
    """The mount point's own mode aside: a mount closes it before it asks the vault, and it stays so."""
    beneath = sorted(volume.mount_point.glob("*"))
    return volume.mount_point.exists(), snapshot(volume.backing, *beneath, *volume.remembered())


def refused(volume, program, *args, code, says, next_step):
    """The command fails with this code, says thing, reason and next step, and changes nothing."""
    before = what_is_kept(volume)
    result = getattr(volume, program)(*args, check=False)
    assert result.returncode == code, result.stderr
    for text in [says] if isinstance(says, str) else says:
        assert text in result.stderr
    assert "\n  next: " in result.stderr and next_step in result.stderr
    assert result.stdout == ""
    assert what_is_kept(volume) == before


# What works.

def test_life_of_a_volume(make_volume):
    v = make_volume(formatted=False)
    out = v.ctl("format", "sales")
    assert "formatted" in out.stdout and str(v.key) in out.stdout
    mnt = v.mount()
    assert is_mounted(mnt)
    (mnt / "hello").write_text("world")
    assert v.status()["state"] == "online"
    text = v.ctl("status", "sales").stdout
    assert "sales: online" in text and "write-through" in text and str(mnt) in text
    v.unmount()
    assert not is_mounted(mnt) and not list(mnt.iterdir())
    v.mount()
    assert (mnt / "hello").read_text() == "world"


def test_status_of_all_volumes_is_the_worst(make_volume):
    v = make_volume()
    with v.config.open("a") as f:
        f.write(f"[volume other]\nbacking = {v.directory}/b2\nmount = {v.directory}/m2\n")
    v.mount()
    result = v.ctl("status", check=False)
    assert result.returncode == 5
    assert "sales: online" in result.stdout and "other: not mounted" in result.stdout
    answer = json.loads(v.ctl("status", "--json", check=False).stdout)
    assert answer["schema"] == 1
    assert [(s["name"], s["state"]) for s in answer["volumes"]] == [
        ("sales", "online"), ("other", "not mounted")]
    assert v.ctl("status", "sales").returncode == 0
    assert v.ctl("status", "other", check=False).returncode == 5


def test_status_counts_and_names(volume):
    before = volume.counter("writes")
    with open(volume.mount_point / "f", "wb", buffering=0) as f:
        f.write(b"x" * 5000)
        os.fsync(f.fileno())
    s = volume.status()
    assert s["counters"]["writes"] > before and s["counters"]["syncs"] >= 1
    assert s["latched_errors"] == 0 and s["libfuse"] and s["version"]
    assert s["protector"]["kid"] == f"file:{volume.key}"
    assert len(s["protector"]["thumbprint"]) == 64


def test_reading_in_order_takes_few_requests_and_here_and_there_no_more_bytes(volume):
    path, size = volume.mount_point / "f", 8 << 20

    def requests_and_bytes(read):
        with open(path, "rb", buffering=0) as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            before = volume.counter("reads"), volume.counter("read_bytes")
            read(f.fileno())
        return volume.counter("reads") - before[0], volume.counter("read_bytes") - before[1]

    with open(path, "wb", buffering=0) as f:
        f.write(os.urandom(size))
        os.fsync(f.fileno())
    requests, read = requests_and_bytes(
        lambda fd: [os.pread(fd, 8192, off) for off in range(0, size, 8192)])
    assert read == size and requests <= 24  # of 128 KiB, the kernel's own, they would be 67
    far_apart = range(size - (64 << 10), 64 << 10, -(192 << 10))
    requests, read = requests_and_bytes(lambda fd: [os.pread(fd, 8192, off) for off in far_apart])
    assert read == len(far_apart) * 8192


def test_config_by_environment(make_volume):
    v = make_volume()
    env = {"TDEFS_CONFIG": str(v.config)}
    assert run(BUILD / "tdefsctl", "status", env=env, check=False).returncode == 5
    missing = {"TDEFS_CONFIG": "/nonexistent.conf"}
    result = run(BUILD / "tdefsctl", "status", env=missing, check=False)
    assert result.returncode == 2 and "/nonexistent.conf" in result.stderr


def test_check_tells_another_key_of_the_same_name(make_volume):
    v = make_volume()
    assert v.ctl("check", "sales").returncode == 0
    v.key.unlink()
    v.make_key(v.key)
    changed = v.ctl("check", "sales", check=False)
    assert changed.returncode == 1 and "another key wrapped the volume" in changed.stdout


def test_what_needs_no_key_needs_no_configuration(make_volume):
    v = make_volume()
    environment = {**v.environment(), "TDEFS_CONFIG": ""}
    if not Path("/etc/tdefs/tdefs.conf").exists():
        dump = run(BUILD / "tdefsctl", "header", "dump", f"{v.backing}/", env=environment)
        assert str(v.key) in dump.stdout
        run(BUILD / "tdefsctl", "verify", "--without-key", f"{v.backing}/", env=environment)


def test_a_wrong_backing_is_not_the_mount_points_fault(make_volume):
    v = make_volume()
    v.backing = v.directory / "elsewhere"
    v.write_config()
    refused = v.tdefs("mount", "sales", check=False)
    assert refused.returncode == 2 and "elsewhere" in refused.stderr
    assert "mount point" not in refused.stderr


def test_header_dump(make_volume):
    v = make_volume()
    v.key.unlink()  # needs no key
    text = v.ctl("header", "dump", "sales").stdout
    assert "aes-256-xts" in text and f"file:{v.key}" in text and "header good" in text
    answer = v.ctl_json("header", "dump", f"{v.backing}/")
    assert answer["slots"][0]["wrap_algorithm"] == "RSA-OAEP-256"
    assert len(answer["slots"][0]["wrapped_dek"]) == 512
    assert answer["sequence"] == 1 and answer["sector_size"] == 4096


def test_foreground_mount_ends_with_the_unmount(make_volume):
    v = make_volume()
    process = subprocess.Popen([BUILD / "tdefs", "--config", v.config, "mount", "sales", "-f"],
                               env={**os.environ, **v.environment()})
    try:
        wait_for(lambda: is_mounted(v.mount_point), "the mount")
        assert parent_of(v.status()["pid"]) == process.pid
        v.tdefs("unmount", "sales")
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()


def test_sigterm_unmounts_but_not_by_force(make_volume):
    v = make_volume()
    mnt = v.mount()
    with open(mnt / "busy", "w", encoding="utf-8") as f:
        f.write("x")
        os.kill(v.pid, signal.SIGTERM)
        wait_for(lambda: "cannot unmount" in v.log_text(), "the refusal in the log")
        assert is_mounted(mnt)
    os.kill(v.pid, signal.SIGTERM)
    wait_for(lambda: process_is_gone(v.pid), "the daemon to end")
    assert not is_mounted(mnt)


def test_sigterm_unmounts_where_a_symbolic_link_led(make_volume, directory):
    v = make_volume()
    real = v.mount_point
    v.mount_point = directory / "link"
    v.mount_point.symlink_to(real)
    v.write_config()
    v.mount()
    v.mount_point.unlink()
    os.kill(v.pid, signal.SIGTERM)
    wait_for(lambda: process_is_gone(v.pid), "the daemon to end")
    assert not is_mounted(real)


def test_other_signals_do_nothing(make_volume):
    v = make_volume()
    mnt = v.mount()
    deadly = {signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE,
              signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGSYS, signal.SIGTERM,
              signal.SIGINT}
    for number in signal.valid_signals() - deadly:
        os.kill(v.pid, number)
    (mnt / "f").write_text("written")
    assert v.status()["state"] == "online"
    with open(mnt / "busy", "w", encoding="utf-8"):  # the thread that takes SIGTERM still does
        os.kill(v.pid, signal.SIGTERM)
        wait_for(lambda: "cannot unmount" in v.log_text(), "the refusal in the log")
    v.unmount()


@pytest.mark.unsanitized("sanitizers make mlock(2) do nothing")
def test_without_lockable_memory(make_volume):
    """lock_memory = no serves where nothing can be locked; yes says so and stops."""
    v = make_volume(formatted=False)
    nothing = ["setpriv", "--bounding-set=-ipc_lock", "prlimit", "--memlock=0:0"]
    calls = [("tdefsctl", "format"), ("tdefs", "mount"), ("tdefsctl", "verify")]

    def call(program, verb):
        return run(*nothing, BUILD / program, "--config", v.config, verb, "sales",
                   env=v.environment(), check=False)

    assert call(*calls[0]).returncode == 8
    result = call(*calls[1])
    assert result.returncode == 1 and "set lock_memory = no" in result.stderr
    v.write_config(lock_memory="no")
    for program, verb in calls:
        result = call(program, verb)
        assert result.returncode == 0, result.stderr
    v.pid = v.status()["pid"]
    (v.mount_point / "f").write_text("served")
    v.unmount()


def test_the_daemon_keeps_few_capabilities(make_volume):
    v = make_volume()
    v.mount()
    chown, dac, search, fowner, fsetid, setgid, setuid = 0, 1, 2, 3, 4, 6, 7
    ipc_lock, sys_admin, mknod, sys_resource = 14, 21, 27, 24
    kept = sum(1 << n for n in (chown, dac, search, fowner, fsetid, setgid, setuid, ipc_lock,
                                sys_admin, mknod))
    tasks = list(Path(f"/proc/{v.pid}/task").iterdir())
    assert len(tasks) >= 3  # requests, control socket, signals
    for task in tasks:
        caps = {line.split(":")[0]: int(line.split()[1], 16)
                for line in (task / "status").read_text().splitlines() if line.startswith("Cap")}
        assert caps["CapPrm"] == kept and caps["CapInh"] == 0
        assert caps["CapEff"] & ~kept == 0 and not caps["CapPrm"] >> sys_resource & 1


def test_a_limit_of_file_sizes_is_not_the_daemons(make_volume):
    v = make_volume()
    run("prlimit", "--fsize=65536:unlimited", BUILD / "tdefs", "--config", v.config, "mount", "sales",
        env=v.environment())
    v.pid = v.status()["pid"]
    (v.mount_point / "f").write_bytes(b"x" * 1_000_000)
    assert (v.mount_point / "f").stat().st_size == 1_000_000


def test_a_killed_daemon_is_cleaned_up_and_mounted_again(make_volume):
    v = make_volume()
    mnt = v.mount()
    (mnt / "f").write_text("kept")
    os.kill(v.pid, signal.SIGKILL)
    wait_for(lambda: process_is_gone(v.pid), "the daemon to be gone")
    result = v.ctl("status", "sales", check=False)
    assert result.returncode == 5 and "not mounted" in result.stdout
    result = v.tdefs("mount", "sales", check=False)
    assert result.returncode == 1 and "daemon is gone" in result.stderr
    assert "tdefs unmount" in result.stderr
    v.tdefs("unmount", "sales")
    v.mount()
    assert (mnt / "f").read_text() == "kept"


def test_closed_standard_descriptors(make_volume):
    """Whoever starts us without them: no file of ours takes their place."""
    v = make_volume(formatted=False)
    closed = 'exec "$0" "$@" <&- >&- 2>&-'
    for program, *args in ("tdefsctl", "format"), ("tdefs", "mount"):
        run("sh", "-c", closed, BUILD / program, "--config", v.config, *args, "sales",
            env=v.environment())
    v.pid = v.status()["pid"]
    for i in range(3):
        assert os.readlink(f"/proc/{v.pid}/fd/{i}") == "/dev/null"
    (v.mount_point / "f").write_text("kept")
    v.unmount()
    v.logged("online")
    v.logged("unmounted")


def test_usage_errors(make_volume):
    v = make_volume()
    for program in "tdefs", "tdefsctl":
        call = getattr(v, program.replace("tdefsctl", "ctl"))
        for args in [(), ("nonsense",), ("mount",), ("--nonsense",), ("format", "a", "b"),
                     ("header", "show", "sales")]:
            result = call(*args, check=False)
            assert result.returncode == 2, (program, args)
            assert "next: see" in result.stderr
        assert "usage:" in run(BUILD / program, "--help").stdout
        assert program in run(BUILD / program, "--version").stdout


def test_failures_answer_json_too(make_volume):
    v = make_volume()
    for args, code in [(("format", "sales"), 1), (("verify", "nonesuch"), 2), (("status", "x"), 2),
                       (("header", "show", "sales"), 2), (("accept-lost", "sales", "no"), 1),
                       (("nonsense",), 2)]:
        result = v.ctl("--json", *args, check=False)
        assert result.returncode == code, args
        answer = json.loads(result.stdout)
        assert result.stdout.count("\n") == 1 and set(answer) == {
            "schema", "error", "next", "exit_code"}
        assert answer["schema"] == 1 and answer["exit_code"] == code
        assert answer["error"] in result.stderr and answer["next"] in result.stderr


def test_status_of_a_daemon_that_cannot_be_asked(make_volume):
    v = make_volume()
    (v.directory / "run").mkdir()
    path = str(v.directory / "run/sales.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(1)

        def answer_nonsense():
            with s.accept()[0] as peer:
                peer.recv(100)
                peer.send(b"nonsense\n")

        thread = threading.Thread(target=answer_nonsense)
        thread.start()
        result = v.ctl("--json", "status", check=False)
        thread.join()
        assert result.returncode == 1 and "cannot ask its daemon" in result.stderr
        answer = json.loads(result.stdout)["volumes"][0]
        assert answer["state"] == "unknown" and answer["name"] == "sales"
        assert "cannot ask" in answer["error"] and answer["exit_code"] == 1


def test_an_option_of_another_verb(make_volume):
    v = make_volume()
    refused(v, "ctl", "status", "--retire", code=2, says=["--retire is no option of status"],
            next_step="see tdefsctl status --help")


# What is refused.

def test_format_twice(make_volume):
    v = make_volume()
    refused(v, "ctl", "format", "sales", code=1, says=[str(v.backing), "formatted already"],
            next_step="mount it")


def test_format_over_plaintext(make_volume):
    v = make_volume(formatted=False)
    (v.backing / "PG_VERSION").write_text("15")
    refused(v, "ctl", "format", "sales", code=1, says=["not empty", "PG_VERSION"],
            next_step="format an empty directory")


def test_format_missing_path(make_volume):
    v = make_volume(formatted=False)
    v.backing.rmdir()
    refused(v, "ctl", "format", "sales", code=2, says=[str(v.backing), "No such file"],
            next_step="make the directory")


def test_format_unwritable_path(make_volume, make_disk):
    disk = make_disk(size_mb=16)
    disk.mount("ro")
    v = make_volume(formatted=False, backing=disk.mount_point)
    refused(v, "ctl", "format", "sales", code=1, says=["cannot write", "Read-only file system"],
            next_step="writable")
    disk.unmount()


def test_format_full_disk(make_volume, make_disk):
    disk = make_disk(size_mb=16)
    disk.mount()
    with open(disk.mount_point / "fill", "wb") as f:
        try:
            while True:
                f.write(b"x" * 65536)
                f.flush()
        except OSError:
            pass
    os.makedirs(disk.mount_point / "v", mode=0o700)
    for i in range(1 << 20):  # every inode and block that is left
        try:
            (disk.mount_point / f"f{i}").write_bytes(b"x" * 4096)
        except OSError:
            break
    v = make_volume(formatted=False, backing=disk.mount_point / "v")
    refused(v, "ctl", "format", "sales", code=1, says=["cannot write", "No space left"],
            next_step="free space")
    disk.unmount()


def test_mount_unformatted(make_volume):
    v = make_volume(formatted=False)
    refused(v, "tdefs", "mount", "sales", code=1, says=["not formatted"],
            next_step="tdefsctl format sales")


def test_mount_point_in_use(make_volume):
    v = make_volume()
    run("mount", "-t", "tmpfs", "none", v.mount_point)
    try:
        refused(v, "tdefs", "mount", "sales", code=1,
                says=[str(v.mount_point), "something is mounted"], next_step="unmount that")
    finally:
        run("umount", v.mount_point)


def test_mount_over_plaintext(make_volume):
    v = make_volume()
    (v.mount_point / "ibdata1").write_text("plain")
    refused(v, "tdefs", "mount", "sales", code=1, says=[str(v.mount_point), "not empty"],
            next_step="move away")


def test_mount_point_missing(make_volume):
    v = make_volume()
    v.mount_point.rmdir()
    refused(v, "tdefs", "mount", "sales", code=1, says=[str(v.mount_point), "No such file"],
            next_step="mkdir")


def test_second_mount_of_the_same_volume(make_volume, directory):
    v = make_volume()
    v.mount()
    (directory / "second").mkdir()
    v.config.write_text(v.config.read_text().replace(
        f"mount = {v.mount_point}", f"mount = {directory}/second"))
    before = snapshot(v.backing)
    result = v.tdefs("mount", "sales", check=False)
    assert result.returncode == 1 and "it is mounted" in result.stderr
    assert "tdefs unmount" in result.stderr
    assert snapshot(v.backing) == before
    assert not is_mounted(directory / "second")


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x20]))


def test_first_header_copy_damaged_is_repaired(make_volume):
    v = make_volume()
    header = v.backing / ".tdefs/header"
    good = header.read_bytes()
    flip(header, 4200)
    assert "header damaged" in v.ctl("header", "dump", "sales").stdout
    assert header.read_bytes() != good  # looking changes nothing
    v.mount()
    assert header.read_bytes() == good
    v.logged("event=header_copy_bad")


def test_both_header_copies_damaged(make_volume):
    v = make_volume()
    for name in "header", "header.bak":
        flip(v.backing / ".tdefs" / name, 100)
    refused(v, "tdefs", "mount", "sales", code=1, says=["no good copy of its header"],
            next_step="restore .tdefs/header")
    refused(v, "ctl", "header", "dump", "sales", code=1, says=["no good copy"],
            next_step="restore")


def test_wrong_protector(make_volume):
    v = make_volume()
    Volume.make_key(v.key)
    refused(v, "tdefs", "mount", "sales", code=1, says=["wrong protector", str(v.key)],
            next_step="thumbprint")


def test_protector_of_another_name(make_volume):
    v = make_volume()
    v.config.write_text(v.config.read_text().replace("protector.pem", "other.pem"))
    refused(v, "tdefs", "mount", "sales", code=1, says=["wrapped by", "other.pem"],
            next_step=f"protector = file:{v.key}")


def test_protector_missing(make_volume):
    v = make_volume()
    v.key.rename(v.directory / "elsewhere")
    v.mount_inaccessible("denied", str(v.key), "No such file", "put the file back")


def test_protector_readable_by_others(make_volume):
    v = make_volume()
    v.key.chmod(0o644)
    refused(v, "tdefs", "mount", "sales", code=2, says=[str(v.key), "others have access"],
            next_step="chmod 0600")
    v2 = make_volume("second", formatted=False)
    v2.key.chmod(0o640)
    refused(v2, "ctl", "format", "second", code=2, says=[str(v2.key), "group"],
            next_step="chmod 0600")


@pytest.mark.parametrize("bits", [1024, 1536])
def test_small_rsa_key(make_volume, bits):
    v = make_volume(formatted=False)
    Volume.make_key(v.key, bits)
    refused(v, "ctl", "format", "sales", code=2, says=[f"RSA of {bits} bits"],
            next_step="2048, 3072 or 4096")


@pytest.mark.parametrize("bits", [3072, 4096])
def test_larger_rsa_keys(make_volume, bits):
    v = make_volume(formatted=False)
    Volume.make_key(v.key, bits)
    v.format()
    v.mount()


def test_pin_mismatch_and_acceptance(make_volume):
    v = make_volume()
    pin = v.state / "sales.pin"
    kept = pin.read_text()
    pin.unlink()
    for path in (v.backing / ".tdefs").iterdir():
        path.unlink()
    (v.backing / ".tdefs").rmdir()
    v.format()  # somebody put another volume there
    pin.write_text(kept)
    refused(v, "tdefs", "mount", "sales", code=1, says=["does not match the pin"],
            next_step="--accept-header")
    pin.unlink()
    refused(v, "tdefs", "mount", "sales", code=1, says=["no pin"], next_step="--accept-header")
    v.mount("--accept-header")
    v.unmount()
    v.mount()


def test_unmount_of_what_is_not_mounted(make_volume):
    v = make_volume()
    refused(v, "tdefs", "unmount", "sales", code=5, says=["not mounted"], next_step="status")


def test_unmount_while_in_use(make_volume):
    v = make_volume()
    mnt = v.mount()
    with open(mnt / "f", "wb"):
        result = v.tdefs("unmount", "sales", check=False)
        assert result.returncode == 1 and "busy" in result.stderr and "fuser" in result.stderr
        assert is_mounted(mnt)
    v.unmount()


def test_unmount_does_not_touch_what_is_mounted_above(make_volume):
    v = make_volume()
    mnt = v.mount()
    run("mount", "-t", "tmpfs", "above", mnt)
    try:
        result = v.tdefs("unmount", "sales", check=False)
        assert result.returncode == 1 and "mounted on top of it" in result.stderr
        os.kill(v.pid, signal.SIGTERM)
        wait_for(lambda: "mounted on top of it" in v.log_text(), "the refusal in the log")
        assert (mnt / "..").exists() and run("findmnt", "-n", "-o", "SOURCE", mnt).stdout.split(
            )[-1] == "above"
    finally:
        run("umount", mnt)
    assert v.status()["state"] == "online"
    v.unmount()


def test_unmount_waits_for_the_daemon_of_a_moved_backing(make_volume):
    v = make_volume()
    mnt = v.mount()
    moved = v.backing.with_name("moved")
    v.backing.rename(moved)
    os.kill(v.pid, signal.SIGSTOP)  # it cannot even say where its mount is
    unmount = subprocess.Popen([BUILD / "tdefs", "--config", v.config, "unmount", "sales"],
                               env={**os.environ, **v.environment()})
    try:
        wait_for(lambda: not is_mounted(mnt), "the unmount")
        with pytest.raises(subprocess.TimeoutExpired):
            unmount.wait(1)
    finally:
        os.kill(v.pid, signal.SIGCONT)
    assert unmount.wait(60) == 0
    assert process_is_gone(v.pid)
    v.pid = None
    moved.rename(v.backing)


def test_unmount_tells_of_data_that_was_lost(make_volume, make_disk):
    disk = make_disk(size_mb=64)
    disk.mount()
    v = make_volume(backing=disk.mount_point)
    mnt = v.mount()
    with open(mnt / "f", "wb") as f:
        f.write(b"x" * 100_000)
    disk.shutdown()
    result = v.tdefs("unmount", "sales", check=False)
    assert result.returncode == 1 and not is_mounted(mnt)
    assert "unmounted, but some data could not be written: Input/output error" in result.stderr
    assert "do not trust" in result.stderr
    lost = v.directory / "run/sales.lost"
    assert not lost.exists()  # it was told
    disk.unmount()
    disk.mount()
    lost.write_text("of another time\n")
    v.mount()
    assert not lost.exists()
    v.unmount()
    disk.unmount()


def test_backing_on_an_unsupported_file_system(make_volume, directory):
    where = directory / "tmpfs"
    where.mkdir()
    run("mount", "-t", "tmpfs", "none", where)
    try:
        v = make_volume(formatted=False, backing=where)
        refused(v, "ctl", "format", "sales", code=2, says=["unsupported file system"],
                next_step="unsupported_backing = yes")
        v.write_config(unsupported_backing="yes")
        v.format()
        mnt = v.mount()
        (mnt / "f").write_text("on tmpfs")
        v.remount()
        assert (mnt / "f").read_text() == "on tmpfs"
        v.unmount()
    finally:
        run("umount", where)


def test_backing_that_folds_case(make_volume, make_disk):
    disk = make_disk(size_mb=32, options=["-O", "casefold", "-E", "encoding=utf8"])
    mounted = subprocess.run(["mount", "-o", "loop", disk.image, disk.mount_point],
                             capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("this kernel has no case folding (CONFIG_UNICODE)")
    folding = disk.mount_point / "folding"
    folding.mkdir(mode=0o700)
    run("chattr", "+F", folding)
    v = make_volume(formatted=False, backing=folding)
    refused(v, "ctl", "format", "sales", code=2, says=["folds upper and lower case"],
            next_step="tells upper from lower")
    disk.unmount()


def test_lost_and_found_is_no_data_and_hidden(make_volume, make_disk):
    disk = make_disk(size_mb=32)
    disk.mount()
    assert (disk.mount_point / "lost+found").is_dir()
    v = make_volume(backing=disk.mount_point)
    mnt = v.mount()
    assert list(mnt.iterdir()) == []
    assert not (mnt / "lost+found").exists()
    with pytest.raises(PermissionError):
        (mnt / "lost+found").mkdir()
    v.unmount()
    disk.unmount()


def test_config_errors_name_file_and_line(make_volume):
    v = make_volume()
    v.config.write_text("[server]\nprotektor = file:/x\n")
    for program in "tdefs", "ctl":
        result = getattr(v, program)("mount" if program == "tdefs" else "format", "sales",
                                     check=False)
        assert result.returncode == 2
        assert f"{v.config}:2: protektor: unknown key" in result.stderr


def test_not_root(make_volume):
    v = make_volume()
    v.config.chmod(0o644)
    result = run("setpriv", "--reuid=65534", "--clear-groups", BUILD / "tdefs", "--config", v.config,
                 "mount", "sales", check=False)
    assert result.returncode == 1 and "root" in result.stderr
    v.directory.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--clear-groups", BUILD / "tdefsctl", "--config", v.config]
    refused = run(*nobody, "verify", "sales", check=False)
    assert refused.returncode == 2 and f"{v.backing}: cannot open: Permission denied\n  next: be root" in refused.stderr
    v.config.chmod(0o600)
    refused = run(*nobody, "status", check=False)
    assert refused.returncode == 2 and "root and the group tdefs can read it" in refused.stderr


def test_a_word_that_is_no_verb(make_volume):
    v = make_volume()
    for words, what, step in [(["staus"], "staus: no such verb", "see tdefsctl --help"),
                              (["mount", "sales"], "mount: no such verb", "see tdefs --help: tdefs mount NAME"), ([], "a verb is expected", "see ")]:
        refused = v.ctl(*words, check=False)
        assert refused.returncode == 2 and f"{what}\n  next: {step}" in refused.stderr


# verify and accept-lost.

def fill(mnt):
    (mnt / "sub").mkdir()
    for name, size in [("empty", 0), ("small", 100), ("sub/large", 300_000)]:
        (mnt / name).write_bytes(os.urandom(size))
    with open(mnt / "sparse", "wb") as f:
        f.truncate(1 << 30)


def test_verify_finds_nothing_wrong(make_volume):
    v = make_volume()
    fill(v.mount())
    assert v.ctl("verify", "sales").stdout.strip().endswith("4 files checked, 0 bad")
    v.unmount()
    for target in "sales", f"{v.backing}/":
        answer = v.ctl_json("verify", target)
        assert answer["files"] == 4 and answer["bad"] == [] and answer["key_used"]
    v.key.unlink()
    assert v.ctl("verify", "sales", check=False).returncode == 2
    answer = v.ctl_json("--without-key", "verify", "sales")
    assert answer["files"] == 4 and not answer["key_used"]


def test_verify_tells_how_far_it_is_on_a_terminal(make_volume):
    v = make_volume()
    fill(v.mount())
    v.unmount()
    (v.backing / "cut").write_bytes(bytes(4096 + 9))
    shown = run("script", "-qec", f"{BUILD}/tdefsctl --config {v.config} verify {v.name}", "/dev/null", check=False,
                env=v.environment()).stdout
    assert "verifying 100% (5 of 5 names), " in shown and " names/s, 0:00:00 left, 1 bad" in shown
    assert not v.ctl("verify", v.name, check=False).stderr  # elsewhere nothing of it


def test_verify_lists_what_is_wrong(make_volume, directory):
    v = make_volume()
    fill(v.mount())
    v.unmount()
    other = make_volume("other")
    (other.mount() / "stray").write_text("of another volume")
    other.unmount()
    (v.backing / "stray").write_bytes((other.backing / "stray").read_bytes())
    for at in 100, 2148:
        flip(v.backing / "small", at)
    os.truncate(v.backing / "sub/large", 4096 + 9)
    flip(v.backing / ".tdefs/header.bak", 3)
    (v.backing / "plain").write_text("put there by hand\n")
    result = v.ctl("verify", "sales", check=False)
    assert result.returncode == 1
    bad = {b["path"]: b["verdict"] for b in v.ctl_json("verify", "sales")["bad"]}
    assert set(bad) == {".tdefs/header.bak", "plain", "small", "stray", "sub/large"}
    assert "not a volume's file" in bad["plain"]
    assert "another volume" in bad["stray"] and "length" in bad["sub/large"]
    for path in bad:
        assert f"BAD {path}: " in result.stdout


def test_verify_of_a_mounted_volume_under_load(make_volume):
    v = make_volume()
    mnt = v.mount()
    stop = threading.Event()

    def churn(me):
        i = 0
        while not stop.is_set():
            path = mnt / f"f{me}.{i % 50}"
            path.write_bytes(os.urandom(1 + i * 37 % 9000))
            if i % 3 == 0:
                os.truncate(path, i % 5000)
            i += 1

    threads = [threading.Thread(target=churn, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    try:
        for _ in range(15):
            result = v.ctl("verify", "sales", check=False)
            assert result.returncode == 0, result.stdout
    finally:
        stop.set()
        for t in threads:
            t.join()


def test_verify_of_a_symbolic_link(make_volume, directory):
    v = make_volume()
    fill(v.mount())
    v.unmount()
    (directory / "link").symlink_to(v.backing)
    for target in f"{directory}/link", f"{directory}/link/":
        assert v.ctl_json("verify", target)["files"] == 4
    flip(v.backing / "small", 100)
    flip(v.backing / "small", 2148)
    assert v.ctl("verify", f"{directory}/link", check=False).returncode == 1


def test_verify_shows_names_that_are_not_text(make_volume):
    v = make_volume()
    mnt = os.fsencode(v.mount())
    names = [b"\xff\xfe", b"\x1b[2J", b"back\\slash", "gr\u00fcn".encode(), b"good\xff"]
    for name in names:
        with open(os.path.join(mnt, name), "wb") as f:
            f.write(b"x" * 100)
    v.unmount()
    for name in names[:-1]:
        os.truncate(os.path.join(os.fsencode(v.backing), name), 4096 + 9)
    answer = v.ctl_json("verify", "sales")
    shown = {"\\xff\\xfe", "\\x1b[2J", "back\\x5cslash", "gr\u00fcn"}
    assert {b["path"] for b in answer["bad"]} == shown and answer["files"] == 5
    result = v.ctl("verify", "sales", check=False)
    assert result.returncode == 1 and "\x1b" not in result.stdout
    for name in shown:
        assert f"BAD {name}: " in result.stdout
    result = v.ctl("accept-lost", "sales", "no\x1bsuch", "--yes", check=False)
    assert "no\\x1bsuch" in result.stderr


def test_verify_goes_as_deep_as_the_tree(make_volume):
    v = make_volume()
    here = os.open(v.mount(), os.O_RDONLY)
    for _ in range(25):  # 25 names of 200 bytes are beyond PATH_MAX
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    fd = os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here)
    os.write(fd, b"deep")
    os.close(fd)
    os.close(here)
    v.unmount()
    answer = v.ctl_json("verify", "sales")
    assert answer["files"] == 1 and answer["bad"] == []


def test_verify_tells_of_what_it_did_not_enter(make_volume):
    v = make_volume()
    fill(v.mount())
    v.unmount()
    run("mount", "-t", "tmpfs", "none", v.backing / "sub")
    try:
        bad = v.ctl_json("verify", "sales")["bad"]
    finally:
        run("umount", v.backing / "sub")
    assert [b["path"] for b in bad] == ["sub"] and "another file system" in bad[0]["verdict"]


def test_verify_of_no_volume(make_volume, directory):
    v = make_volume()
    (directory / "plain").mkdir()
    result = v.ctl("verify", f"{directory}/plain", check=False)
    assert result.returncode == 1 and "not a volume" in result.stderr
    assert v.ctl("verify", "nonesuch", check=False).returncode == 2


def test_accept_lost(make_volume):
    v = make_volume()
    fill(v.mount())
    v.unmount()
    with open(v.backing / "sub/large", "r+b") as f:
        f.write(bytes(4096))  # the header never reached the disk
        kept = f.read()
    mnt = v.mount()
    with pytest.raises(OSError, match="Bad message"):
        (mnt / "sub/large").read_bytes()
    v.logged("event=file_header_missing")
    result = v.ctl("accept-lost", "sales", "sub/large", "--yes", check=False)
    assert result.returncode == 1 and "it is mounted" in result.stderr
    v.unmount()
    result = v.ctl("accept-lost", "sales", "sub/large", check=False)
    assert result.returncode == 1 and "not confirmed" in result.stderr
    result = v.ctl("accept-lost", "sales", "small", "--yes", check=False)
    assert result.returncode == 1 and "not missing" in result.stderr
    result = v.ctl("accept-lost", "sales", "../../etc/passwd", "--yes", check=False)
    assert result.returncode == 1
    assert v.ctl_json("accept-lost", "sales", "sub/large", "--dry-run")["dry_run"]
    assert "would read as zeros" in v.ctl("accept-lost", "sales", "sub/large", "--dry-run").stdout
    result = v.ctl("accept-lost", "sales", "small", "--dry-run", check=False)
    assert result.returncode == 1 and "not missing" in result.stderr
    assert (v.backing / "sub/large").read_bytes()[4096:] == kept
    assert "accepted" not in v.ctl("events", "sales").stdout
    assert v.ctl_json("accept-lost", "sales", "/sub/large", "--yes") == {
        "schema": 1, "zeros": "sub/large", "dry_run": False}
    mnt = v.mount()
    assert (mnt / "sub/large").read_bytes() == bytes(300_000)
