# SPDX-License-Identifier: Apache-2.0
"""Each way to say who we are, against tdefs-vault and the endpoints of Azure's machines."""

import fcntl
import json
import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path

import pytest
from conftest import run, wait_for
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from fake_https import FakeServer, Reply
from ports import take_port
from vault_client import expect
from vault_server import b64

WRONG = str(uuid.uuid4())


@pytest.fixture
def vault(make_vault):
    return make_vault()


def settings(vault, client_id=None, **more):
    return {"authority_host": vault.url, "ca_file": vault.data / "ca.pem", "client_id": client_id,
            **more}


def by_secret(client, vault, identity, **more):
    return client.configure(f"{vault.url}/keys/tde", **settings(
        vault, identity.client_id, identity="client-secret",
        client_secret_file=client.secret_file("secret", identity.secret + "\n"), **more))


def granted(client, **env):
    get, unwrap, versions = client.calls("get,unwrap,versions", **env)
    expect(get, "granted")
    expect(unwrap, "granted")
    assert unwrap["round_trip"] and get["kid"] == unwrap["kid"]
    expect(versions, "granted")
    assert [v["kid"] for v in versions["versions"]] == [get["kid"]]


# Client secrets.

def test_secret_in_a_file(client, vault):
    granted(by_secret(client, vault, vault.identity()))


def test_secret_in_the_environment(client, vault):
    app = vault.identity()
    client.configure(f"{vault.url}/keys/tde", ca_file=vault.data / "ca.pem")
    env = {"AZURE_CLIENT_ID": app.client_id, "AZURE_CLIENT_SECRET": app.secret,
           "AZURE_TENANT_ID": vault.tenant, "AZURE_AUTHORITY_HOST": vault.url}
    granted(client, **env)
    process = client.start("get,pause", **env)
    assert json.loads(process.stdout.readline())["verdict"] == "granted"
    process.stdout.readline()
    environ = Path(f"/proc/{process.pid}/environ").read_bytes()
    process.communicate("\n", timeout=300)
    assert app.client_id.encode() in environ  # it is this process's, and readable
    assert app.secret.encode() not in environ


def test_a_wrong_secret_is_denied(client, vault):
    app = vault.identity()
    app.secret = "x" * 40
    expect(by_secret(client, vault, app).call("get"), "denied", "secret is not valid")


def test_an_unknown_client_is_denied(client, vault):
    app = vault.identity()
    app.client_id = WRONG
    expect(by_secret(client, vault, app).call("get"), "denied", "not in the tenant")


def test_a_removed_identity_is_denied(client, vault):
    app = vault.identity()
    granted(by_secret(client, vault, app))
    vault.command("identity", "remove", "app", "--yes")
    expect(client.call("get"), "denied", "not in the tenant")


def test_an_unknown_tenant_is_denied(client, vault):
    by_secret(client, vault, vault.identity(), tenant_id=WRONG)
    expect(client.call("get"), "denied", "tenant does not exist")


def test_an_expired_secret_is_an_outage_with_an_alarm(client, vault):
    made = vault.command_json("identity", "add", "app", "--expires-days", "1")
    vault.command("grant", "app", "*", "all")
    client.configure(f"{vault.url}/keys/tde", **settings(
        vault, made["client_id"], identity="client-secret",
        client_secret_file=client.secret_file("secret", made["client_secret"])))
    expect(client.call("get"), "granted")
    vault.fault("add", "clock", 2 * 86400)
    expect(client.call("get"), "unreachable", "has expired", alarm=True)


@pytest.mark.parametrize("spoil", ["mode", "missing", "directory", "empty"])
def test_an_unsafe_secret_file_is_not_read(client, vault, spoil):
    by_secret(client, vault, vault.identity())
    path = client.directory / "secret"
    if spoil == "mode":
        path.chmod(0o640)
    else:
        path.unlink()
    if spoil == "directory":
        path.mkdir()
    if spoil == "empty":
        path.touch(0o600)
    expect(client.call("get"), "unreachable", str(path), alarm=True)


