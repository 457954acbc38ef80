# SPDX-License-Identifier: Apache-2.0
"""
The Debian package: what is in it, and its life over a mounted volume, in namespaces of its own over
an overlay of this host, which stays as it is.
"""

import re
import tempfile
from pathlib import Path

import pytest
from conftest import BUILD, run
from documents import ROOT
from package import build_package, later_version

PROFILES = "usr.sbin.tdefs", "usr.sbin.tdefs-vault"
FILES = {
    **{f"etc/apparmor.d/{name}": "-rw-r--r--" for name in PROFILES},
    "etc/tdefs/": "drwxr-x---",
    "etc/tdefs/tdefs.conf": "-rw-r-----",
    "usr/lib/systemd/system/tdefs@.service": "-rw-r--r--",
    "usr/lib/systemd/system/tdefs-vault.service": "-rw-r--r--",
    "usr/sbin/mount.fuse.tdefs": "lrwxrwxrwx",
    "usr/sbin/mount.tdefs": "lrwxrwxrwx",
    "usr/sbin/tdefs": "-rwxr-xr-x",
    "usr/sbin/tdefs-vault": "-rwxr-xr-x",
    "usr/sbin/tdefsctl": "-rwxr-xr-x",
    "var/lib/tdefs/": "drwx------",
    "var/log/tdefs/": "drwxr-x---",
    **{f"usr/share/doc/tdefs/{name}": "-rw-r--r--"
       for name in ("README.md", "SECURITY.md", "FORMAT.md", "STATES.md", "tdefs-vault.md",
                    "CHANGELOG.md", "changelog.gz", "copyright",
                    "examples/tdefs.conf", "examples/postgresql.conf", "examples/mariadb.conf",
                    "examples/mongod.conf")},
}

# $1: a directory for the overlay, $2: one on ext4, $3 and $4: the package, and one of the next version.
HOST = r"""
set -e
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mount -t tmpfs none "$1/root/run"
mount -t tmpfs none "$1/root/tmp"
mount -t proc none "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount --bind "$2" "$1/root/srv"
cp "$3" "$1/root/tmp/this.deb"
cp "$4" "$1/root/tmp/next.deb"
exec chroot "$1/root" sh -c "$5"
"""

LIFE = r"""
exec 2>&1
set -e
say() { echo "== $*"; }
daemon() { tdefsctl --json status sales | tr , '\n' | sed -n 's/.*"pid": *//p'; }
say install
# A kernel with AppArmor, as far as that can be without one: the parser takes the profile, and nothing is loaded.
printf '#!/bin/sh\nexit 0\n' >/usr/local/sbin/aa-enabled
printf '#!/bin/sh\necho apparmor_parser "$@"\nshift 3\nexec /usr/sbin/apparmor_parser -Q -K "$@"\n' >/usr/local/sbin/apparmor_parser
chmod 755 /usr/local/sbin/*
dpkg -i /tmp/this.deb
rm /usr/local/sbin/aa-enabled /usr/local/sbin/apparmor_parser
echo '/data/ rw,' >/etc/apparmor.d/local/usr.sbin.tdefs
getent group tdefs >/dev/null
stat -c '%n %U:%G %a' /etc/tdefs /etc/tdefs/tdefs.conf /var/lib/tdefs /var/log/tdefs
systemd-analyze verify --man=no /usr/lib/systemd/system/tdefs@.service tdefs@sales.service tdefs-vault.service
say mount
(umask 077; openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out /etc/tdefs/protector.pem)
printf '%s\n' '[server]' 'protector = file:/etc/tdefs/protector.pem' 'lock_memory = no' '[volume sales]' \
	'backing = /srv/backing' 'mount = /mnt/sales' >/etc/tdefs/tdefs.conf
mkdir -m 700 /srv/backing
mkdir -p /mnt/sales
tdefsctl format sales
tdefs mount sales
echo kept >/mnt/sales/f
stat -c '%n %U:%G %a' /run/tdefs/sales.sock /var/log/tdefs/sales.jsonl
before=$(daemon)
say upgrade
dpkg --force-confold -i /tmp/next.deb
[ "$(daemon)" = "$before" ] && cat /mnt/sales/f
grep sales /etc/tdefs/tdefs.conf
grep "of version 99" /etc/tdefs/tdefs.conf.dpkg-dist
say remove
dpkg -r tdefs
cat /mnt/sales/f
kill -0 "$before" && umount /mnt/sales
say purge
dpkg -P tdefs
ls /var/lib/tdefs/sales.pin /etc/tdefs/protector.pem /var/log/tdefs/sales.jsonl
ls -d /etc/tdefs/tdefs.conf || echo no configuration
find /etc/apparmor.d -name 'usr.sbin.tdefs*' | grep . || echo no profiles
say anew
dpkg -i /tmp/this.deb
rm /var/lib/tdefs/*.pin /etc/tdefs/protector.pem
dpkg -P tdefs
find /etc/tdefs /var/lib/tdefs /var/log/tdefs -maxdepth 0 2>/dev/null | grep . || echo nothing left
say done
"""


