# SPDX-License-Identifier: Apache-2.0
"""What the client does with every kind of network, proxy and nonsense."""

import email.utils
import json
import ssl
import time
from pathlib import Path

import pytest
from conftest import wait_for
from fake_cloud import (CONTOSO, ENTRA, NAMES, SECRET, TENANT, VAULT_HEADERS, VERSION, Cloud, bundle,
                        error)
from fake_https import Authority, FakeServer, Proxy, Reply
from ports import take_port
from vault_client import expect


def test_a_call_as_it_should_be(cloud):
    get, unwrap = cloud.calls("get,unwrap")
    expect(get, "granted")
    assert get["kid"] == f"https://{CONTOSO}/keys/tde/{VERSION}" and get["bits"] == 2048
    assert unwrap["verdict"] == "granted" and unwrap["round_trip"]
    challenge, real, wrap, unwrapped = cloud.vault_requests()
    assert challenge.token is None and challenge.body == b""
    assert real.token == wrap.token == unwrapped.token == "Bearer eyJ-token-1"
    assert wrap.path.startswith("/keys/tde/wrapkey?api-version=7.4")
    assert unwrapped.path.startswith(f"/keys/tde/{VERSION}/unwrapkey?")
    assert json.loads(wrap.body)["alg"] == "RSA-OAEP-256"
    (token,) = cloud.token_requests()
    assert token.host == ENTRA and token.path == f"/{TENANT}/oauth2/v2.0/token"
    assert b"scope=https%3A%2F%2Fvault.azure.net%2F.default" in token.body


# TLS and TCP.

def tls(cloud, context):
    cloud.server.context = context
    return cloud.direct().call("get")


def test_certificate_of_another_authority(cloud, directory):
    other = Authority(directory, "other CA")
    expect(tls(cloud, other.context(*NAMES)), "unreachable", "TLS failed", "certificate")


def test_expired_certificate(cloud):
    expect(tls(cloud, cloud.ca.context(*NAMES, days=(-2, -1))), "unreachable", "TLS failed",
           "expired")


def test_certificate_of_tomorrow(cloud):
    expect(tls(cloud, cloud.ca.context(*NAMES, days=(1, 2))), "unreachable", "TLS failed",
           "not yet valid")


def test_certificate_for_another_name(cloud):
    expect(tls(cloud, cloud.ca.context("other.example.net")), "unreachable", "TLS failed")


def test_old_tls(cloud):
    context = cloud.ca.context(*NAMES)
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    lax = cloud.directory / "openssl.cnf"  # so that the refusal is ours, not the distribution's
    lax.write_text("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n"
                   "MinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n")
    cloud.server.context = context
    expect(cloud.direct().call("get", OPENSSL_CONF=str(lax)), "unreachable", "TLS failed")
    assert not cloud.server.requests


def test_ca_file_replaces_the_systems_roots(cloud):
    answer = cloud.direct(ca_file=None).call("get")
    expect(answer, "unreachable", "TLS failed")


def test_a_ca_file_that_is_not_there_is_named_before_anything_is_asked(cloud):
    missing = cloud.directory / "none.pem"
    process = cloud.direct(ca_file=missing).start("get")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2, err
    assert f"ca_file {missing}: cannot open: No such file or directory" in err
    assert not cloud.server.requests


def test_plain_http(cloud):
    expect(tls(cloud, None), "unreachable", "TLS failed")
    assert not cloud.server.requests


def test_nobody_listens(cloud):
    cloud.direct().configure(f"https://localhost:{take_port()}/keys/tde", identity="none")
    expect(cloud.call("get"), "unreachable", "no connection")


def test_no_such_host(cloud):
    cloud.direct().configure("https://nowhere.invalid/keys/tde", identity="none")
    expect(cloud.call("get", RES_OPTIONS="timeout:1 attempts:1"), "unreachable", "host name is not known")


def answering(cloud, reply, operation="get", timeout_ms=None):
    """The answer to an operation when the vault gives this one whenever it is asked."""
    cloud.challenge = reply if callable(reply) else lambda r: reply
    return cloud.direct().call(operation, timeout_ms)


