# SPDX-License-Identifier: Apache-2.0
"""What tests of the programs share: volumes in temporary directories, and their end."""

import ctypes
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

BUILD = Path(os.environ.get("TDEFS_BUILD", Path(__file__).parent.parent / "build/release")).resolve()
SANITIZED = os.environ.get("TDEFS_SANITIZED") == "1"
ALL = os.environ.get("TDEFS_ALL") == "1"
# "yes": every volume that says nothing else has io_uring = yes, so that any test can be run that way
IO_URING = os.environ.get("TDEFS_IO_URING", "")
LIMIT = 120.0  # seconds for what takes one on a machine with nothing else to do


def ring_lack():
    """Why this kernel has no FUSE over io_uring, or None."""
    parameter = Path("/sys/module/fuse/parameters/enable_uring")
    if not parameter.exists():
        return "this kernel has no FUSE over io_uring (Linux 6.14, CONFIG_FUSE_IO_URING)"
    if parameter.read_text(encoding="ascii").strip() != "Y":
        return f"FUSE over io_uring is switched off: {parameter}"
    return None


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("these tests mount file systems: run them as root", returncode=2)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.exit("/dev/fuse is missing or not usable: load it (modprobe fuse), or give the "
                    "container the device", returncode=2)


def pytest_collection_modifyitems(items):
    for item in items:
        mark = item.get_closest_marker("unsanitized")
        if SANITIZED and mark:
            item.add_marker(pytest.mark.skip(reason=mark.args[0]))
        if IO_URING == "yes" and ring_lack():
            item.add_marker(pytest.mark.skip(reason=ring_lack()))
        if not ALL and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="only tests/run --all runs it"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Show the ends of the programs' logs with a failure, for who sees no more than CI's output."""
    report = (yield).get_result()
    place = getattr(item, "funcargs", {}).get("directory")
    if report.failed and place:
        report.sections.extend(logs_below(place))


def logs_below(place, most=6000):
    found = []
    if not place.exists():  # it was the end of a test that failed
        return found
    # What is mounted may be dead, and what it holds is the test's.
    below = [p for p in place.iterdir() if not is_mounted(p)]
    for directory in (place, *(p for p in below if p.is_dir() and not p.is_symlink())):
        for name in ("log", "*.log", "sanitizer*"):
            for path in directory.glob(name):
                if path.is_file() and not is_mounted(path):
                    text = path.read_bytes()[-most:].decode(errors="replace")
                    found.append((str(path.relative_to(place)), text))
    return found


def wait_for(condition, what, timeout=LIMIT):
    """
    Wait until condition() is true; its value. A slow machine only takes longer. `what` may be a
    function, which is asked when it was in vain. Who asks by starting programs is not to be the load
    that it waits for: it asks less and less often.
    """
    end = time.monotonic() + timeout
    pause = 0.01
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"still waiting for: {what() if callable(what) else what}"
        time.sleep(pause)
        pause = min(pause * 1.2, 0.2)


def run(*args, check=True, env=None, **more):
    """Run a program; its result, with output as text."""
    result = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=600,
                            env={**os.environ, **(env or {})}, **more)
    if check and result.returncode != 0:
        raise AssertionError(f"{args} exited {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def is_mounted(path):
    """From the mount table alone: a dead mount answers no stat."""
    path = str(path)
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return any(line.split()[1] == path for line in mounts)


def process_is_gone(pid):
    """All threads of it: as long as one is still ending, its files and locks are held."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            state, *rest = stat.read().rsplit(")", 1)[1].split()
            return state in "ZX" and int(rest[16]) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def parent_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])


# Cache modes are the values of `cache`, and within a writeback mount every file direct (which nobody
# can map shared), or the logs of engines.
CACHE_SETTINGS = {"direct": {"cache": "writeback", "direct_files": "*"},
                  "direct-logs": {"cache": "writeback", "direct_files": "default"}}
MAPPING_MODES = ["write-through", "writeback"]
CACHE_MODES = [*MAPPING_MODES, "direct"]


EACH_MODE = pytest.mark.parametrize("volume", CACHE_MODES, indirect=True)


