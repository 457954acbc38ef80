# SPDX-License-Identifier: Apache-2.0
"""tdefs.conf read again by a daemon that goes on: what it takes over, and what it refuses."""

import os
import signal

from conftest import wait_for
from guard_kit import error_of


def change(v, old, new):
    text = v.config.read_text()
    assert old in text
    v.config.write_text(text.replace(old, new))


def test_timers_are_taken_over(make_guarded):
    v = make_guarded(outage_read_only_after="4h", outage_deny_after="8h")
    fd = os.open(v.mount_point / "f", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"before", 0)
    assert "nothing has changed" in v.ctl("reload", v.name).stdout
    v.vault.kill()
    v.answers("unreachable")
    change(v, "outage_read_only_after = 4h", "outage_read_only_after = 1s")
    result = v.ctl("reload", v.name)
    assert "taken over: outage_read_only_after" in result.stdout
    v.reach("read-only", "outage")
    assert os.pread(fd, 6, 0) == b"before"  # the DEK is still there
    # By a signal; each is compared with what was taken over last.
    change(v, "outage_deny_after = 8h", "outage_deny_after = 2s")
    os.kill(v.pid, signal.SIGHUP)
    v.reach("inaccessible", "outage")
    assert error_of(os.pread, fd, 6, 0) == "ENOKEY"
    os.close(fd)


def test_what_cannot_change_is_refused_by_name_and_nothing_is_taken(make_guarded):
    v = make_guarded(drain_timeout="5s")
    before = v.config.read_text()
    change(v, "drain_timeout = 5s", "drain_timeout = 7s\ncache = writeback\nthreads = 5")
    result = v.ctl("reload", v.name, check=False)
    assert result.returncode == 2 and "cache, threads" in result.stderr, result.stderr
    assert "tdefsctl: volume sales: nothing was taken over" in result.stderr
    assert "unmount it" in result.stderr
    v.config.write_text(before)
    assert "nothing has changed" in v.ctl("reload", v.name).stdout


def test_a_bad_file_changes_nothing(make_guarded):
    v = make_guarded(drain_timeout="5s")
    before = v.config.read_text()
    change(v, "drain_timeout = 5s", "drain_timeout = never")
    assert "drain_timeout = never" in v.control("reload")["error"]
    v.config.unlink()
    os.kill(v.pid, signal.SIGHUP)
    wait_for(lambda: "event=reload_refused" in v.log_text(), "the refusal to be logged")
    v.config.write_text(before)
    v.answers("granted")
    assert v.now() == "online"