@pytest.mark.parametrize("raw", [
    b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 100,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{}",
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 500\r\n"
    b"x-ms-request-id: 1\r\n\r\n" + b'{"error":{"code":"Forbidden","message":"m"}}',
], ids=["nothing", "head", "body", "ssh", "nuls", "chunk", "cut-denial"])
def test_broken_off(cloud, raw):
    expect(answering(cloud, Reply(raw=raw)), "unreachable")
    assert len(cloud.server.requests) >= 2  # it was worth another try


def test_too_large(cloud):
    answer = answering(cloud, Reply(200, b"[" + b" " * (10 << 20) + b"]"))
    expect(answer, "unreachable", "too long")


def test_slow_drip_ends_at_the_deadline(cloud):
    answer = answering(cloud, Reply(200, drip=True), timeout_ms=1500)
    expect(answer, "unreachable", "no answer in time")
    assert answer["elapsed_ms"] >= 1400


# Answers of others, and nonsense.

HTML = "<html><body>Blocked by your administrator</body></html>"


@pytest.mark.parametrize("reply", [
    *(Reply(status, HTML, VAULT_HEADERS, "text/html") for status in (200, 400, 403, 404, 407, 502)),
    *(Reply(status, b"", {"Location": "https://evil.example.net/"})
      for status in (301, 302, 303, 307, 308)),
    Reply(403, b"", VAULT_HEADERS), Reply(404, b"", VAULT_HEADERS),
    Reply(403, {"message": "no"}, VAULT_HEADERS), Reply(404, {"error": "no"}, VAULT_HEADERS),
    Reply(403, {"error": {"code": "Forbidden", "message": "m"}}, {}),
    Reply(200, {"error": {"code": "Forbidden"}}, VAULT_HEADERS, "text/plain"),
    Reply(204, b"", VAULT_HEADERS),
], ids=lambda r: f"{r.status}-{r.bytes()[:12].decode()}")
def test_answers_of_others_are_no_denials(cloud, reply):
    expect(answering(cloud, reply), "unreachable")
    assert {r.host.split(":")[0] for r in cloud.server.requests} == {"localhost"}


def raw_json(text):
    return Reply(200, text, VAULT_HEADERS)


def good_bundle(cloud):
    return json.dumps(bundle(f"localhost:{cloud.server.port}"))


@pytest.mark.parametrize("spoil", [
    lambda t: t[:-1], lambda t: "", lambda t: "null", lambda t: "OK", lambda t: f"[{t}]",
    lambda t: t.replace(VERSION, VERSION[::-1]) + "x",
    lambda t: t.replace("/keys/tde/", "/keys/other/"), lambda t: t.replace(f"/{VERSION}", ""),
    lambda t: t.replace("localhost", "elsewhere"), lambda t: t.replace('"kty"', '"kid": 1, "kty"'),
    lambda t: t.replace('"AQAB"', '"AQ=="'), lambda t: t.replace('"RSA"', '"EC"'),
    lambda t: t.replace('"attributes"', '"x": ' + "[" * 5000 + "]" * 5000 + ', "attributes"'),
    lambda t: t.replace("AQAB", "AQ\0B"), lambda t: t.replace("AQAB", "AQ\\u0000B"), lambda t: t + "\0",
    lambda t: t.replace('"AQAB"', "65537"), lambda t: t.replace("RSA", "R\xff"),
], ids=["cut", "empty", "null", "ok", "array", "trailing", "name", "versionless", "host", "twice",
        "padding", "kty", "deep", "nul", "escaped-nul", "final-nul", "number", "utf8"])
def test_nonsense_about_a_key_is_broken(cloud, spoil):
    answer = answering(cloud, lambda r: raw_json(spoil(good_bundle(cloud)).encode("latin-1")))
    expect(answer, "broken")
    assert len(cloud.server.requests) == 1


@pytest.mark.parametrize("spoil", [
    lambda a: {**a, "value": a["value"] + "="}, lambda a: {**a, "value": "+/+/"},
    lambda a: {**a, "value": None}, lambda a: {**a, "value": ""}, lambda a: {"kid": a["kid"]},
    lambda a: {"value": a["value"]}, lambda a: {**a, "kid": a["kid"].replace("tde", "other")},
    lambda a: {**a, "value": "A" * 1000}, lambda a: [a],
], ids=["padding", "base64", "null", "empty", "none", "no-kid", "other-kid", "long", "array"])
def test_nonsense_of_wrapping_is_broken(cloud, spoil):
    answer = answering(
        cloud, lambda r: Reply(200, spoil(json.loads(Cloud.key_vault(r).bytes())), VAULT_HEADERS),
        "wrap")
    expect(answer, "broken")