def test_permissions_are_granted_one_by_one(client, vault):
    by_secret(client, vault, vault.identity(grant="get"))
    get, wrap = client.calls("get,wrap")
    expect(get, "granted")
    expect(wrap, "denied")
    assert wrap["code"] == "Forbidden" and wrap["inner_code"] and wrap["request_id"]
    vault.command("grant", "app", "tde", "wrapKey")
    expect(client.call("unwrap"), "denied", "unwrapkey")
    vault.command("grant", "app", "tde", "unwrapKey")
    expect(client.call("unwrap"), "granted")
    vault.command("revoke", "app", "tde", "all")
    vault.command("revoke", "app", "*", "all")
    expect(client.call("get"), "denied")


# Certificates.

def certificate(directory, name="cert"):
    """A PEM file with a key and its certificate, and the certificate alone."""
    both, public = directory / f"{name}.pem", directory / f"{name}.crt"
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=app", "-days",
        "2", "-keyout", directory / f"{name}.key", "-out", public)
    both.write_text((directory / f"{name}.key").read_text() + public.read_text())
    both.chmod(0o600)
    return both, public


def test_certificate(client, vault, directory):
    both, public = certificate(directory)
    made = vault.command_json("identity", "add", "app", "--certificate", public)
    vault.command("grant", "app", "*", "all")
    client.configure(f"{vault.url}/keys/tde", **settings(
        vault, made["client_id"], identity="certificate", client_certificate_file=both))
    granted(client)
    other, _ = certificate(directory, "other")
    client.configure(f"{vault.url}/keys/tde", **settings(
        vault, made["client_id"], identity="certificate", client_certificate_file=other))
    answer = client.call("get")
    expect(answer, "unreachable", alarm=True)
    assert "certificate" in answer["next"]


def test_a_file_without_a_key_is_no_certificate(client, vault, directory):
    _, public = certificate(directory)
    made = vault.command_json("identity", "add", "app", "--certificate", public)
    public.chmod(0o600)
    client.configure(f"{vault.url}/keys/tde", **settings(
        vault, made["client_id"], identity="certificate", client_certificate_file=public))
    expect(client.call("get"), "unreachable", "cannot sign with it", alarm=True)


# Workload identity.

class Issuer:
    """An issuer of federated tokens, as an orchestrator is one."""

    url, subject = "https://issuer.example.net", "system:serviceaccount:ns:tdefs"

    def __init__(self, directory):
        self.key = rsa.generate_private_key(65537, 2048)
        n = self.key.public_key().public_numbers().n
        self.jwks = directory / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [{
            "kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "e": "AQAB",
            "n": b64(n.to_bytes(256, "big"))}]}))

    def token(self, lifetime=600, **claims):
        now = int(time.time())
        body = {"iss": self.url, "sub": self.subject, "aud": "api://AzureADTokenExchange",
                "iat": now, "nbf": now - 5, "exp": now + lifetime, "jti": str(uuid.uuid4()),
                **claims}
        text = ".".join(b64(json.dumps(part).encode()) for part in
                        ({"alg": "RS256", "typ": "JWT", "kid": "1"}, body))
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{b64(signature)}"


def test_workload(client, make_vault, directory):
    vault = make_vault("--token-lifetime", "2")  # a new one for each call
    issuer = Issuer(directory)
    made = vault.command_json("identity", "add", "app", "--federated", issuer.url, issuer.subject,
                              issuer.jwks)
    vault.command("grant", "app", "*", "all")
    token_file = directory / "token"
    token_file.write_text(issuer.token() + "\n")
    token_file.chmod(0o644)  # as projected: exempt from the rule for secret files
    client.configure(f"{vault.url}/keys/tde", **settings(
        vault, made["client_id"], identity="workload", federated_token_file=token_file))
    granted(client)
    process = client.start("get,pause,get,pause,get")
    assert json.loads(process.stdout.readline())["verdict"] == "granted"
    process.stdout.readline()
    token_file.write_text(issuer.token(sub="system:serviceaccount:ns:other"))
    process.stdin.write("\n")
    process.stdin.flush()
    expect(json.loads(process.stdout.readline()), "unreachable", alarm=True)
    process.stdout.readline()
    token_file.write_text(issuer.token())
    out, _ = process.communicate("\n", timeout=300)
    expect(json.loads(out), "granted")
    token_file.write_text(issuer.token(lifetime=-600))
    expect(client.call("get"), "unreachable", "expired", alarm=True)


