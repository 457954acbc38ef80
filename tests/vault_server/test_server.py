# SPDX-License-Identifier: Apache-2.0
"""The server as a service: starts, kills, load, certificates, backups, faults for tests."""

import http.client
import json
import os
import random
import re
import shutil
import socket
import ssl
import stat
import threading
import time
import warnings

import pytest
from conftest import BUILD, SANITIZED, run, wait_for
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from vault_server import unb64

KILLS = 4 if SANITIZED else 12
CLIENTS = 500


def test_first_start(make_vault):
    vault = make_vault(faults=False)
    printed = " ".join(vault.printed.split())
    for line in (f"protector = https://{vault.address}/keys/NAME", f"tenant_id = {vault.tenant}",
                 f"ca_file = {vault.data}/ca.pem"):
        assert line in printed
    assert stat.S_IMODE(vault.data.stat().st_mode) == 0o700
    assert stat.S_IMODE(vault.master_key.stat().st_mode) == 0o600
    assert len(vault.master_key.read_bytes()) == 32
    assert vault.send("GET", "/healthstatus").status == 200
    vault.stop()
    vault.start()
    assert "made a vault" not in vault.printed


def refused(vault, *args, code, says):
    # A start that is not refused would serve until the end of time.
    found = run("timeout", "60", BUILD / "tdefs-vault", "serve", "--listen", "127.0.0.1:0", *args,
                *vault.arguments(), check=False, env=vault.environment())
    assert found.returncode == code and says in found.stderr, (found.returncode, found.stderr)
    assert "\n  next: " in found.stderr


def test_starts_that_are_refused(make_vault):
    vault = make_vault()
    refused(vault, code=1, says="another server runs on it")
    vault.stop()
    key = vault.master_key.read_bytes()
    os.chmod(vault.master_key, 0o640)
    refused(vault, code=2, says="closed to everybody else")
    vault.master_key.write_bytes(os.urandom(32))
    os.chmod(vault.master_key, 0o600)
    refused(vault, code=2, says="the master key does not open this vault")
    vault.master_key.write_bytes(key[:31])
    refused(vault, code=2, says="this is no master key")
    vault.master_key.unlink()
    refused(vault, code=2, says="there is no master key")
    assert not vault.master_key.exists()
    vault.master_key.write_bytes(key)
    os.chmod(vault.master_key, 0o600)
    os.chmod(vault.data, 0o750)
    refused(vault, code=2, says="closed to everybody else")
    os.chmod(vault.data, 0o700)
    refused(vault, "--listen", "127.0.0.1", code=2, says="cannot listen on 127.0.0.1")
    vault.start()


def test_master_key_outside_the_vault(make_vault):
    vault = make_vault(start=False)
    vault.master_key = vault.data / "master.key"
    refused(vault, code=2, says="must not lie in the vault's directory")
    assert not vault.master_key.exists()


def test_passphrase(make_vault):
    vault = make_vault(start=False)
    passphrase = vault.directory / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    os.chmod(passphrase, 0o600)
    vault.arguments = lambda: ["--data", str(vault.data), "--passphrase-file", str(passphrase)]
    vault.start()
    app = vault.identity().login()
    app.create("k")
    value = app.wrap("/keys/k", b"dek")["value"]
    vault.stop()
    passphrase.write_text("incorrect horse battery staple\n")
    refused(vault, code=2, says="does not open this vault")
    passphrase.write_text("correct horse battery staple")
    vault.start()
    assert app.unwrap("/keys/k", value) == b"dek"


def test_credential_of_systemd(make_vault):
    vault = make_vault(start=False)
    credentials = vault.directory / "credentials"
    credentials.mkdir()
    (credentials / "tdefs-vault-master-key").write_bytes(os.urandom(32))
    os.chmod(credentials / "tdefs-vault-master-key", 0o400)
    vault.arguments = lambda: ["--data", str(vault.data)]
    environment = vault.environment()
    vault.environment = lambda: {**environment, "CREDENTIALS_DIRECTORY": str(credentials)}
    vault.start()
    vault.command("key", "create", "k")


class Writer(threading.Thread):
    """Makes keys and changes them, and remembers what was answered with 200."""

    def __init__(self, app, number):
        super().__init__()
        self.app, self.number = app, number
        self.acknowledged = {}  # name: the last bundle answered
        self.wrapped = {}       # path of the version: (plaintext, value)
        self.failed = None

    def step(self, i):
        name = f"k{self.number}-{i % 7}"
        if name not in self.acknowledged or random.random() < 0.3:
            bundle = self.app.create(name)
            path = bundle["key"]["kid"].split("/", 3)[3]
            dek = os.urandom(32)
            self.wrapped[f"/{path}"] = (dek, self.app.wrap(f"/{path}", dek)["value"])
            self.acknowledged[name] = bundle
        else:
            self.acknowledged[name] = None  # in doubt until it is answered
            self.acknowledged[name] = self.app.ok(
                "PATCH", f"/keys/{name}", {"tags": {"i": str(i), "by": str(self.number)}})

    def run(self):
        try:
            for i in range(1000000):
                self.step(i)
        except (OSError, http.client.HTTPException):
            pass  # the server was killed
        except Exception as e:  # noqa: BLE001 - reported by the test
            self.failed = e


