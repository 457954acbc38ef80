# SPDX-License-Identifier: Apache-2.0
"""What the systemd units run, with the test in systemd's place: it listens, signals and waits."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BUILD, LIMIT, is_mounted, parent_of, process_is_gone, wait_for
from guard_kit import GuardedVolume
from vault_server import running_vault

CONF = Path(__file__).parents[2] / "conf"


def command_of(unit, what):
    """The words of a unit's command, without systemd's prefixes; %i is the volume."""
    lines = (CONF / unit).read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith(what + "="))
    return line.split("=", 1)[1].lstrip("-").replace("%i", "sales").split()


class Service:
    """A unit's main process, and what it told its service manager."""

    def __init__(self, v, watchdog_s=None):
        self.v = v
        self.said = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(v.directory / "notify"))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.environment = {**os.environ, **v.environment(), "NOTIFY_SOCKET": str(v.directory / "notify"),
                            "TDEFS_CONFIG": str(v.config)}
        self.senders = set()
        more = {"WATCHDOG_USEC": str(int(watchdog_s * 1e6))} if watchdog_s else {}
        self.process = subprocess.Popen(self.words("ExecStart"), env={**self.environment, **more})

    @staticmethod
    def words(what):
        program, *words = command_of("tdefs@.service", what)
        return [str(BUILD / program), *words]

    def stop(self):
        """As ExecStop= does; not waited for."""
        return subprocess.Popen(self.words("ExecStop"), env=self.environment)

    def hear(self):
        """The next datagram's lines."""
        self.socket.settimeout(LIMIT)
        text, control, _, _ = self.socket.recvmsg(4096, 1024)
        self.senders.add(int.from_bytes(control[0][2][:4], sys.byteorder))
        lines = text.decode().splitlines()
        self.said += lines
        return lines

    def hear_of(self, *starts):
        """Listen until a line begins with one of these; it."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            for line in self.hear():
                if line.startswith(starts):
                    return line
        raise AssertionError(f"still waiting for {starts}; it said {self.said}")

    def daemon(self):
        return self.v.status()["pid"]

    def close(self):
        if self.process.poll() is None:
            subprocess.run(["umount", "-l", self.v.mount_point], check=False, capture_output=True)
            self.process.terminate()
            try:
                self.process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.socket.close()


@pytest.fixture
def serve():
    services = []

    def start(*args, **more):
        services.append(Service(*args, **more))
        return services[-1]

    yield start
    for service in services:
        service.close()


def ends(service, code=0):
    assert service.process.wait(LIMIT) == code
    assert not is_mounted(service.v.mount_point) or code < 0


def test_ready_when_the_mount_answers(make_volume, serve):
    v = make_volume()
    s = serve(v)
    assert s.hear_of("READY=1") and is_mounted(v.mount_point)
    (v.mount_point / "f").write_bytes(b"x")
    assert parent_of(s.daemon()) == s.process.pid
    stop = s.stop()
    assert s.hear_of("STOPPING=1")
    assert stop.wait(LIMIT) == 0
    ends(s)
    assert s.senders == {s.process.pid}  # the main process: no other needs to be believed
    again = s.stop()
    assert again.wait(LIMIT) == 0  # as ExecStopPost= does after a good end


def test_no_ready_without_a_mount(make_volume, serve):
    v = make_volume(formatted=False)
    s = serve(v)
    assert s.process.wait(LIMIT) == 1
    s.socket.settimeout(0)
    with pytest.raises(BlockingIOError):
        while True:
            assert b"READY" not in s.socket.recv(4096)


def test_stop_waits_for_an_open_file(make_volume, serve):
    v = make_volume()
    s = serve(v)
    s.hear_of("READY=1")
    with open(v.mount_point / "f", "wb") as f:
        stop = s.stop()
        assert s.hear_of("STATUS=stopping: it is in use")
        s.process.terminate()  # as systemd does when it has waited for long enough
        v.logged("signal 15: .*cannot unmount")
        assert stop.poll() is None and s.process.poll() is None
        f.write(b"still there")
    assert stop.wait(LIMIT) == 0
    ends(s)
    assert v.mount() and (v.mount_point / "f").read_bytes() == b"still there"


def test_watchdog(make_volume, serve):
    """It is the guard's thread that answers, and who hangs is killed: its keeper drops the pages."""
    v = make_volume(probe_interval="5m")
    s = serve(v, watchdog_s=0.2)
    s.hear_of("READY=1")
    for _ in range(5):
        s.hear_of("WATCHDOG=1")
    daemon = s.daemon()
    os.kill(daemon, signal.SIGSTOP)
    os.kill(s.process.pid, signal.SIGABRT)
    ends(s, -signal.SIGKILL)
    wait_for(lambda: process_is_gone(daemon), "the daemon to be gone")
    assert s.stop().wait(LIMIT) == 0  # ExecStopPost=: the dead mount
    assert not is_mounted(v.mount_point)


@pytest.fixture
def vault(directory):
    with running_vault(directory / "server", "--no-purge-protection") as server:
        yield server


def test_status_tells_the_state(directory, vault, serve):
    v = GuardedVolume(directory, vault, policy="require_purge_protection = no")
    v.format()
    s = serve(v)
    try:
        s.hear_of("READY=1")
        assert "STATUS=online" in s.said
        vault.command("key", "disable", "tde")
        assert "; next: " in s.hear_of("STATUS=inaccessible (denied): ")
        vault.command("key", "enable", "tde")
        assert s.hear_of("STATUS=online") == "STATUS=online"
        assert s.stop().wait(LIMIT) == 0
        ends(s)
    finally:
        v.close()


def test_waits_for_a_vault(directory, vault, serve):
    """For longer than mount_timeout, until it answers or the unit is stopped."""
    v = GuardedVolume(directory, vault, policy="require_purge_protection = no", mount_timeout="1s")
    v.format()
    vault.stop()
    try:
        s = serve(v)
        s.hear_of(f"STATUS=asking its vault for https://{vault.address}/keys/tde/")  # nobody knows more until it gives up
        assert "; it is mounted as soon as the vault answers" in s.hear_of("STATUS=waiting for its vault: ")
        assert not is_mounted(v.mount_point) and "READY=1" not in s.said
        s.process.terminate()
        ends(s, 6)  # SuccessExitStatus=
        s.socket.close()
        os.unlink(directory / "notify")
        s = serve(v)
        s.hear_of("STATUS=waiting for its vault: ")
        vault.start(listen=vault.address)
        s.hear_of("READY=1")
        assert s.stop().wait(LIMIT) == 0
        ends(s)
    finally:
        v.close()


def test_the_vault_is_ready_when_it_listens(directory):
    data = directory / "vault"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(directory / "notify"))
        told.settimeout(LIMIT)
        server = subprocess.Popen(
            [BUILD / "tdefs-vault", "serve", "--data", data, "--listen", "127.0.0.1:0", "--master-key",
             directory / "master.key"], env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify"),
                                             "ASAN_OPTIONS": "detect_leaks=0"}, stdout=subprocess.DEVNULL)
        try:
            ready, status = told.recv(4096).decode().splitlines()
            host, port = status.removeprefix("STATUS=listening on ").split(":")
            assert ready == "READY=1"
            socket.create_connection((host, int(port)), LIMIT).close()
        finally:
            server.terminate()
            assert server.wait(LIMIT) == 0