class Volume:
    """One volume, its configuration and its daemon."""

    within = ()  # what its programs are started by: support/region.py
    build = BUILD  # whose programs

    def __init__(self, directory, name="sales", backing=None, key=None, **settings):
        self.directory = Path(directory)
        self.name = name
        self.backing = Path(backing) if backing else self.directory / "backing"
        self.mount_point = self.directory / "mnt"
        self.state = self.directory / "state"
        self.log = self.directory / "log"
        self.key = Path(key) if key else self.directory / "protector.pem"
        self.config = self.directory / "tdefs.conf"
        self.settings = {**({"io_uring": IO_URING} if IO_URING else {}), **settings}
        self.pid = None
        self.backing.mkdir(mode=0o700, exist_ok=True)
        self.mount_point.mkdir(exist_ok=True)
        if not self.key.exists():
            self.make_key(self.key)
        self.write_config()

    @staticmethod
    def make_key(path, bits=2048):
        run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}",
            "-out", path)
        os.chmod(path, 0o600)

    def written_settings(self):
        return {**self.settings, **CACHE_SETTINGS.get(self.settings.get("cache"), {})}

    def write_config(self, **settings):
        self.settings.update(settings)
        more = "".join(f"{k} = {v}\n" for k, v in self.written_settings().items())
        self.config.write_text(
            f"[server]\nprotector = file:{self.key}\nstate_dir = {self.state}\n"
            f"runtime_dir = {self.directory}/run\nevent_dir = {self.directory}/events\n"
            f"log = {self.log}\n{more}"
            f"[volume {self.name}]\nbacking = {self.backing}\nmount = {self.mount_point}\n")

    def copy_at(self, directory, backing):
        """The same volume where a copy of its backing is, on a host with the same pin and key."""
        copy = Volume(directory, self.name, backing=backing, key=self.key, **self.settings)
        shutil.copytree(self.state, copy.state)
        return copy

    def environment(self):
        # The daemon is not dumpable, so LeakSanitizer cannot look at it; unit tests look for leaks.
        return {"ASAN_OPTIONS": f"detect_leaks=0:log_path={self.directory}/sanitizer",
                "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={self.directory}/sanitizer",
                "TSAN_OPTIONS": f"log_path={self.directory}/sanitizer"}

    def tdefs(self, *args, check=True):
        return run(*self.within, self.build / "tdefs", "--config", self.config, *args, check=check,
                   env=self.environment())

    def ctl(self, *args, check=True):
        return run(*self.within, self.build / "tdefsctl", "--config", self.config, *args, check=check,
                   env=self.environment())

    def start_ctl(self, *args):
        """The same, not waited for: whoever starts it ends it."""
        return subprocess.Popen([*self.within, self.build / "tdefsctl", "--config", self.config, *args],
                                stdout=subprocess.PIPE, text=True, env={**os.environ, **self.environment()})

    def ctl_json(self, *args):
        return json.loads(self.ctl("--json", *args, check=False).stdout)

    def format(self):
        self.ctl("format", self.name)
        return self

    def mount(self, *args):
        self.tdefs("mount", self.name, *args)
        self.pid = self.status()["pid"]
        return self.mount_point

    def mount_inaccessible(self, reason, *texts):
        """
        Mount without the key: a bare directory would let an engine begin anew. It says why and
        what to do, and gives no contents.
        """
        result = self.tdefs("mount", self.name)
        self.pid = self.status()["pid"]
        for text in (f"mounted, but inaccessible ({reason})", "  next: ", *texts):
            assert text in result.stderr, result.stderr
        with pytest.raises(OSError) as refused:
            (self.mount_point / "f").write_text("x")
        assert refused.value.errno == (errno.EKEYREVOKED if "denied" in reason else errno.ENOKEY)

    def unmount(self):
        self.tdefs("unmount", self.name)
        pid, self.pid = self.pid, None
        wait_for(lambda: process_is_gone(pid), "the daemon to be gone")

    def remount(self):
        self.unmount()
        return self.mount()

    def status(self):
        return self.ctl_json("status", self.name)["volumes"][0]

    def remembered(self):
        """The files in state_dir, but for the event log's: that also tells of what was refused."""
        return sorted(p for p in self.state.glob("*") if p.suffix not in (".head", ".log-lock"))

    def counter(self, name):
        return self.status()["counters"][name]

    def kill_daemon(self):
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: process_is_gone(self.pid), "the killed daemon to be gone")
        self.pid = None

    def unmount_dead(self):
        """Take the mount of a killed daemon away, as an operator would, once nobody uses it."""
        # A killed engine's io_uring may hold its files a moment longer than the process lives.
        wait_for(lambda: self.tdefs("unmount", self.name, check=False).returncode == 0,
                 "users of the dead mount to let go")

    def log_text(self):
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def logged(self, pattern):
        """Wait until the log has it: a thread of the daemon's writes it, a little later."""
        wait_for(lambda: re.search(pattern, self.log_text()), f"{pattern} in the log")

    def close(self):
        """Leave nothing behind, whatever the test did; say what was wrong."""
        if is_mounted(self.mount_point):
            if self.pid is None:  # mounted by the test itself
                status = self.ctl("--json", "status", self.name, check=False)
                self.pid = json.loads(status.stdout or '{"volumes": [{}]}')["volumes"][0].get("pid")
            if subprocess.run(["umount", self.mount_point], capture_output=True,
                              check=False).returncode != 0:
                subprocess.run(["umount", "-l", self.mount_point], check=False)
        if self.pid is not None:
            try:
                wait_for(lambda: process_is_gone(self.pid), "the daemon to end")
            except AssertionError:
                os.kill(self.pid, signal.SIGKILL)
        reports = list(self.directory.glob("sanitizer*"))
        assert not reports, "sanitizer: " + "".join(r.read_text() for r in reports)