def test_kills_lose_nothing_acknowledged(make_vault):
    """SIGKILL at any moment under load: every answered change is there afterwards."""
    vault = make_vault()
    app = vault.identity().login()
    bundles, wrapped = {}, {}
    for kill in range(KILLS):
        writers = [Writer(app, f"{kill}x{n}") for n in range(4)]
        for w in writers:
            w.start()
        wait_for(lambda: sum(map(lambda w: len(w.wrapped), writers)) > kill % 5, "some work")
        vault.kill()
        for w in writers:
            w.join()
            assert not w.failed, w.failed
            bundles.update({k: v for k, v in w.acknowledged.items() if v})
            wrapped.update(w.wrapped)
        vault.start()
        app.login()
        base = vault.url
        for name, bundle in bundles.items():
            path = bundle["key"]["kid"].split("/", 3)[3]
            found = app.ok("GET", f"/{path}")
            assert found == {**bundle, "key": {**bundle["key"], "kid": f"{base}/{path}"}}, name
    for path, (dek, value) in wrapped.items():
        assert app.unwrap(path, value) == dek
    assert len(bundles) >= KILLS and len(wrapped) >= KILLS
    # Whatever changed the vault was also written down.
    logged = {line["kid"].split("/", 3)[3] for line in vault.audit()
              if line["operation"] == "KeyCreate" and line["result"] == "Success"}
    assert {p[1:] for p in wrapped} <= logged


def memory_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M)[1])


@pytest.mark.unsanitized("a sanitizer's memory has no such bound")
def test_many_clients(make_vault):
    """500 TLS clients at once, each with an open connection, none refused; memory bounded."""
    vault = make_vault()
    app = vault.identity().login()
    app.create("k")
    value = app.wrap("/keys/k", b"dek")["value"]
    before = memory_kb(vault.process.pid)
    body = {"alg": "RSA-OAEP-256", "value": value}
    everybody = threading.Barrier(CLIENTS)
    context = vault.context()
    answers, errors = [], []

    def client():
        host, port = vault.address.rsplit(":", 1)
        c = http.client.HTTPSConnection(host, int(port), context=context, timeout=120)
        try:
            c.connect()
            everybody.wait(120)  # all are connected before the first asks
            for _ in range(2):
                answers.append(app.call("POST", "/keys/k/unwrapkey", body, connection=c).status)
            everybody.wait(120)
        except Exception as e:  # noqa: BLE001 - reported below
            errors.append(repr(e))
            everybody.abort()
        finally:
            c.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for t in threads:
        t.start()
    peak = 0
    while any(t.is_alive() for t in threads):
        peak = max(peak, memory_kb(vault.process.pid))
        next((t for t in threads if t.is_alive()), threads[0]).join(0.05)
    assert not errors, (len(errors), errors[:3])
    assert answers == [200] * (2 * CLIENTS)
    print(f"memory: {before} kB idle, {peak} kB with {CLIENTS} clients")
    assert peak - before < 160 * 1024
    assert app.call("GET", "/keys/k").status == 200


def test_more_clients_than_the_limit_wait(make_vault):
    """Far beyond the limit nobody is reset: who waits is served when others have gone."""
    vault = make_vault("--max-clients", "4")
    host, port = vault.address.rsplit(":", 1)
    held = [socket.create_connection((host, int(port))) for _ in range(100)]
    one_more = socket.create_connection((host, int(port)), timeout=1)
    with pytest.raises(TimeoutError):  # neither closed nor reset
        one_more.recv(1)
    for s in held:
        s.close()
    one_more.settimeout(60)
    with vault.context().wrap_socket(one_more, server_hostname=host) as tls:
        tls.sendall(b"GET /healthstatus HTTP/1.1\r\nHost: x\r\n\r\n")
        assert tls.recv(100).startswith(b"HTTP/1.1 200 ")