@pytest.fixture(name="package", scope="module")
def package_():
    with tempfile.TemporaryDirectory(prefix="tdefs-test-") as directory:
        package = build_package(Path(directory))
        version = run("dpkg-deb", "-f", package, "Version").stdout.strip()
        assert package.name == f"tdefs_{version}_amd64.deb"
        assert run(BUILD / "tdefs", "--version").stdout == f"tdefs {version}\n"
        yield package


def test_contents(package):
    listed = {}
    for line in run("dpkg-deb", "-c", package).stdout.splitlines():
        mode, owner, _, _, _, name = line.split(" -> ")[0].split(maxsplit=5)
        assert owner == "root/root", line
        if not mode.startswith("d") or "tdefs" in name and "/share/" not in name:
            listed[name.removeprefix("./")] = mode
    assert {name: listed.get(name) for name in FILES} == FILES
    others = set(listed) - set(FILES)
    assert all(name.startswith("usr/share/") for name in others), others
    pages = {name for name in others if name.startswith("usr/share/man/")}
    assert "usr/share/man/man8/tdefs.8.gz" in pages and all(name.endswith(".gz") for name in pages), pages
    depends = run("dpkg-deb", "-f", package, "Depends").stdout
    assert "libssl3" in depends and "libfuse3-3" in depends and "adduser" in depends


def test_lintian_has_nothing_to_say(package):
    result = run("lintian", "--allow-root", "--profile", "debian", "--fail-on", "error,warning", package, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


# In tenths: what systemd counts of what a unit might still do.
@pytest.mark.parametrize("unit, exposure", [("tdefs@.service", 53), ("tdefs-vault.service", 21)])
def test_a_unit_is_confined(unit, exposure):
    run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={exposure}", ROOT / "conf" / unit)


def after(unit):
    text = (ROOT / "conf" / unit).read_text(encoding="ascii")
    return " ".join(re.findall(r"(?m)^After=(.*)$", text)).split()


def test_the_vault_starts_before_the_volumes():
    assert "tdefs-vault.service" in after("tdefs@.service") and "tdefs@" not in " ".join(after("tdefs-vault.service"))


def parts(text):
    """What was printed under each heading."""
    return dict(part.split("\n", 1) for part in text.split("== ")[1:])


def test_life_over_a_mounted_volume(directory, package):
    later = later_version(package, directory)
    for name in ("overlay", "ext4"):
        (directory / name).mkdir()
    result = run("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c",
                 HOST, "sh", directory / "overlay", directory / "ext4", package, later, LIFE, check=False)
    said = parts(result.stdout)
    assert result.returncode == 0 and "done" in said, result.stdout + result.stderr
    for line in ("/etc/tdefs root:tdefs 750", "/etc/tdefs/tdefs.conf root:tdefs 640", "/var/lib/tdefs root:root 700",
                 "/var/log/tdefs root:tdefs 750"):
        assert line in said["install"]
    for name in PROFILES:
        assert f"apparmor_parser -r -T -W /etc/apparmor.d/{name}\n" in said["install"]
    assert "no profiles" in said["purge"] and "apparmor_parser" not in said["upgrade"]
    assert "/run/tdefs/sales.sock root:tdefs 660" in said["mount"]
    assert "/mnt/sales goes on with the version before" in said["upgrade"] and "[volume sales]" in said["upgrade"]
    assert "# of version 99" in said["upgrade"]
    assert "volume sales stays mounted at /mnt/sales: stop what uses it" in said["remove"]
    assert "kept" in said["remove"]
    for word in ("pins of volumes in /var/lib/tdefs", "/etc/tdefs is kept", "sales.pin", "sales.jsonl", "protector.pem",
                 "no configuration"):
        assert word in said["purge"], said["purge"]
    assert "nothing left" in said["anew"]
