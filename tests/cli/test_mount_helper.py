# SPDX-License-Identifier: Apache-2.0
"""tdefs called by mount(8), and where an installation puts it."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, is_mounted, run

HELPER = BUILD / "mount.tdefs"
FOR_OTHERS = "rw,nosuid,nodev,_netdev,nofail,x-systemd.requires=network-online.target"


def helper(v, *args):
    """As mount(8) calls it: NAME DIR, then options."""
    return run(HELPER, v.name, v.mount_point, *args, check=False, env=v.environment())


def options(v, more=FOR_OTHERS):
    return f"{more},config={v.config}"


def test_what_mount_gives_a_helper(make_volume):
    v = make_volume()
    for args in ("-n", "-v", "-o", options(v)), ("-s", "-o", options(v, "unheard_of")):
        result = helper(v, *args)
        assert result.returncode == 0, result.stderr
        assert is_mounted(v.mount_point)
        v.tdefs("unmount", v.name)
    assert helper(v, "-f", "-o", options(v)).returncode == 0
    assert not is_mounted(v.mount_point)


@pytest.mark.parametrize("option", ["ro", "noexec", "unheard_of"])
def test_an_option_that_cannot_be_kept(make_volume, option):
    v = make_volume()
    result = helper(v, "-o", options(v, option))
    assert result.returncode == 1
    assert f"unknown mount option: {option}\n  next: " in result.stderr


def test_failures_are_those_of_mount(make_volume, directory):
    v = make_volume(formatted=False)
    result = helper(v, "-o", options(v))
    assert result.returncode == 32 and "  next: " in result.stderr
    other = directory / "other"
    other.mkdir()
    result = run(HELPER, v.name, other, "-o", options(v), check=False, env=v.environment())
    assert result.returncode == 32
    assert f"at {other}, but tdefs.conf says {v.mount_point}\n  next: " in result.stderr
    for args in ([v.name], [v.name, "here"], ["a", "/b", "c"], ["-N", "1", v.name, "/b"]):
        result = run(HELPER, *args, check=False, env=v.environment())
        assert result.returncode == 1 and "  next: mount -t tdefs NAME DIR" in result.stderr, args


@pytest.fixture
def in_sbin():
    """mount(8) looks for its helpers there, and nowhere else."""
    link = Path("/usr/sbin/mount.tdefs")
    if link.exists() or link.is_symlink():
        pytest.skip("tdefs is installed here")
    link.symlink_to(HELPER)
    yield
    link.unlink()


def test_from_fstab(make_volume, directory, in_sbin):
    v = make_volume()
    fstab = directory / "fstab"
    fstab.write_text(f"{v.name} {v.mount_point} tdefs {options(v)} 0 0\n")
    run("mount", "--fstab", fstab, v.mount_point, env=v.environment())
    (v.mount_point / "f").write_bytes(b"x")
    assert v.status()["state"] == "online"
    v.tdefs("unmount", v.name)
    assert (v.backing / "f").exists()


WITH_FSTAB = 'mount --bind "$1" /etc/fstab && shift && exec "$@"'


def with_fstab(v, file, line, *args):
    """What mount(8) runs, with this line in a fstab of its own; it checks only (-f)."""
    file.write_text(f"none none swap sw 0 0\n{line}\n", encoding="ascii")
    return run("unshare", "--mount", "sh", "-c", WITH_FSTAB, "sh", file, HELPER, v.name, v.mount_point, "-f", *args,
               check=False, env=v.environment())


@pytest.fixture
def etc_fstab():
    """Something to mount the test's own over."""
    file = Path("/etc/fstab")
    with open(__file__, "rb") as lock:  # it is the host's, and the tests of another build run beside
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = not file.exists()
        file.touch()
        yield
        if missing:
            file.unlink()


def test_accept_header_is_not_for_each_boot(make_volume, directory, etc_fstab):
    v = make_volume()
    (directory / "link").symlink_to(v.mount_point)
    (directory / "other").mkdir()
    accept = options(v, "nofail,accept_header,_netdev")
    by_hand = "-o", options(v, "rw,accept_header")
    for place in v.mount_point, f"{v.mount_point}/", directory / "link":
        result = with_fstab(v, directory / "fstab", f"{v.name} {place} tdefs {accept} 0 0", "-o", accept)
        assert result.returncode == 1, place
        assert "accept_header stands in /etc/fstab" in result.stderr
        assert f"  next: take it out of there; once, by hand: tdefs mount {v.name} --accept-header\n" in result.stderr
    for line in (f"{v.name} {v.mount_point} tdefs {options(v)} 0 0", f"other {directory / 'other'} tdefs {accept} 0 0",
                 f"{v.name} {v.mount_point} tdefs x-accept_header 0 0"):
        result = with_fstab(v, directory / "fstab", line, *by_hand)
        assert result.returncode == 0, result.stderr


def test_accept_header_by_hand(make_volume):
    v = make_volume()
    next(v.directory.rglob("*.pin")).unlink()
    assert helper(v, "-o", options(v)).returncode == 32
    result = helper(v, "-o", options(v, "rw,accept_header"))
    assert result.returncode == 0, result.stderr
    v.tdefs("unmount", v.name)


def test_an_installation(directory):
    run("cmake", "--install", BUILD, "--prefix", "/usr", env={**os.environ, "DESTDIR": str(directory)})
    sbin = directory / "usr/sbin"
    programs = {p.name for p in sbin.iterdir()}
    assert programs == {"tdefs", "tdefsctl", "tdefs-vault", "mount.tdefs", "mount.fuse.tdefs"}
    for program in "tdefs", "tdefsctl", "tdefs-vault":
        said = subprocess.run([sbin / program, "--version"], capture_output=True, text=True, check=True)
        assert said.stdout.startswith(f"{program} 0.")
    assert os.readlink(sbin / "mount.tdefs") == "tdefs"
    share = directory / "usr/share"
    assert (share / "doc/tdefs/examples/tdefs.conf").is_file() and (share / "doc/tdefs/FORMAT.md").is_file()
    assert {p.name for p in share.glob("man/man*/*")} == {
        "tdefs.8", "tdefsctl.8", "tdefs-vault.8", "mount.tdefs.8", "mount.fuse.tdefs.8", "tdefs.conf.5", "tdefs-format.5"}
    assert {p.name for p in share.glob("bash-completion/completions/*")} == {"tdefs", "tdefsctl", "tdefs-vault"}
    assert {p.name for p in share.glob("fish/vendor_completions.d/*")} == {"tdefs.fish", "tdefsctl.fish", "tdefs-vault.fish"}
    assert (share / "zsh/vendor-completions/_tdefs").is_file()