# Again, or not again.

def test_denials_are_asked_once(cloud):
    for reply in (error(403, "Forbidden", "ForbiddenByPolicy"), error(404, "KeyNotFound")):
        cloud.server.requests.clear()
        answer = answering(cloud, reply)
        expect(answer, "denied")
        assert answer["code"] == reply.body["error"]["code"]
        assert answer["request_id"] == VAULT_HEADERS["x-ms-request-id"]
        assert len(cloud.server.requests) == 1


def test_a_bad_request_is_asked_once(cloud):
    expect(answering(cloud, error(400, "BadParameter")), "broken")
    assert len(cloud.server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_that_passes(cloud, status):
    replies = [error(status, "Trouble")]
    answer = answering(cloud, lambda r: replies.pop() if replies else Cloud.key_vault(r))
    expect(answer, "granted")
    assert len(cloud.server.requests) == 2
    assert 800 <= answer["waited_ms"] <= 1200


def test_throttling_without_retry_after(cloud):
    answer = answering(cloud, error(429, "Throttled"))
    expect(answer, "unreachable", "429")
    assert answer["retry_after_ms"] == 0 and len(cloud.server.requests) == 6
    assert 31_000 * 4 // 5 <= answer["waited_ms"] <= 31_000 * 6 // 5  # 1, 2, 4, 8, 16 seconds


def test_throttling_says_when(cloud):
    answer = answering(cloud, error(429, "Throttled", **{"Retry-After": "120"}))
    expect(answer, "unreachable")
    assert answer["retry_after_ms"] == 120_000
    assert len(cloud.server.requests) == 1  # no sooner than it was told
    assert answer["waited_ms"] == 0
    when = email.utils.formatdate(time.time() + 600, usegmt=True)
    answer = answering(cloud, error(429, "Throttled", **{"Retry-After": when}))
    assert 500_000 < answer["retry_after_ms"] <= 600_000


def test_retry_after_is_waited_for(cloud):
    replies = [error(429, "Throttled", **{"Retry-After": "3"})]
    answer = answering(cloud, lambda r: replies.pop() if replies else Cloud.key_vault(r))
    expect(answer, "granted")
    assert answer["waited_ms"] == 3000


def test_pages_share_one_deadline(cloud):
    """A list in many pages, each of them slow, ends when the call's time is over."""
    page = iter(range(1000))

    def slow(r):
        cloud.server.closing.wait(0.4)
        link = f"https://localhost:{cloud.server.port}/keys/tde/versions?page={next(page)}"
        return Reply(200, {"value": [], "nextLink": link}, VAULT_HEADERS)

    answer = answering(cloud, slow, "versions", timeout_ms=1500)
    assert answer["verdict"] != "granted"
    assert len(cloud.server.requests) <= 5  # 1500 ms, by 400 ms each


# Tokens, secrets and where they go.

def test_a_refused_token_is_replaced_once(cloud):
    def vault(r):
        if r.token.endswith("-1"):
            return error(401, "Unauthorized")
        return Cloud.key_vault(r)

    cloud.vault = vault
    expect(cloud.call("get"), "granted")
    assert cloud.tokens == 2


def test_a_fresh_token_that_is_refused_is_an_alarm(cloud):
    cloud.vault = lambda r: error(401, "Unauthorized")
    expect(cloud.call("get"), "unreachable", "401", alarm=True)
    assert cloud.tokens == 2


def test_an_empty_401_after_a_fresh_token_is_an_alarm(cloud):
    cloud.vault = lambda r: Reply(401, b"OK", VAULT_HEADERS)
    expect(cloud.call("get"), "unreachable", alarm=True)


def test_a_token_goes_only_below_its_resource(cloud):
    """A vault of no known cloud that asks for a token of Azure's vaults gets none."""
    cloud.configure("https://vault.example.net/keys/tde", tenant_id=TENANT)
    cloud.challenge = lambda r: Cloud.default_challenge(CONTOSO)
    answer = cloud.call("get")
    expect(answer, "unreachable", "another resource")
    assert not cloud.token_requests()
    assert not [r for r in cloud.server.requests if r.token]


def test_a_vault_may_not_turn_to_another_resource(cloud):
    cloud.challenge = lambda r: Cloud.default_challenge("x.managedhsm.azure.net")
    expect(cloud.call("get"), "unreachable", "another resource")
    assert not cloud.token_requests()


def test_a_secret_goes_only_to_a_known_authority(cloud):
    cloud.configure("https://vault.example.net/keys/tde")
    cloud.challenge = lambda r: Cloud.default_challenge("vault.example.net",
                                                        f"https://login.example.net/{TENANT}")
    answer = cloud.call("get")
    expect(answer, "unreachable", "neither Azure's nor configured")
    assert not cloud.token_requests()
    assert not [r for r in cloud.server.requests if SECRET[:8].encode() in r.body]


def test_a_configured_authority_is_kept(cloud):
    """Whatever a challenge says: the secret goes where the configuration says."""
    cloud.configure("https://vault.example.net/keys/tde", authority_host="https://login.windows.net")
    cloud.challenge = lambda r: None if r.token else Cloud.default_challenge(
        "vault.example.net", f"https://login.example.net/{TENANT}")
    cloud.server.answer = lambda r: cloud.authority(r) if r.host.startswith("login.") else (
        cloud.vault(r) if r.token else cloud.challenge(r))
    expect(cloud.call("get"), "granted")
    assert {r.host for r in cloud.token_requests()} == {"login.windows.net"}


def test_two_schemes_in_a_challenge(cloud):
    def challenge(r):
        if r.token:
            return cloud.vault(r)
        reply = Cloud.default_challenge(CONTOSO)
        reply.headers["WWW-Authenticate"] = [reply.headers["WWW-Authenticate"],
                                             'PoP nonce="x"']
        return reply

    cloud.challenge = challenge
    expect(cloud.call("get"), "granted")


def answers_after_the_token_is_due(cloud):
    """Two, after a first that was granted; the authority's tokens are due within a second."""
    process = cloud.start("get,pause,get,get")
    assert json.loads(process.stdout.readline())["verdict"] == "granted"
    process.stdout.readline()
    start = time.monotonic()
    wait_for(lambda: time.monotonic() > start + 1.2, "the token to be due")
    out, _ = process.communicate("\n", timeout=300)
    return [json.loads(line) for line in out.splitlines()]


def test_a_slow_authority_does_not_stop_a_good_token(cloud):
    """An early refresh that hangs takes neither the time nor the token in hand."""
    def authority(r):
        if cloud.tokens == 0:
            cloud.tokens += 1
            return Reply(200, {"expires_in": 3600, "refresh_in": 1, "access_token": "eyJ-token-1"})
        cloud.server.closing.wait(60)
        return Reply(503)

    cloud.authority = authority
    second, third = answers_after_the_token_is_due(cloud)
    expect(second, "granted")
    expect(third, "granted")
    assert len(cloud.token_requests()) == 2  # and not at every call


def test_an_identity_that_is_gone_outweighs_a_good_token(cloud):
    """A token may live for a day after its identity was removed: the authority's word counts as soon as it says it."""
    def authority(r):
        if cloud.tokens == 0:
            cloud.tokens += 1
            return Reply(200, {"expires_in": 86400, "refresh_in": 1, "access_token": "eyJ-token-1"})
        return Reply(400, {"error": "unauthorized_client",
                           "error_description": "AADSTS700016: Application was not found in the directory"})

    cloud.authority = authority
    second, third = answers_after_the_token_is_due(cloud)
    expect(second, "denied")
    expect(third, "denied")  # asked again: a denial is to be confirmed


# Proxies and connections.

def test_https_proxy_is_used(cloud):
    expect(cloud.call("get"), "granted")
    assert set(cloud.proxy.targets) == {f"CONNECT {CONTOSO}:443 HTTP/1.1",
                                        f"CONNECT {ENTRA}:443 HTTP/1.1"}


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required",
                                    "502 Bad Gateway"])