def test_slow_clients_hold_up_nobody(make_vault):
    """Half a handshake, half a request: others are answered meanwhile."""
    vault = make_vault()
    app = vault.identity().login()
    host, port = vault.address.rsplit(":", 1)
    stuck = [socket.create_connection((host, int(port))) for _ in range(20)]
    for s in stuck[:10]:
        s.sendall(b"\x16\x03\x01")
    half = vault.context().wrap_socket(stuck[19], server_hostname="127.0.0.1")
    half.sendall(b"POST /keys/k/create?api-version=7.4 HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
    app.create("k")
    for s in stuck[:19] + [half]:
        s.close()


def server_certificate(vault):
    host, port = vault.address.rsplit(":", 1)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port))) as s, context.wrap_socket(s) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(True)), tls.version()


def test_certificate(make_vault):
    vault = make_vault("--names", "vault.example,192.0.2.1")
    cert, version = server_certificate(vault)
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "vault.example"} <= set(names.get_values_for_type(x509.DNSName))
    assert {"127.0.0.1", "192.0.2.1"} <= {str(a) for a in names.get_values_for_type(x509.IPAddress)}
    assert version == "TLSv1.3"
    old = ssl.create_default_context(cafile=vault.data / "ca.pem")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    host, port = vault.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as s, pytest.raises((ssl.SSLError, OSError)):
        old.wrap_socket(s, server_hostname="localhost")
    vault.stop()
    vault.start()
    assert server_certificate(vault)[0] == cert


def test_certificate_renews_itself(make_vault):
    vault = make_vault()
    first, _ = server_certificate(vault)
    connection = vault.connect()
    assert vault.send("GET", "/healthstatus", connection=connection).status == 200
    expires = vault.command_json("status")["certificate_expires"]
    vault.fault("add", "clock", str(59 * 86400))
    assert server_certificate(vault)[0] == first
    vault.fault("add", "clock", str(61 * 86400))
    wait_for(lambda: server_certificate(vault)[0] != first, "a new certificate")
    second, _ = server_certificate(vault)
    assert second.not_valid_after > first.not_valid_after and second.issuer == first.issuer
    assert vault.send("GET", "/healthstatus", connection=connection).status == 200
    connection.close()
    assert vault.command_json("status")["certificate_expires"] > expires
    # The same authority signed it, and clients' copy of it still serves.
    ca = x509.load_pem_x509_certificate((vault.data / "ca.pem").read_bytes())
    ca.public_key().verify(second.signature, second.tbs_certificate_bytes,
                           ec.ECDSA(second.signature_hash_algorithm))


def test_backup_and_restore(make_vault):
    vault = make_vault()
    app = vault.identity().login()
    kid = app.create("k", tags={"a": "b"})["key"]["kid"]
    value = app.wrap("/keys/k", b"dek")["value"]
    app.create("gone")
    app.ok("DELETE", "/keys/gone")
    file = vault.directory / "backup"
    vault.command("backup", file)  # beside the running server
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    app.create("later")
    taken = vault.command("restore", file, check=False)
    assert taken.returncode == 7 and "there is a vault here" in taken.stderr
    vault.stop()
    shutil.rmtree(vault.data)
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    bad = vault.directory / "damaged"
    bad.write_bytes(damaged)
    refused_restore = vault.command("restore", bad, check=False)
    assert refused_restore.returncode == 2 and "does not open this backup" in refused_restore.stderr
    bad.write_bytes(file.read_bytes()[:-1])
    assert vault.command("restore", bad, check=False).returncode == 2
    bad.write_bytes(b"x" * 100)
    assert "not a backup" in vault.command("restore", bad, check=False).stderr
    vault.command_json("restore", file)
    vault.start()
    app.login()
    assert app.unwrap("/" + kid.split("/", 3)[3], value) == b"dek"
    assert app.call("GET", "/keys/later").status == 404
    assert app.call("GET", "/deletedkeys/gone").status == 200


def test_state_survives_restart(make_vault):
    vault = make_vault()
    app = vault.identity().login()
    app.create("k")
    value = app.wrap("/keys/k", b"dek")["value"]
    vault.stop()
    vault.start()
    assert app.unwrap("/keys/k", value) == b"dek"  # the token too


def test_local_commands_without_a_server(make_vault):
    vault = make_vault()
    vault.stop()
    kid = vault.command_json("key", "create", "k", "--size", "3072", "--ops", "wrapKey,unwrapKey")["key"]
    assert kid["key_ops"] == ["wrapKey", "unwrapKey"] and len(kid["n"]) == 512
    vault.command("key", "rotate", "k")
    vault.command("key", "disable", "k")
    assert "disabled" in vault.command("key", "list").stdout
    vault.command("key", "enable", "k")
    vault.command_json("key", "delete", "k")
    listed = vault.command_json("key", "list")
    assert listed["keys"] == [] and len(listed["deleted"]) == 1
    vault.command("key", "recover", "k")
    app = vault.identity()
    for words in (["grant", "other", "k", "get"], ["revoke", "other", "k", "get"], ["firewall", "off"],
                  ["identity", "remove", "other", "--yes"]):
        if words[0] == "grant":
            vault.command("identity", "add", "other")
        assert vault.command_json(*words) == {"schema": 1}, words
    vault.start()
    app.login()
    assert len(app.ok("GET", "/keys/k/versions")["value"]) == 2
    assert app.unwrap("/keys/k", app.wrap("/keys/k", b"x")["value"]) == b"x"