# Identities of the machine.

def test_imds(client, make_vault):
    vault = make_vault("--imds", "0", "--imds-identity", "app", "--imds-uid", "0",
                       "--resource", "https://127.0.0.1")
    client.configure(f"{vault.url}/keys/tde", ca_file=vault.data / "ca.pem", identity="managed")
    env = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{vault.imds}"}
    expect(client.call("get", **env), "denied", "no such identity")
    vault.identity()
    granted(client, **env)
    env["AZURE_CLIENT_ID"] = WRONG
    expect(client.call("get", **env), "denied", "no such identity")


def test_imds_that_starts_is_waited_for(cloud):
    replies = [Reply(404, {"error": "not_found"}), Reply(410, b""), Reply(500, {"error": "unknown"})]
    imds = FakeServer(lambda r: replies.pop() if replies else Reply(
        200, {"access_token": "eyJ-imds", "expires_on": str(int(time.time()) + 3600)}))
    cloud.configure(identity="managed", client_id=None, client_secret_file=None)
    answer = cloud.call("get",
                        AZURE_POD_IDENTITY_AUTHORITY_HOST=f"http://127.0.0.1:{imds.port}")
    expect(answer, "granted")
    assert len(imds.requests) == 4
    imds.close()


def test_nothing_answers_for_imds(cloud):
    port = take_port()
    cloud.configure(identity="managed", client_id=None, client_secret_file=None)
    expect(cloud.call("get", AZURE_POD_IDENTITY_AUTHORITY_HOST=f"http://127.0.0.1:{port}"),
           "unreachable", "IMDS", "no connection")


def test_app_service(cloud):
    def endpoint(r):
        if r.headers["X-IDENTITY-HEADER"] != "h3ader-secret":
            return Reply(400, {"error": "x"})
        return Reply(200, {"access_token": "eyJ-app", "token_type": "Bearer",
                           "expires_on": str(int(time.time()) + 3600)})

    server = FakeServer(endpoint)
    cloud.configure(identity="managed", client_id="cid", client_secret_file=None)
    env = {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{server.port}/msi/token",
           "IDENTITY_HEADER": "h3ader-secret"}
    process = cloud.start("get,pause", **env)
    expect(json.loads(process.stdout.readline()), "granted")
    process.stdout.readline()
    assert b"h3ader-secret" not in Path(f"/proc/{process.pid}/environ").read_bytes()
    process.communicate("\n", timeout=300)
    (request,) = server.requests
    assert request.path == ("/msi/token?api-version=2019-08-01"
                            "&resource=https%3A%2F%2Fvault.azure.net&client_id=cid")
    assert cloud.vault_requests()[-1].token == "Bearer eyJ-app"
    expect(cloud.call("get", **{**env, "IDENTITY_HEADER": "a\r\nX-Evil: 1"}), "unreachable")
    assert not [r for r in server.requests if r.headers["X-Evil"]]
    server.close()


TOKENS = Path("/var/opt/azcmagent/tokens")