def test_a_proxy_that_refuses_is_an_outage(cloud, status):
    proxy = Proxy(cloud.server.port, f"HTTP/1.1 {status}\r\nx-ms-request-id: 1\r\n"
                  "Content-Type: application/json\r\nContent-Length: 0\r\n\r\n".encode())
    expect(cloud.call("get", HTTPS_PROXY=proxy.url), "unreachable")
    proxy.close()


def test_a_proxys_headers_are_not_the_vaults(cloud):
    proxy = Proxy(cloud.server.port, b"HTTP/1.1 200 OK\r\nx-ms-request-id: proxy\r\n"
                  b"Retry-After: 120\r\n\r\n")
    cloud.challenge = lambda r: Reply(403, {"error": {"code": "Forbidden", "message": "m"}})
    cloud.configure(identity="none")
    answer = cloud.call("get", HTTPS_PROXY=proxy.url)
    expect(answer, "unreachable")  # without the vault's own header it is no denial
    assert answer["request_id"] == "" and answer["retry_after_ms"] == 0
    proxy.close()


def test_metadata_goes_through_no_proxy(cloud):
    imds = FakeServer(lambda r: Reply(200, {"access_token": "eyJ-imds", "expires_in": "3599",
                                            "token_type": "Bearer"}))
    cloud.configure(identity="managed", client_secret_file=None, client_id=None)
    answer = cloud.call("get", http_proxy=cloud.proxy.url, HTTP_PROXY=cloud.proxy.url,
                        ALL_PROXY=cloud.proxy.url,
                        AZURE_POD_IDENTITY_AUTHORITY_HOST=f"http://127.0.0.1:{imds.port}")
    expect(answer, "granted")
    (request,) = imds.requests
    assert request.headers["Metadata"] == "true"
    assert request.path == ("/metadata/identity/oauth2/token?api-version=2018-02-01"
                            "&resource=https%3A%2F%2Fvault.azure.net")
    assert all(str(imds.port) not in t for t in cloud.proxy.targets)
    imds.close()


