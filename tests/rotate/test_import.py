# SPDX-License-Identifier: Apache-2.0
"""Plain files into a volume and out again: all of what they are, nothing half, and what is refused."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess

import pytest
from conftest import BUILD, SANITIZED, run, wait_for
from engines import MariaDB, PostgreSQL, WiredTiger

WORK = ".tdefs-transfer"
MB = 1 << 20
LARGE = (8 if SANITIZED else 64) * MB  # long enough to be interrupted in


def snapshot(root, skip=(WORK,), contents=True):
    """What a tree is: by each path everything that must be kept."""
    found, first = {}, {}
    for where, directories, files in os.walk(root):
        for name in [".", *directories, *files] if where == str(root) else [*directories, *files]:
            path = os.path.join(where, name)
            relative = os.path.relpath(path, root)
            if relative.split("/")[0] in skip:
                continue
            st = os.lstat(path)
            what = {"mode": st.st_mode, "owner": (st.st_uid, st.st_gid), "mtime": st.st_mtime_ns}
            if stat.S_ISREG(st.st_mode):
                what["size"] = st.st_size
                what["same_as"] = first.setdefault(st.st_ino, relative)
                if contents:
                    with open(path, "rb") as f:
                        what["sum"] = hashlib.file_digest(f, "sha256").digest()
            if stat.S_ISLNK(st.st_mode):
                what["target"] = os.readlink(path)
            found[relative] = what
    return found


def untouched(root):
    """What a reader must leave of a tree, too: access and change times."""
    return {p: (st.st_atime_ns, st.st_ctime_ns) for p in snapshot(root, contents=False)
            for st in [os.lstat(os.path.join(root, p))]}


def age(path):
    """Set times of long ago, of which a fraction of a second is to be kept."""
    os.utime(path, ns=(1_000_000_000_123_456_789, 1_100_000_000_987_654_321), follow_symlinks=False)


def make_kinds(root):
    root.mkdir()
    (root / "empty").mkdir()
    (root / "deep").mkdir()
    inner = root / "deep"
    for n in range(20):
        inner = inner / f"d{n}"
        inner.mkdir()
    (inner / "leaf").write_bytes(b"leaf")
    for size in (0, 1, 15, 16, 17, 4096, 4097, 3 * MB + 5):
        (root / f"size{size}").write_bytes(os.urandom(size))
    with open(root / "sparse", "wb") as f:
        f.truncate(64 * MB + 3)
        os.pwrite(f.fileno(), b"in the middle", 33 * MB)
    with open(root / "hole", "wb") as f:
        f.truncate(5 * MB)
    (root / "a name with\nnewline and \xff").write_text("odd")
    (root / os.fsdecode(b"not utf8 \xff\xfe")).write_text("odd")
    (root / "deep" / "first").write_bytes(b"of three names")
    os.link(root / "deep" / "first", root / "second")
    os.link(root / "deep" / "first", root / "empty" / "third")
    (root / "link").symlink_to("deep/first")
    (root / "dangling").symlink_to("nowhere")
    (root / "deep" / "outside").symlink_to("/etc/hostname")
    (root / "deep" / "up").symlink_to("../../elsewhere")
    os.mkfifo(root / "fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(root / "socket"))
    (root / "setuid").write_bytes(b"x")
    (root / "nobody may").write_bytes(b"x")
    for n, (where, directories, files) in enumerate(os.walk(root, topdown=False)):
        for name in files:
            os.lchown(os.path.join(where, name), 1000 + n, 2000)
        for name in [*files, *directories]:
            age(os.path.join(where, name))
    os.chmod(root / "setuid", 0o6755)
    os.chmod(root / "nobody may", 0)
    os.chmod(root / "empty", 0o1770)
    os.chmod(root / "deep" / "d0", 0o500)
    os.chown(root, 1000, 2000)
    os.chmod(root, 0o750)
    age(root)


def move(v, *args, code=0, **how):
    """import or export; its answer."""
    result = v.ctl("--json", *args, check=False, **how)
    assert result.returncode == code, result.stdout + result.stderr
    answer = json.loads(result.stdout)
    if code:
        assert answer["exit_code"] == code and answer["next"], answer
    return answer


def refused(v, code, *texts, verb="import", args):
    before = snapshot(v.mount_point) if os.path.ismount(v.mount_point) else None
    answer = move(v, verb, *args, code=code)
    for text in texts:
        assert text in answer["error"] + answer["next"], answer
    if before is not None:
        assert snapshot(v.mount_point) == before and WORK not in os.listdir(v.mount_point)


def events(v):
    log = v.directory / "events" / f"{v.name}.jsonl"
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def source(directory):
    return directory / "source"


def test_everything_is_kept_both_ways(volume, directory, source):
    v = volume
    make_kinds(source)
    before = snapshot(source)
    times = untouched(source)  # the look itself read contents
    age(source)  # and the root's names: the next reader would change its access time
    times["."] = (os.lstat(source).st_atime_ns, os.lstat(source).st_ctime_ns)
    answer = move(v, "import", source, v.name)
    root = os.lstat(source)
    assert (root.st_atime_ns, root.st_ctime_ns) == times["."]
    assert untouched(source) | {".": times["."]} == times and snapshot(source) == before
    assert snapshot(v.mount_point) == before
    assert os.lstat(v.mount_point / "sparse").st_blocks < 2 * MB // 512
    assert WORK not in os.listdir(v.backing)
    assert answer["verified"] and not answer["resumed"] and answer["direction"] == "import"
    kinds = [answer[k] for k in ("directories", "symlinks", "others", "hard_links", "links_outside")]
    assert kinds == [22, 4, 2, 2, 2]
    assert answer["files"] == sum("size" in w for w in before.values()) - 2
    v.remount()  # and from the disk alone
    assert snapshot(v.mount_point) == before
    copy = directory / "copy"
    answer = move(v, "export", v.name, copy, "--yes")
    assert snapshot(copy) == before and answer["direction"] == "export"
    assert os.lstat(copy / "sparse").st_blocks < 2 * MB // 512
    assert snapshot(v.mount_point) == before
    # Once more is no error, and finds it finished.
    assert move(v, "import", source, v.name)["resumed"]
    assert "plaintext" in v.ctl("export", v.name, copy, "--yes").stdout
    assert snapshot(copy) == before == snapshot(v.mount_point)
    names = [e["event"] for e in events(v)]
    assert names.count("imported") == names.count("exported") == 2 and "import_failed" not in names
    done = next(e for e in events(v) if e["event"] == "imported")
    assert done["source"] == str(source) and done["files"] == answer["files"]


def test_what_is_refused_leaves_the_target_as_it_was(make_volume, directory, source):
    v = make_volume()
    source.mkdir()
    (source / "f").write_bytes(b"data")
    refused(v, 5, "not mounted", args=(source, v.name))
    v.mount()
    refused(v, 1, "No such file", args=(directory / "missing", v.name))
    refused(v, 2, "no volume nobody", args=(source, "nobody"))
    (v.mount_point / "inside").mkdir()
    for bad in (v.mount_point, v.mount_point / "inside", v.directory, v.backing, v.backing / "inside"):
        refused(v, 1, "lie one in the other", args=(bad, v.name))
    (v.mount_point / "inside").rmdir()
    other = make_volume("other")
    refused(v, 1, "encrypted backing", args=(other.backing, v.name))
    (other.backing / "d").mkdir()
    refused(v, 2, "another volume", args=(other.backing / "d", v.name))
    # What a volume does not have.
    os.mknod(source / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    refused(v, 1, "device: is a device node", args=(source, v.name))
    (source / "device").unlink()
    (source / WORK).mkdir()
    refused(v, 1, "unfinished copy", args=(source, v.name))
    (source / WORK).rmdir()
    inner = source / "mounted"
    inner.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", inner)
    try:
        refused(v, 1, "mounted: another file system", args=(source, v.name))
    finally:
        run("umount", inner)
    # A state in which nothing can be written.
    v.ctl("lock", v.name)
    refused_locked = move(v, "import", source, v.name, code=4)
    assert "it is inaccessible" in refused_locked["error"]
    v.ctl("resume", v.name)
    wait_for(lambda: v.status()["state"] == "online", "the volume to be online")
    # Somebody else's files.
    (v.mount_point / "g").write_bytes(b"mine")
    refused(v, 1, "not empty", args=(source, v.name))
    (v.mount_point / "g").unlink()
    with open_directory(v.mount_point) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        refused(v, 8, "another import or export", args=(source, v.name))
    assert move(v, "import", source, v.name)["files"] == 1
    assert "not confirmed" in move(v, "export", v.name, directory / "copy", code=1)["error"]
    assert not (directory / "copy").exists()
    v.unmount()
    assert "not mounted" in move(v, "export", v.name, directory / "copy", "--yes", code=5)["error"]
    assert not (directory / "copy").exists()


@contextlib.contextmanager
def open_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def test_extended_attributes(make_volume, source):
    v = make_volume()
    v.mount()
    source.mkdir()
    for name in ("f", "g"):
        (source / name).write_bytes(b"data")
    os.setxattr(source / "f", "trusted.ours", b"x")
    os.setxattr(source / "f", "user.note", b"x")
    refused(v, 1, "source/f: has the extended attribute user.note", "--without-xattrs", args=(source, v.name))
    os.removexattr(source / "f", "user.note")
    run("setfacl", "-m", "u:1000:r", source / "g")
    refused(v, 1, "source/g: has an access control list", args=(source, v.name))
    answer = move(v, "import", source, v.name, "--without-xattrs")
    assert answer["xattrs_left"] == 2


def test_a_source_in_use(make_volume, directory, source):
    v = make_volume()
    v.mount()
    source.mkdir()
    for name in ("ibdata1", "mongod.lock", "postmaster.pid"):
        (source / name).write_bytes(b"1\n")
    refused(v, 8, "postmaster.pid: PostgreSQL runs here: process 1", args=(source, v.name))
    dead = subprocess.Popen(["true"])
    dead.wait()
    (source / "postmaster.pid").write_text(f"{dead.pid}\n/somewhere\n")
    with open(source / "ibdata1", "rb+") as f:
        refused(v, 8, "ibdata1: a process has it open for writing", args=(source, v.name))
        fcntl.lockf(f, fcntl.LOCK_EX)
        refused(v, 8, f"ibdata1: it is locked, by process {os.getpid()}", args=(source, v.name))
    with open(source / "mongod.lock", "rb"):  # a reader is none
        move(v, "import", source, v.name)
    with open(v.mount_point / "mongod.lock", "rb+"):
        answer = move(v, "export", v.name, directory / "copy", "--yes", code=8)
        assert "mongod.lock: a process has it open for writing" in answer["error"]


def test_the_policy_is_asked(make_volume, directory, source):
    v = make_volume()
    v.mount()
    source.mkdir()
    (source / "f").write_bytes(b"data")
    settings = v.config.read_text()
    v.config.write_text(settings + "[policy]\ncustomer_managed_key = deny\n")
    refused(v, 7, "customer_managed_key", args=(source, v.name))
    # What leaves the volume comes under nobody's protection, and is not asked about.
    move(v, "export", v.name, directory / "copy", "--yes")
    v.config.write_text(settings)
    move(v, "import", source, v.name)
    names = [(e["event"], e.get("policy")) for e in events(v)]
    assert ("policy_refused", "customer_managed_key") in names and ("import_failed", None) not in names
    assert ("policy_noted", "customer_managed_key") in names


def test_too_little_space(make_volume, make_disk, source):
    disk = make_disk(size_mb=64)
    disk.mount()
    (disk.mount_point / "backing").mkdir(mode=0o700)
    v = make_volume(backing=disk.mount_point / "backing")
    v.mount()
    source.mkdir()
    with open(source / "big", "wb") as f:
        os.posix_fallocate(f.fileno(), 0, 80 * MB)
    refused(v, 1, "too little space", args=(source, v.name))
    v.unmount()


def some_files(source, count=40, big=LARGE // 2):
    source.mkdir()
    for n in range(count):
        place = source / f"d{n % 5}"
        place.mkdir(exist_ok=True)
        (place / f"f{n}").write_bytes(os.urandom(1 + n * 999))
    os.link(source / "d0" / "f0", source / "again")
    (source / "zz big").write_bytes(os.urandom(big))


def start_import(v, source):
    return v.start_ctl("import", source, v.name)


def named(v):
    """The files that have their names already."""
    return sum(len(files) for where, _, files in os.walk(v.mount_point) if WORK not in where)


def assert_no_half_file(v, source):
    """What has a name is complete, and nobody but root can see that it is not all."""
    have, want = snapshot(v.mount_point), snapshot(source)
    if WORK in os.listdir(v.mount_point):
        st = os.stat(v.mount_point)
        assert (st.st_uid, stat.S_IMODE(st.st_mode)) == (0, 0o700)
    for path, what in have.items():
        if "sum" in what:
            assert (what["sum"], what["mtime"], what["owner"], what["mode"]) == tuple(
                want[path][k] for k in ("sum", "mtime", "owner", "mode")), path


def test_killed_again_and_again_it_goes_on(make_volume, source):
    v = make_volume(cache="writeback")  # in which most is not yet written
    v.mount()
    some_files(source)
    want = snapshot(source)
    for names in (0, 1, 7, 20, 35, 41, 42):
        ctl = start_import(v, source)
        wait_for(lambda ctl=ctl, names=names: named(v) >= names or ctl.poll() is not None, "some names")
        ctl.send_signal(signal.SIGKILL)
        ctl.communicate()
        assert_no_half_file(v, source)
        if names == 7:  # a revocation: no file that is there is lost, and it goes on afterwards
            ctl = start_import(v, source)
            wait_for(lambda ctl=ctl: named(v) >= 12 or ctl.poll() is not None, "some names")
            v.ctl("lock", v.name)
            assert (ctl.communicate(), ctl.returncode)[1] == 4
            v.ctl("resume", v.name)
            wait_for(lambda: v.status()["state"] == "online", "the volume to be online")
            assert_no_half_file(v, source)
        if names == 20:  # the daemon's end is no different
            ctl = start_import(v, source)
            wait_for(lambda ctl=ctl: named(v) >= 25 or ctl.poll() is not None, "some names")
            v.kill_daemon()
            ctl.communicate()
            v.unmount_dead()
            v.mount()
            assert_no_half_file(v, source)
    assert move(v, "import", source, v.name)["resumed"]
    assert snapshot(v.mount_point) == want == snapshot(source)


def test_a_power_cut_loses_nothing_that_has_a_name(make_volume, make_disk, directory, source):
    some_files(source)
    want = snapshot(source)
    disk = make_disk(size_mb=256)
    disk.mount()
    (disk.mount_point / "backing").mkdir(mode=0o700)
    v = make_volume(backing=disk.mount_point / "backing")
    v.mount()
    for names in (3, 30):
        ctl = start_import(v, source)
        wait_for(lambda ctl=ctl, names=names: named(v) >= names or ctl.poll() is not None, "some names")
        disk.shutdown()
        ctl.communicate()
        assert ctl.returncode != 0
        v.kill_daemon()
        v.unmount_dead()
        disk.unmount()
        disk.mount()
        v.mount()
        assert_no_half_file(v, source)
    move(v, "import", source, v.name)
    assert snapshot(v.mount_point) == want
    v.unmount()
    disk.unmount()


def interrupted(v, source):
    """An import that was killed before its last file."""
    ctl = start_import(v, source)
    wait_for(lambda: named(v) >= 20 or ctl.poll() is not None, "some names")
    ctl.send_signal(signal.SIGKILL)
    ctl.communicate()
    assert WORK in os.listdir(v.mount_point)


def test_between_two_calls_the_source_may_change_but_not_be_another(make_volume, directory, source):
    v = make_volume()
    v.mount()
    some_files(source, big=LARGE)
    interrupted(v, source)
    another = directory / "another"
    another.mkdir()
    assert "another source" in move(v, "import", another, v.name, code=1)["error"]
    (source / "d0" / "f0").write_bytes(b"new contents")
    (v.mount_point / "d0" / "foreign").write_bytes(b"?")
    assert '"foreign"' in move(v, "import", source, v.name, code=1)["error"]
    (v.mount_point / "d0" / "foreign").unlink()
    assert move(v, "import", source, v.name)["resumed"]
    assert snapshot(v.mount_point) == snapshot(source)


def test_it_is_verified_through_the_disk(make_volume, make_disk, source):
    """A block goes bad beneath the caches: it is found, and that file is copied again."""
    some_files(source, big=LARGE * 3 // 4)
    disk = make_disk(size_mb=160)
    disk.mount()
    (disk.mount_point / "backing").mkdir(mode=0o700)
    v = make_volume(backing=disk.mount_point / "backing")
    v.mount()
    interrupted(v, source)
    # Both caches hold the right bytes.
    victim = sorted(p for p in v.mount_point.glob("d1/f*") if p.stat().st_size > 8192)[0]
    victim.read_bytes()
    path = victim.relative_to(v.mount_point)
    block = (v.backing / path).read_bytes()[4096:8192]
    with open(disk.image, "r+b") as image:
        at = image.read().index(block)
        image.seek(at + 1000)
        image.write(bytes([block[1000] ^ 1]))
    answer = move(v, "import", source, v.name, code=1)
    assert f"{path}: differs from the source in its bytes from 9" in answer["error"], answer
    assert "this copy was removed" in answer["error"]
    assert move(v, "import", source, v.name)["resumed"]
    assert snapshot(v.mount_point) == snapshot(source)
    v.unmount()
    disk.unmount()


def test_on_a_terminal_it_shows_how_far_it_is(make_volume, source):
    v = make_volume()
    v.mount()
    some_files(source, count=5, big=LARGE)
    shown = run("script", "-qec", f"{BUILD}/tdefsctl --config {v.config} import {source} {v.name}", "/dev/null").stdout
    assert "copying" in shown and "verifying" in shown and "MiB/s" in shown and "left" in shown
    shutil.rmtree(source)


GB = 1 << 30


def size_of(tree):
    return sum(what.get("size", 0) for what in snapshot(tree, contents=False).values())


def moved_in_interrupted(v, source, names):
    """As an operator does who is interrupted twice: early, and in the large files."""
    assert size_of(source) >= GB
    for least in names:
        ctl = start_import(v, source)
        wait_for(lambda ctl=ctl, least=least: named(v) >= least or ctl.poll() is not None, "some names")
        ctl.send_signal(signal.SIGKILL)
        ctl.communicate()
        assert ctl.returncode == -signal.SIGKILL, "it was over too early to be interrupted"
    # It compares contents itself, as the small tests prove; the engine and the export read them again.
    assert move(v, "import", source, v.name)["resumed"]
    assert snapshot(v.mount_point, contents=False) == snapshot(source, contents=False)


def moved_out(v, copy):
    move(v, "export", v.name, copy, "--yes")
    assert snapshot(copy) == snapshot(v.mount_point)


@pytest.mark.unsanitized("the engine and the disk are what it takes its time for")
def test_a_postgresql_directory_of_a_gigabyte(make_volume, directory, source):
    source.mkdir()
    plain = PostgreSQL(source / "data", directory / "work").create()
    plain.query("CREATE UNLOGGED TABLE big AS SELECT i, repeat(md5(i::text), 60) AS filler "
                "FROM generate_series(1, 560000) i", "CREATE INDEX ON big (i)")
    v = make_volume()
    v.mount()
    try:
        assert "PostgreSQL runs here" in move(v, "import", plain.data, v.name, code=8)["error"]
        plain.stop(signal.SIGINT, plain.log)
    finally:
        plain.kill()
    moved_in_interrupted(v, plain.data, (100, 400))
    engine = PostgreSQL(v.mount_point, plain.work)
    try:
        engine.start()
        assert engine.query("SELECT max(i) FROM big") == [(560000,)]  # check() reads all
        engine.query("INSERT INTO acked VALUES (1)")
        refused_export = move(v, "export", v.name, directory / "copy", "--yes", code=8)
        assert "PostgreSQL runs here" in refused_export["error"]
        engine.check()
    finally:
        engine.kill()
    moved_out(v, directory / "copy")


@pytest.mark.unsanitized("the engine and the disk are what it takes its time for")
def test_a_mariadb_directory_of_a_gigabyte(make_volume, directory, source):
    source.mkdir()
    plain = MariaDB(source / "data", directory / "work").create()
    v = make_volume()
    v.mount()
    try:
        with plain.connect() as c:
            for statement in ("SET GLOBAL innodb_log_file_size = 400 * 1024 * 1024",
                              "CREATE TABLE big (n INT PRIMARY KEY, filler VARCHAR(8000)) ENGINE=InnoDB",
                              "SET unique_checks = 0", "SET foreign_key_checks = 0",
                              "INSERT INTO big SELECT seq, REPEAT(MD5(seq), 120) FROM seq_1_to_150000"):
                c.cursor().execute(statement)
            c.commit()
        answer = move(v, "import", plain.data, v.name, code=8)
        assert "it is locked, by process" in answer["error"] or "open for writing" in answer["error"]
        plain.stop(signal.SIGTERM, plain.log)
    finally:
        plain.kill()
    moved_in_interrupted(v, plain.data, (20, 100))
    engine = MariaDB(v.mount_point, plain.work)
    try:
        engine.start()
        with engine.connect() as c:
            cursor = c.cursor()
            cursor.execute("CHECK TABLE big EXTENDED")
            assert [row[3] for row in cursor.fetchall() if row[2] == "status"] == ["OK"]
            cursor.execute("SELECT MAX(n) FROM big")
            assert cursor.fetchall()[0][0] == 150000
        engine.check()
    finally:
        engine.kill()
    moved_out(v, directory / "copy")


@pytest.mark.unsanitized("the engine and the disk are what it takes its time for")
def test_a_wiredtiger_directory_with_its_preallocated_journal(make_volume, directory, source):
    source.mkdir()
    engine = WiredTiger(source / "db").create()
    v = make_volume()
    v.mount()
    try:
        engine.start_load(1)
        engine.await_commits(300)
    finally:
        engine.kill()  # what is to be recovered is moved, too
    move(v, "import", engine.data, v.name)
    engine.data = v.mount_point
    engine.check()
    moved_out(v, directory / "copy")
    engine.data = directory / "copy"
    engine.check()