@pytest.fixture
def arc_tokens():
    """The agent's directory, which is where it is; what the test made of it is taken away."""
    if Path("/opt/azcmagent/bin/himds").exists():
        pytest.skip("an Azure Arc agent is installed on this host")
    with open(Path(tempfile.gettempdir()) / "tdefs-test-arc.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of all builds' tests, one at a time
        made = [p for p in (TOKENS, *TOKENS.parents) if not p.exists()]
        TOKENS.mkdir(parents=True, exist_ok=True)
        yield TOKENS
        for path in made:
            shutil.rmtree(path) if path == TOKENS else os.rmdir(path)


def arc(cloud, realm, key="k3y-of-arc"):
    def endpoint(r):
        assert r.headers["Metadata"] == "true"
        if r.headers["Authorization"] == f"Basic {key}":
            return Reply(200, {"access_token": "eyJ-arc", "expires_in": "3600"})
        return Reply(401, b"", {"WWW-Authenticate": f"Basic realm={realm}"})

    server = FakeServer(endpoint)
    cloud.configure(identity="managed", client_id=None, client_secret_file=None)
    url = f"http://127.0.0.1:{server.port}/metadata/identity/oauth2/token"
    answer = cloud.call("get", IDENTITY_ENDPOINT=url, IMDS_ENDPOINT="http://127.0.0.1:1")
    server.close()
    return answer, server.requests


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["bare", "lf", "crlf"])
def test_arc(cloud, arc_tokens, end):
    path = arc_tokens / "1234.key"
    path.write_bytes(b"k3y-of-arc" + end.encode())
    answer, requests = arc(cloud, path)
    expect(answer, "granted")
    assert [r.path for r in requests] == 2 * ["/metadata/identity/oauth2/token?api-version="
                                              "2020-06-01&resource=https%3A%2F%2Fvault.azure.net"]
    assert cloud.vault_requests()[-1].token == "Bearer eyJ-arc"


@pytest.mark.parametrize("realm", [
    "/etc/shadow", "/var/opt/azcmagent/tokens/../1234.key", "/var/opt/azcmagent/tokens/a/b.key",
    "/var/opt/azcmagent/tokens/1234.txt", "/var/opt/azcmagent/tokens/.key", "1234.key", "",
    "/var/opt/azcmagent/tokens/gone.key"])
def test_arc_shows_no_other_file(cloud, arc_tokens, realm):
    for name in ("1234.key", "1234.txt", ".key"):
        (arc_tokens / name).write_text("k3y-of-arc")
    answer, requests = arc(cloud, realm)
    expect(answer, "unreachable", alarm=True)
    assert not [r for r in requests if r.headers["Authorization"]]


def test_a_large_arc_key_is_not_sent(cloud, arc_tokens):
    (arc_tokens / "big.key").write_text("x" * 4097)
    answer, requests = arc(cloud, arc_tokens / "big.key")
    expect(answer, "unreachable", alarm=True)
    assert len(requests) == 1


# While it runs.

def test_a_token_that_expires_is_renewed(client, make_vault):
    vault = make_vault("--token-lifetime", "8")
    by_secret(client, vault, vault.identity())
    process = client.start("get,pause,get,pause,unwrap")
    assert json.loads(process.stdout.readline())["verdict"] == "granted"
    for _ in range(2):
        process.stdout.readline()
        end = time.monotonic() + 8.5
        wait_for(lambda end=end: time.monotonic() > end, "the token to expire")
        process.stdin.write("\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        expect(answer, "granted")
        assert answer["waited_ms"] == 0
    process.communicate(timeout=300)


def test_a_vault_that_is_restarted(client, make_vault):
    vault = make_vault()
    by_secret(client, vault, vault.identity())
    process = client.start("get,pause,get,pause,get")
    assert json.loads(process.stdout.readline())["verdict"] == "granted"
    process.stdout.readline()
    vault.stop()
    process.stdin.write("\n")
    process.stdin.flush()
    expect(json.loads(process.stdout.readline()), "unreachable", "no connection")
    process.stdout.readline()
    vault.start(listen=vault.address)
    out, _ = process.communicate("\n", timeout=300)
    expect(json.loads(out), "granted")


def test_a_vault_that_forgets_its_tokens(client, make_vault):
    """A token that is refused is replaced once, and the call goes on."""
    vault = make_vault()
    by_secret(client, vault, vault.identity())
    process = client.start("get,pause,get")
    assert json.loads(process.stdout.readline())["verdict"] == "granted"
    process.stdout.readline()
    vault.fault("add", "clock", 2 * 3600)  # its tokens have expired, as far as it knows
    out, _ = process.communicate("\n", timeout=300)
    expect(json.loads(out), "granted")