def test_connections_are_kept(cloud):
    for answer in cloud.configure().calls("get,wrap,unwrap,get,get"):
        expect(answer, "granted")
    hosts = {ENTRA, CONTOSO}
    assert cloud.server.connections == len(hosts)


def test_a_connection_that_was_closed_meanwhile(cloud):
    process = cloud.start("get,pause,get")
    assert json.loads(process.stdout.readline())["verdict"] == "granted"
    process.stdout.readline()
    cloud.server.drop_connections()
    out, _ = process.communicate("\n", timeout=300)
    answer = json.loads(out)
    expect(answer, "granted")
    assert answer["waited_ms"] == 0


def test_nothing_secret_on_a_command_line_or_in_output(cloud):
    process = cloud.start("get,unwrap,pause")
    lines = [process.stdout.readline() for _ in range(3)]
    cmdline = Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8")
    out, err = process.communicate("\n", timeout=300)
    for text in ("".join(lines), out, err, cmdline):
        assert SECRET not in text and "eyJ" not in text


@pytest.mark.parametrize("resource", ["https://management.azure.com", "https://vault.azure.net"])
def test_a_vault_gets_no_token_of_the_machine_for_others(cloud, resource):
    """Its own authority may name any resource; the tokens of Azure's machines are not its own."""
    imds = FakeServer(lambda r: Reply(200, {"access_token": "eyJ-imds", "expires_in": 3599}))
    here = f"https://localhost:{cloud.server.port}"
    cloud.configure(f"{here}/keys/tde", identity="managed", client_id=None, client_secret_file=None,
                    authority_host=here)
    cloud.challenge = lambda r: None
    challenge = Reply(401, b"", {"WWW-Authenticate": f'Bearer authorization="{here}/{TENANT}", '
                                                     f'resource="{resource}"', **VAULT_HEADERS})
    cloud.server.answer = lambda r: cloud.vault(r) if r.token else challenge
    answer = cloud.call("get",
                        AZURE_POD_IDENTITY_AUTHORITY_HOST=f"http://127.0.0.1:{imds.port}")
    expect(answer, "unreachable", "another resource")
    assert not imds.requests and not [r for r in cloud.server.requests if r.token]
    imds.close()
