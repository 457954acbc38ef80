# SPDX-License-Identifier: Apache-2.0
"""Metrics: true, in a form that a strict reader takes, by tdefsctl and by HTTP."""

import json
import math
import os
import socket
import stat
import time

import pytest
from conftest import process_is_gone, wait_for
from exposition import Metrics
from ports import take_port

STATES = {"starting", "waiting", "failed", "online", "read-only", "draining", "inaccessible"}


def metrics_of(v):
    return Metrics(v.ctl("metrics", v.name).stdout)


def test_metrics_are_true(make_guarded):
    v = make_guarded()
    with open(v.mount_point / "f", "wb", buffering=0) as f:
        f.write(b"x" * 5000)
        os.fsync(f.fileno())
    v.answers("granted")
    m = metrics_of(v)
    status = v.status()
    assert {s["state"] for s in m.of("tdefs_state")} == STATES
    assert [s["state"] for s in m.of("tdefs_state") if m.value("tdefs_state", **s)] == ["online"]
    assert m.value("tdefs_up", volume="sales") == 1
    assert m.value("tdefs_seconds_until_read_only", volume="sales") == math.inf
    assert m.value("tdefs_seconds_until_denied", volume="sales") == math.inf
    assert m.value("tdefs_probes_total", volume="sales", **{"class": "granted"}) >= 1
    assert m.value("tdefs_vault_operations_total", volume="sales", operation="unwrapKey",
                   **{"class": "granted"}) >= 2  # at mount, and by the probe
    assert m.value("tdefs_unwrap_latency_seconds_count", volume="sales") >= 2
    assert m.value("tdefs_operations_total", volume="sales", operation="write") >= 1
    assert m.value("tdefs_operations_total", volume="sales", operation="fsync") >= 1
    assert m.value("tdefs_written_bytes_total", volume="sales") >= 5000
    assert m.value("tdefs_latched_errors", volume="sales") == 0
    assert 0 < m.value("tdefs_last_grant_timestamp_seconds", volume="sales") <= time.time() + 1
    assert m.value("tdefs_token_expiry_timestamp_seconds", volume="sales") > time.time()
    assert m.value("tdefs_protector_info", volume="sales", kid=status["protector"]["kid"],
                   thumbprint=status["protector"]["thumbprint"]) == 1
    assert 0 <= m.value("tdefs_rotation_age_seconds", volume="sales") < 86400
    assert m.value("tdefs_build_info", volume="sales", version=status["version"], libfuse=status["libfuse"]) == 1
    assert not any(m.value("tdefs_alarm", **a) for a in m.of("tdefs_alarm"))
    for name in "tdefs_protector_drift", "tdefs_protector_pinned", "tdefs_protector_newer_version":
        assert m.value(name, volume="sales") == 0
    # Every family says what it is, and has a sample.
    assert m.help.keys() == m.types.keys() and all(m.help.values())


def test_metrics_of_a_denial(make_guarded):
    v = make_guarded()
    v.vault.command("key", "disable", "tde")
    v.reach_purged("denied")
    m = metrics_of(v)
    assert m.value("tdefs_state", volume="sales", state="inaccessible") == 1
    assert m.value("tdefs_reasons", volume="sales", reason="denied") == 1
    assert m.value("tdefs_reasons", volume="sales", reason="outage") == 0
    assert m.value("tdefs_seconds_until_denied", volume="sales") == 0
    assert m.value("tdefs_probes_total", volume="sales", **{"class": "denied"}) >= 3


def test_metrics_of_several_volumes_are_one_text(make_guarded):
    """Also of one that is not mounted; each family is told once."""
    v = make_guarded(mounted=False)
    mount, backing = v.directory / "m2", v.directory / "b2"
    mount.mkdir()
    backing.mkdir(mode=0o700)
    with v.config.open("a") as f:
        f.write(f"[volume other]\nbacking = {backing}\nmount = {mount}\nprobe_interval = 1s\n")
    v.ctl("format", "other")
    v.mount()
    result = v.ctl("metrics", check=False)
    assert result.returncode == 5 and "other: not mounted" in result.stderr
    m = Metrics(result.stdout)
    assert m.value("tdefs_up", volume="sales") == 1 and m.value("tdefs_up", volume="other") == 0
    v.tdefs("mount", "other")
    try:
        answer = json.loads(v.ctl("metrics", "--json").stdout)
        pid = json.loads(v.ctl("status", "other", "--json").stdout)["volumes"][0]["pid"]
    finally:
        v.tdefs("unmount", "other")
    wait_for(lambda: process_is_gone(pid), "the second daemon to be gone")
    assert answer["schema"] == 1
    m = Metrics(answer["metrics"])
    for name in "sales", "other":
        assert m.value("tdefs_state", volume=name, state="online") == 1
        assert m.value("tdefs_unwrap_latency_seconds_count", volume=name) >= 1