def is_removed(path):
    """Not at once, perhaps: a daemon that is about to end writes its last events meanwhile."""
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


@pytest.fixture
def directory():
    path = Path(tempfile.mkdtemp(prefix="tdefs-test-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    os.chmod(path, 0o755)
    yield path
    leaked = [m for m in Path("/proc/self/mounts").read_text().splitlines()
              if m.split()[1].startswith(str(path))]
    for mount in reversed(leaked):
        subprocess.run(["umount", "-l", mount.split()[1]], check=False)
    wait_for(lambda: is_removed(path), f"{path} to be removed")
    assert not leaked, f"the test left mounts behind: {leaked}"


@pytest.fixture
def world(directory):
    """Clocks and names of its own for a daemon (world.py)."""
    from world import World
    made = World(directory)
    yield made
    made.close()


@pytest.fixture
def make_volume(directory):
    """A function that makes a volume, formatted unless told otherwise."""
    volumes = []

    def make(name="sales", formatted=True, **settings):
        place = directory / name
        place.mkdir(exist_ok=True)
        volume = Volume(place, name, **settings)
        volumes.append(volume)
        return volume.format() if formatted else volume

    yield make
    for volume in reversed(volumes):
        volume.close()


@pytest.fixture(params=MAPPING_MODES)
def volume(request, make_volume):
    """A mounted volume, in each cache mode; in "direct", too, for tests marked by EACH_MODE."""
    v = make_volume(cache=request.param)
    v.mount()
    return v


class LoopDisk:
    """A file system of its own in a file, on a loop device."""

    SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN: _IOR('X', 125, __u32)
    NO_LOG_FLUSH = 2
    is_cut = False  # since it was mounted

    def __init__(self, image, mount_point, kind="ext4", size_mb=64, options=()):
        self.image, self.mount_point, self.kind = Path(image), Path(mount_point), kind
        self.mount_point.mkdir(exist_ok=True)
        if not self.image.exists():
            with open(self.image, "wb") as f:
                f.truncate(size_mb << 20)
            quiet = {"ext4": ["-q", "-F"], "xfs": ["-q", "-f"]}[kind]
            run(f"mkfs.{kind}", *quiet, *options, self.image)

    def mount(self, *options):
        if self.is_cut and run("losetup", "-j", self.image).stdout:
            self.copy_image()
        self.is_cut = False
        extra = ["-o", ",".join(["loop", *options])]
        if self.kind == "xfs":
            extra[1] += ",nouuid"  # copies have the same
        run("mount", *extra, self.image, self.mount_point)
        return self.mount_point

    def copy_image(self):
        """
        Another test's mount namespace (unshare -m, a booted Debian) may hold the file system that was
        shut down, and mount(8) would give the same again, which answers EIO.
        """
        copy = self.image.with_suffix(".copy")
        run("cp", "--sparse=always", self.image, copy)
        copy.replace(self.image)

    def remount(self, options):
        run("mount", "-o", f"remount,{options}", self.mount_point)

    def shutdown(self):
        """The power cut: nothing that is not on disk gets there any more."""
        import fcntl
        self.is_cut = True
        fd = os.open(self.mount_point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, self.SHUTDOWN, ctypes.c_uint32(self.NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def unmount(self):
        run("umount", self.mount_point)

    def close(self):
        if is_mounted(self.mount_point):
            subprocess.run(["umount", "-l", self.mount_point], check=False)


@pytest.fixture
def make_disk(directory):
    disks = []

    def make(name="disk", **how):
        disk = LoopDisk(directory / f"{name}.img", directory / name, **how)
        disks.append(disk)
        return disk

    yield make
    for disk in reversed(disks):
        disk.close()
