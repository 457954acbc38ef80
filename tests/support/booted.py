# SPDX-License-Identifier: Apache-2.0
"""
A Debian that was booted: systemd as the first process of its own namespaces, over an overlay of this
host, which stays as it is. It has the host's programs, and none of its services, databases, network.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from conftest import is_mounted, run, wait_for
from documents import ROOT

# $1: where the overlays are, $2: a directory on ext4 or XFS, its /srv, where backings may be, $3: the checkout.
BOOT = r"""
set -e
root=$1/root
mkdir -p "$1/up" "$1/work" "$root"
# With xino a file has the device of its directory, as it has on a disk.
mount -t overlay none -o "xino=on,lowerdir=/,upperdir=$1/up,workdir=$1/work" "$root"
mount --bind "$2" "$root/srv"
if [ "$(stat -c %d "$3")" != "$(stat -c %d /)" ]; then # it is on a file system of its own
	mkdir -p "$1/checkout-up" "$1/checkout-work" "$root$3"
	mount -t overlay none -o "lowerdir=$3,upperdir=$1/checkout-up,workdir=$1/checkout-work" "$root$3"
fi
mount -t tmpfs -o mode=755 none "$root/run"
mount -t tmpfs -o mode=1777 none "$root/tmp"
mount -t proc none "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys" # it is the host's
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro none "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 none "$root/dev"
for node in null zero full random urandom tty fuse; do
	cp -a "/dev/$node" "$root/dev"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/old"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 none "$root/dev/pts"
mount -t tmpfs -o mode=1777 none "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
if [ ! -e "$1/made" ]; then
	cd "$root"
	rm -rf etc/systemd/system/* etc/fstab var/log/journal etc/tdefs var/lib/tdefs* var/log/tdefs \
		var/lib/postgresql/* etc/postgresql/* var/lib/mysql etc/default/tdefs-vault
	mkdir -p var/log/journal etc/systemd/system/multi-user.target.wants
	ln -s /lib/systemd/system/remote-fs.target etc/systemd/system/multi-user.target.wants # as Debian's systemd does
	: >"$1/made"
fi
cd "$root"
pivot_root . old
umount -l old
rmdir old
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=multi-user.target --show-status=no
"""

ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
               "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")

# What Debian's package of PostgreSQL left when it was installed.
CLUSTER = """
pg_createcluster 15 main
systemctl enable postgresql
systemctl daemon-reload
systemctl start postgresql@15-main
"""


class Booted:
    """With Booted(directory) as host. What is written in it, and in its /srv, stays over a reboot, as on any host."""

    def __init__(self, directory, like=None):
        """With all that another one has, which was powered off, but for its /srv."""
        self.directory = Path(directory)
        self.overlay = self.directory / "overlay"
        self.srv = self.directory / "srv"
        self.cgroups = self.directory / "cgroups"
        for place in (self.overlay, self.srv, self.cgroups):
            place.mkdir()
        self.cgroup = self.cgroups / self.directory.name
        self.like, self.outer, self.init = like, None, None

    def _mount(self):
        run("mount", "-t", "tmpfs", "none", self.overlay)
        if self.like:
            run("cp", "-a", self.like.overlay / "up", self.like.overlay / "made", self.overlay)
        # The one hierarchy of version 2, wherever the host has it; a part of it is ours.
        run("mount", "-t", "cgroup2", "none", self.cgroups)

    def __enter__(self):
        try:
            self._mount()
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def boot(self):
        self.cgroup.mkdir(exist_ok=True)
        enter = 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"'
        with open(self.directory / "boot.log", "ab") as log:
            self.outer = subprocess.Popen(
                ["sh", "-c", enter, "sh", self.cgroup, "unshare", "--mount", "--propagation", "private",
                 "--pid", "--fork", "--kill-child", "--cgroup", "--uts", "--ipc", "--net",
                 "sh", "-c", BOOT, "sh", self.overlay, self.srv, ROOT],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.init = wait_for(self._child, "systemd's process")
        wait_for(self._is_up, "systemd to be up")

    def _child(self):
        assert self.outer.poll() is None, (self.directory / "boot.log").read_text()
        children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def _is_up(self):
        assert self.outer.poll() is None, (self.directory / "boot.log").read_text()
        if Path(f"/proc/{self.init}/comm").read_text().strip() != "systemd":
            return False
        return self.sh("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def sh(self, script, check=True, cwd="/root"):
        """Run a script in it, as root from a login would; its result."""
        result = run("nsenter", f"--target={self.init}", "--all", "--root", f"--wd=/proc/{self.init}/root{cwd}",
                     "env", "-i", *ENVIRONMENT, "sh", "-eux", "-c", script, check=False, stdin=subprocess.DEVNULL)
        if check and result.returncode != 0:
            self.keep_journal()
            raise AssertionError(f"{script}\nexited {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def keep_journal(self):
        """Where conftest.py shows its end with a failure."""
        text = self.sh("journalctl -b --no-pager", check=False).stdout
        (self.directory / "journal.log").write_text(text, encoding="utf-8")

    def power_off(self, how="poweroff"):
        """As an operator does: every unit is stopped in its order."""
        self.sh(f"systemctl {how}", check=False)  # it may be ended by what it asks for
        wait_for(lambda: self.outer.poll() is not None, f"the end of {how}")

    def reboot(self):
        self.power_off("reboot")
        self.boot()

    def close(self):
        if self.outer and self.outer.poll() is None:
            os.kill(self.outer.pid, signal.SIGKILL)  # and so its child, and so all of its namespace
            self.outer.wait()
        try:
            if is_mounted(self.cgroups):
                wait_for(self._cgroup_is_removed, "the end of its processes")
        finally:
            for place in (self.overlay, self.cgroups):
                if is_mounted(place):
                    run("umount", "--lazy", place)
            shutil.rmtree(self.srv)

    def _cgroup_is_removed(self):
        for path, _, _ in os.walk(self.cgroup, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                return False
        return not self.cgroup.exists()