def test_a_textfile_is_replaced_whole(make_guarded):
    """For node_exporter: one text of all volumes, which another user may read; no word of what it says itself."""
    v = make_guarded()
    backing = v.directory / "b2"
    backing.mkdir(mode=0o700)
    with v.config.open("a") as f:
        f.write(f"[volume other]\nbacking = {backing}\nmount = {v.directory / 'm2'}\n")
    place = v.directory / "textfiles"
    target = place / "tdefs.prom"
    result = v.ctl("metrics", "--textfile", target, check=False)
    assert result.returncode == 1 and f"cannot write {target}: No such file" in result.stderr
    assert "next: make its directory" in result.stderr
    place.mkdir()
    target.write_text("as it was")
    with target.open() as before:
        result = v.ctl("metrics", "--textfile", target)
        assert before.read() == "as it was"  # another file, not that one written over
    assert result.stdout == result.stderr == ""
    assert [p.name for p in place.iterdir()] == ["tdefs.prom"] and stat.S_IMODE(target.stat().st_mode) == 0o644
    m = Metrics(target.read_text())
    assert m.value("tdefs_up", volume="sales") == 1 and m.value("tdefs_up", volume="other") == 0
    assert m.value("tdefs_state", volume="sales", state="online") == 1
    v.unmount()
    v.ctl("metrics", "--textfile", target)
    assert Metrics(target.read_text()).value("tdefs_up", volume="sales") == 0


# By HTTP.

def ask(address, request):
    """What is answered to these bytes: status, fields, body. Nothing: the peer gave up."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as s:
        s.settimeout(60)
        s.connect(address)
        s.sendall(request)
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    if not answer:
        return None, {}, ""
    head, _, body = answer.decode().partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1"
    return int(status), dict(f.lower().split(": ", 1) for f in fields), body


def get(address):
    status, fields, body = ask(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 200 and fields["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert int(fields["content-length"]) == len(body.encode()) and fields["connection"] == "close"
    return Metrics(body)


def alarms(v):
    return [a["name"] for a in v.status()["alarms"]]


@pytest.fixture
def taken_port():
    """Somebody listens there."""
    with socket.create_server(("127.0.0.1", take_port())) as s:
        yield s


def test_a_port_that_is_taken_keeps_nothing_down(make_guarded, taken_port):
    address = taken_port.getsockname()
    place = f"127.0.0.1:{address[1]}"
    v = make_guarded(metrics_listen=place)
    status = v.status()
    assert status["state"] == "online"
    assert status["metrics"] == {"listen": place, "error": "Address already in use"}
    assert alarms(v) == ["metrics_place"]
    v.logged("event=metrics_place")
    assert Metrics(v.ctl("metrics", "sales").stdout).value("tdefs_alarm", volume="sales",
                                                           alarm="metrics_place") == 1
    taken_port.close()
    wait_for(lambda: alarms(v) == [], "the port to be used once it is free")
    assert get(address).value("tdefs_state", volume="sales", state="online") == 1


def test_http_requests_that_are_none(make_guarded, directory):
    place = directory / "metrics.sock"
    v = make_guarded(metrics_listen=place)
    assert alarms(v) == [] and stat.S_IMODE(place.stat().st_mode) == 0o660
    at = str(place)
    assert get(at).value("tdefs_up", volume="sales") == 1
    status, fields, body = ask(at, b"HEAD /metrics HTTP/1.0\r\n\r\n")
    assert status == 200 and int(fields["content-length"]) > 1000 and body == ""
    assert ask(at, b"GET /other HTTP/1.1\r\n\r\n")[0] == 404
    status, fields, _ = ask(at, b"POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\nsome body")
    assert status == 405 and fields["allow"] == "get, head"
    assert ask(at, b"nonsense\n\n")[0] == 400
    assert ask(at, b"x" * 8192)[0] == 400  # as much as is read of a request
    # Whoever says nothing, or not all, holds the place for a moment only.
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as slow:
        silent.connect(at)
        slow.connect(at)
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert get(at).value("tdefs_up", volume="sales") == 1
    v.unmount()
    assert not place.exists()


def test_a_local_socket_that_was_left_is_taken_over(make_guarded, directory):
    """But nothing else is taken away."""
    place = directory / "metrics.sock"
    v = make_guarded(metrics_listen=place)
    v.kill_daemon()
    v.unmount_dead()
    assert place.is_socket()
    v.mount()
    assert get(str(place)).value("tdefs_up", volume="sales") == 1
    v.unmount()
    place.write_text("mine")
    v.mount()
    assert alarms(v) == ["metrics_place"] and place.read_text() == "mine"
    place.unlink()
    wait_for(lambda: alarms(v) == [], "the place to be used")


def test_the_group_may_read_but_not_lock(make_guarded):
    v = make_guarded()
    group = (v.directory / "run/sales.sock").stat().st_gid
    child = os.fork()
    if child == 0:
        os.setgroups([group])
        os.setgid(65534)
        os.setuid(65534)
        good = (v.control("status")["state"] == "online"
                and Metrics(v.control("metrics")["metrics"]).of("tdefs_up")
                and all("only root" in v.control(c).get("error", "")
                        for c in ("lock", "resume", "extend", "drill", "reload", "recheck")))
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert v.now() == "online"