def test_status_warns(make_vault):
    vault = make_vault("--no-purge-protection")
    config = vault.directory / "tdefs.conf"
    (vault.directory / "backing").mkdir()
    config.write_text(f"[server]\nprotector = file:/x.pem\n[volume sales]\n"
                      f"backing = {vault.directory}/backing\nmount = {vault.directory}/mnt\n")
    status = json.loads(vault.command("status", "--json", "--config", config).stdout)
    text = "\n".join(status["warnings"])
    assert "volume sales and this vault share a disk" in text
    assert "the master key" in text and "share a disk" in text
    assert "purge protection is off" in text
    assert status["running"] is True and status["retention_days"] == 90
    assert status["certificate_expires"] < status["ca_expires"]


def test_faults_are_refused_without_the_flag(make_vault):
    vault = make_vault(faults=False)
    found = vault.command("fault", "add", "drop", "*", check=False)
    assert found.returncode == 7 and "FAULTS ARE FOR TESTS" in found.stderr
    vault.fault("add", "status", "*", "500")
    assert vault.send("GET", "/healthstatus").status == 200  # it runs without: none acts
    vault.stop()
    refused(vault, code=7, says="FAULTS FOR TESTS are set in this vault")
    vault.fault("clear")
    vault.start()


def test_faults(make_vault):
    vault = make_vault()
    app = vault.identity().login()
    app.create("k")
    value = app.wrap("/keys/k", b"dek")["value"]

    def ask():
        return app.call("POST", "/keys/k/unwrapkey", {"alg": "RSA-OAEP-256", "value": value})

    vault.fault("add", "status", "*/unwrapkey", "429", count=1)
    assert ask().error[:2] == (429, "Throttled") and ask().status == 200
    vault.fault("add", "status", "*/unwrapkey", "503,ServiceUnavailable,,Try again, later", count=1)
    assert ask().error == (503, "ServiceUnavailable", None, "Try again, later")
    vault.fault("add", "status", "*/unwrapkey", "403,Forbidden,ForbiddenByRbac", count=1)
    assert ask().error[:3] == (403, "Forbidden", "ForbiddenByRbac")
    vault.fault("add", "header", "*/unwrapkey", "Retry-After: 7", count=1)
    vault.fault("add", "status", "*/unwrapkey", "429", count=1)
    assert ask().headers["Retry-After"] == "7" and "Retry-After" not in ask().headers
    vault.fault("add", "drop", "*/unwrapkey", count=1)
    with pytest.raises((OSError, http.client.HTTPException)):
        ask()
    vault.fault("add", "truncate", "*/unwrapkey", "10", count=1)
    with pytest.raises((OSError, http.client.HTTPException)):
        ask()
    vault.fault("add", "body", "*/unwrapkey", "<html>", count=1)
    answer = ask()
    assert answer.raw == b"<html>" and answer.headers["Content-Type"] == "text/html"
    vault.fault("add", "wrong", "*/unwrapkey", count=1)
    assert unb64(ask().json["value"]) not in (b"dek", b"")
    vault.fault("add", "drop-after", "*/create", count=1)
    with pytest.raises((OSError, http.client.HTTPException)):
        app.create("done")
    assert app.call("GET", "/keys/done").status == 200
    vault.fault("add", "delay", "*/unwrapkey", "400", count=1)
    start = time.monotonic()
    assert ask().status == 200 and time.monotonic() - start >= 0.4
    vault.fault("add", "status", "*/oauth2/*", "503")
    assert vault.token(client_id=app.client_id, client_secret=app.secret).status == 503
    vault.fault("clear")
    assert unb64(ask().json["value"]) == b"dek"


def test_stop_does_not_wait_for_delays(make_vault):
    vault = make_vault()
    vault.fault("add", "delay", "/healthstatus", "60000")
    failed = []

    def ask():
        try:
            vault.send("GET", "/healthstatus")
        except (OSError, http.client.HTTPException) as e:
            failed.append(e)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(lambda: len(os.listdir(f"/proc/{vault.process.pid}/task")) > 2, "the request")
    start = time.monotonic()
    vault.stop()
    assert time.monotonic() - start < 30
    asking.join(60)
