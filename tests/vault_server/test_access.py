# SPDX-License-Identifier: Apache-2.0
"""Who may do what: tokens, policies, firewall, managed identity, and what the log says of it."""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import subprocess
import time
import uuid

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from vault_server import RESOURCE, Identity, b64, unb64

KEY_OPERATIONS = {  # permission: how it is used on the key k
    "get": ("GET", "/keys/k", None),
    "update": ("PATCH", "/keys/k", {}),
    "wrapKey": ("POST", "/keys/k/wrapkey", {"alg": "RSA-OAEP-256", "value": "AAAA"}),
    "encrypt": ("POST", "/keys/k/encrypt", {"alg": "RSA-OAEP-256", "value": "AAAA"}),
    "sign": ("POST", "/keys/k/sign", {"alg": "RS256", "value": b64(b"x" * 32)}),
    "verify": ("POST", "/keys/k/verify", {"alg": "RS256", "digest": b64(b"x" * 32),
                                          "value": b64(b"x" * 256)}),
    "backup": ("POST", "/keys/k/backup", None),
    "rotationPolicy": ("GET", "/keys/k/rotationpolicy", None),
    "list": ("GET", "/keys/k/versions", None),
    "rotate": ("POST", "/keys/k/rotate", None),
    "create": ("POST", "/keys/k/create", {"kty": "RSA"}),
    "delete": ("DELETE", "/keys/k", None),
    "recover": ("POST", "/deletedkeys/k/recover", None),
}


def aadsts(answer):
    body = answer.json
    code = body["error_codes"][0]
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert {"error", "timestamp", "trace_id", "correlation_id", "error_uri"} <= set(body)
    return answer.status, body["error"], code


def claims(token):
    return json.loads(unb64(token.split(".")[1]))


def test_challenge(vault):
    answer = vault.call("POST", "/keys/k/create")
    assert answer.error == (401, "Unauthorized", None,
                            "AKV10000: Request is missing a Bearer or PoP token.")
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer authorization="{vault.url}/{vault.tenant}", resource="{RESOURCE}"')


def test_token(vault):
    app = vault.identity(grant=None)
    answer = vault.token(client_id=app.client_id, client_secret=app.secret)
    assert {k: type(v) for k, v in answer.json.items()} == {
        "token_type": str, "expires_in": int, "ext_expires_in": int, "access_token": str}
    found = claims(answer.json["access_token"])
    assert found["aud"] == RESOURCE and found["tid"] == vault.tenant
    assert found["appid"] == app.client_id and found["exp"] - found["iat"] == 3600
    assert found["iss"].startswith(f"{vault.url}/{vault.tenant}/")
    # v1, and credentials in the header.
    v1 = vault.token(version="", client_id=app.client_id, client_secret=app.secret,
                     resource=RESOURCE).json
    assert v1["expires_in"] == "3600" and v1["resource"] == RESOURCE
    basic = base64.b64encode(f"{app.client_id}:{app.secret}".encode()).decode()
    assert vault.token(headers={"Authorization": f"Basic {basic}"}).status == 200


def test_token_errors(vault):
    app = vault.identity(grant=None)
    good = {"client_id": app.client_id, "client_secret": app.secret}
    nobody = str(uuid.uuid4())
    assert aadsts(vault.token(**{**good, "client_secret": "x" * 43})) == (
        401, "invalid_client", 7000215)
    assert aadsts(vault.token(**{**good, "client_id": nobody})) == (
        400, "unauthorized_client", 700016)
    assert aadsts(vault.token(tenant=nobody, **good)) == (400, "invalid_request", 90002)
    assert aadsts(vault.token(client_id=app.client_id))[2] == 7000218
    assert aadsts(vault.token(**good, grant_type=None))[2] == 900144
    assert aadsts(vault.token(**good, grant_type="password"))[2] == 70003
    assert aadsts(vault.token(client_secret=app.secret))[2] == 900144
    assert aadsts(vault.token(**good, scope="https://vault.azure.net"))[2] == 1002012
    assert aadsts(vault.token(**good, scope="https://graph.microsoft.com/.default"))[2] == 500011
    vault.command("identity", "remove", "app", "--yes")
    assert aadsts(vault.token(**good)) == (400, "unauthorized_client", 700016)


def test_expired_secret(vault):
    made = vault.command_json("identity", "add", "app", "--expires-days", "1")
    form = {"client_id": made["client_id"], "client_secret": made["client_secret"]}
    assert vault.token(**form).status == 200
    vault.fault("add", "clock", "86401")
    assert aadsts(vault.token(**form)) == (401, "invalid_client", 7000222)


def test_discovery(vault):
    for path in ("/v2.0/.well-known/openid-configuration", "/.well-known/openid-configuration"):
        found = vault.send("GET", f"/{vault.tenant}{path}").json
        assert found["issuer"].startswith(f"{vault.url}/{vault.tenant}/")
        assert found["token_endpoint"].startswith(f"{vault.url}/{vault.tenant}/oauth2/")
    private = vault.send("GET", "/adfs/.well-known/openid-configuration").json
    assert private["token_endpoint"] == f"{vault.url}/adfs/oauth2/v2.0/token"
    instance = vault.send("GET", "/common/discovery/instance?api-version=1.1").json
    assert instance["tenant_discovery_endpoint"].startswith(f"{vault.url}/{vault.tenant}/")
    assert aadsts(vault.send("GET", f"/{uuid.uuid4()}/v2.0/.well-known/openid-configuration"))[
        2] == 90002


def make_assertion(key, header=None, **payload):
    now = int(time.time())
    body = {"iat": now, "nbf": now, "exp": now + 600, "jti": str(uuid.uuid4()), **payload}
    text = ".".join(b64(json.dumps(part).encode()) for part in
                    ({"alg": "RS256", "typ": "JWT", **(header or {})}, body))
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{b64(signature)}"


def assertion_form(client_id, assertion):
    return {"client_id": client_id, "client_assertion": assertion, "client_assertion_type":
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}


def test_certificate(vault):
    key, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "app")])
    now = datetime.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(1).not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(1)).sign(key, hashes.SHA256()))
    pem = vault.directory / "app.pem"
    pem.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    client = vault.command_json("identity", "add", "app", "--certificate", pem)["client_id"]
    good = {"iss": client, "sub": client,
            "aud": f"{vault.url}/{vault.tenant}/oauth2/v2.0/token"}

    def ask(signer=key, **changes):
        return vault.token(**assertion_form(client, make_assertion(signer, **{**good, **changes})))

    assert ask().status == 200
    assert aadsts(ask(signer=other)) == (401, "invalid_client", 700027)
    assert aadsts(ask(exp=int(time.time()) - 1000)) == (401, "invalid_client", 700024)
    assert aadsts(ask(aud="https://elsewhere/token"))[2] == 700023
    assert aadsts(ask(sub=str(uuid.uuid4())))[2] == 700021
    unsigned = make_assertion(key, **good).split(".")
    unsigned[0] = b64(b'{"alg":"none"}')
    assert aadsts(vault.token(**assertion_form(client, ".".join(unsigned))))[2] == 700027
    assert aadsts(vault.token(**assertion_form(client, "x.y")))[2] == 50027


def test_federated(vault):
    key, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    n = key.public_key().public_numbers().n
    jwks = vault.directory / "jwks.json"
    jwks.write_text(json.dumps({"keys": [{"kty": "RSA", "kid": "1", "e": "AQAB",
                                          "n": b64(n.to_bytes(256, "big"))}]}))
    client = vault.command_json("identity", "add", "pod", "--federated", "https://issuer",
                                "system:serviceaccount:db:tdefs", jwks)["client_id"]
    good = {"iss": "https://issuer", "sub": "system:serviceaccount:db:tdefs",
            "aud": ["api://AzureADTokenExchange"]}

    def ask(signer=key, kid="1", **changes):
        return vault.token(**assertion_form(client, make_assertion(
            signer, {"kid": kid}, **{**good, **changes})))

    assert ask().status == 200
    assert aadsts(ask(sub="system:serviceaccount:db:other"))[2] == 700213
    assert aadsts(ask(iss="https://other"))[2] == 700213
    assert aadsts(ask(aud="https://vault.azure.net"))[2] == 700213
    assert aadsts(ask(signer=other))[2] == 700027
    assert aadsts(ask(kid="2"))[2] == 700027
    assert aadsts(ask(exp=int(time.time()) - 1000))[2] == 700024


def test_bad_tokens(vault):
    app = vault.identity().login()
    header, payload, signature = app.token.split(".")
    forged = b64(json.dumps({**claims(app.token), "exp": 2 ** 40}).encode())
    none = b64(b'{"alg":"none"}')
    mac = b64(hmac.new(b"", f"{header}.{forged}".encode(), hashlib.sha256).digest())
    for token in (f"{header}.{forged}.{signature}", f"{none}.{payload}.{signature}",
                  f"{header}.{forged}.{mac}"):
        assert vault.call("GET", "/keys", token=token).error == (
            401, "Unauthorized", None,
            "AKV10046: Unable to resolve the key used for signature validation.")
    for token in ("x", "a.b", "a.b.c", f"{app.token}.x", f"{header}.{payload}."):
        answer = vault.call("GET", "/keys", token=token)
        assert answer.error[:2] == (401, "Unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization=")


def test_token_expires(vault):
    app = vault.identity().login()
    vault.fault("add", "clock", "3590")
    assert app.call("GET", "/keys").status == 200
    vault.fault("add", "clock", "3601")
    answer = app.call("GET", "/keys")
    assert answer.error == (401, "Unauthorized", None,
                            "[TokenExpired] Error validating token: 'S2S12086'.")
    assert answer.headers["WWW-Authenticate"]


def test_token_of_another_resource(vault):
    app = vault.identity().login()
    vault.stop()
    vault.start("--resource", "https://vault.example")
    assert app.call("GET", "/keys").error[3] == (
        f"AKV10022: Invalid audience. Expected https://vault.example, found: {RESOURCE}.")


def test_each_permission_is_what_its_operation_needs(vault):
    admin = vault.identity("admin").login()
    app = vault.identity("app", grant="get", key="other").login()
    admin.create("k")
    caller = f"appid={app.client_id};oid={claims(app.token)['oid']};iss={vault.url}/{vault.tenant}/"
    for permission, (method, path, body) in KEY_OPERATIONS.items():
        assert app.refused(method, path, body) == (
            403, "Forbidden", "ForbiddenByPolicy",
            f"The user, group or application '{caller}' does not have keys {permission} permission "
            "on key vault 'tdefs-vault;location=local'. For help resolving this issue, please see "
            "https://go.microsoft.com/fwlink/?linkid=2125287")
        # The next request is bound by it; nothing more than it is allowed.
        vault.command("grant", "app", "k", permission)
        assert app.call(method, path, body).status == 200, permission
        vault.command("revoke", "app", "k", permission)
        assert app.call(method, path, body).error[2] == "ForbiddenByPolicy"


def test_vault_wide_operations_need_a_grant_on_all(vault):
    app = vault.identity("app", grant="all", key="k").login()
    for method, path in [("GET", "/keys"), ("GET", "/deletedkeys"), ("POST", "/keys/restore")]:
        assert app.refused(method, path, {})[2] == "ForbiddenByPolicy"
    vault.command("grant", "app", "*", "list")
    assert app.call("GET", "/keys").status == 200
    assert app.refused("POST", "/keys/restore", {})[2] == "ForbiddenByPolicy"
    assert app.refused("GET", "/keys/other")[2] == "ForbiddenByPolicy"


def test_policy_is_checked_before_existence(vault):
    app = vault.identity("app", grant="list").login()
    assert app.refused("GET", "/keys/none")[2] == "ForbiddenByPolicy"


def test_identity_without_policy_or_removed(vault):
    app = vault.identity("app", grant=None).login()

    def is_denied():
        status, code, inner, message = app.refused("GET", "/keys")
        assert (status, code, inner) == (403, "Forbidden", "AccessDenied")
        assert message.startswith(
            "Access denied. Caller was not found on any access policy.\r\nCaller: appid=")

    is_denied()
    vault.command("grant", "app", "*", "all")
    assert app.call("GET", "/keys").status == 200
    vault.command("identity", "remove", "app", "--yes")
    is_denied()


def test_firewall(vault):
    app = vault.identity().login()
    vault.command("firewall", "allow", "192.0.2.0/24")
    assert app.call("GET", "/keys").status == 200
    vault.command("firewall", "on")
    status, code, inner, message = app.refused("GET", "/keys")
    assert (status, code, inner) == (403, "Forbidden", "ForbiddenByFirewall")
    assert message.startswith("Client address is not authorized and caller is not a trusted "
                              f"service.\r\nClient address: 127.0.0.1\r\nCaller: appid={app.client_id}")
    assert vault.call("GET", "/keys").status == 401
    assert vault.send("GET", "/healthstatus").status == 200
    for address in ("127.0.0.0/8", "127.0.0.1", "127.0.0.1/32", "126.0.0.0/7"):
        vault.command("firewall", "allow", address)
        assert app.call("GET", "/keys").status == 200, address
        vault.command("firewall", "remove", address)
        assert app.call("GET", "/keys").status == 403
    for address in ("127.0.0.2", "127.0.0.0/32", "128.0.0.0/1", "::1"):
        vault.command("firewall", "allow", address)
        assert app.call("GET", "/keys").status == 403, address
    vault.command("firewall", "off")
    assert app.call("GET", "/keys").status == 200
    for bad in ("1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4/-1", "host"):
        assert vault.command("firewall", "allow", bad, check=False).returncode == 2


def imds(vault, query=f"api-version=2018-02-01&resource={RESOURCE}", headers=None,
         path="/metadata/identity/oauth2/token"):
    c = http.client.HTTPConnection(vault.imds, timeout=30)
    try:
        c.request("GET", f"{path}?{query}", headers={"Metadata": "true"} if headers is None else headers)
        r = c.getresponse()
        return r.status, json.loads(r.read())
    finally:
        c.close()


def test_imds(make_vault):
    vault = make_vault("--imds", "0", "--imds-identity", "app", "--imds-uid", "0")
    assert imds(vault) == (400, {"error": "invalid_request", "error_description": "Identity not found"})
    app = vault.identity()
    status, body = imds(vault)
    assert status == 200 and all(isinstance(v, str) for v in body.values())
    assert body["resource"] == RESOURCE and body["token_type"] == "Bearer"
    assert abs(int(body["expires_on"]) - time.time() - int(body["expires_in"])) < 60
    app.token = body["access_token"]
    app.create("k")
    query = f"api-version=2018-02-01&resource={RESOURCE}"
    assert imds(vault, f"{query}&client_id={app.client_id}")[0] == 200
    assert imds(vault, f"{query}&client_id={uuid.uuid4()}")[1]["error_description"] == (
        "Identity not found")
    assert imds(vault, headers={})[0] == 400
    assert imds(vault, headers={"Metadata": "true", "X-Forwarded-For": "1.2.3.4"})[0] == 400
    assert imds(vault, "api-version=2018-02-01")[0] == 400
    assert imds(vault, f"resource={RESOURCE}")[0] == 400
    assert imds(vault, "api-version=2018-02-01&resource=https://graph.microsoft.com")[0] == 400
    assert imds(vault, path="/metadata/instance")[0] == 404
    vault.command("identity", "remove", "app", "--yes")
    assert imds(vault)[1]["error_description"] == "Identity not found"


def test_imds_is_for_the_named_users_only(make_vault):
    vault = make_vault("--imds", "0", "--imds-identity", "app", "--imds-uid", "65534")
    vault.identity()
    assert imds(vault)[0] == 403
    code = ("import http.client,sys; c=http.client.HTTPConnection(sys.argv[1]); c.request('GET',"
            "'/metadata/identity/oauth2/token?api-version=2018-02-01&resource=' + sys.argv[2],"
            "headers={'Metadata':'true'}); print(c.getresponse().status)")
    found = subprocess.run(["/usr/bin/python3", "-c", code, vault.imds, RESOURCE], user=65534,
                           capture_output=True, text=True, check=True, cwd="/")
    assert found.stdout == "200\n"
    vault.stop()
    refused = vault.command("serve", "--imds", "0", "--listen", "127.0.0.1:0", check=False)
    assert refused.returncode == 2 and "needs an identity" in refused.stderr


def test_audit(vault):
    app = vault.identity("app", grant="all", key="k").login()
    version = app.create("k")["key"]["kid"]
    answer = app.call("POST", "/keys/k/wrapkey", {"alg": "RSA-OAEP-256", "value": "AAAA"})
    app.call("GET", "/keys/other")
    vault.call("GET", "/keys/k")
    vault.command("key", "disable", "k")
    app.call("POST", "/keys/k/unwrapkey", {"alg": "RSA-OAEP-256", "value": "AAAA"})
    lines = vault.audit()
    found = [(line["operation"], line["identity"], line["result"]) for line in lines]
    assert found == [
        ("identity add", "local", "Success"), ("grant", "local", "Success"),
        ("Token", "app", "Success"), ("KeyCreate", "app", "Success"), ("KeyWrap", "app", "Success"),
        ("KeyGet", "app", "ForbiddenByPolicy"), ("KeyGet", "-", "Unauthorized"),
        ("KeyUpdate", "local", "Success"), ("KeyUnwrap", "app", "KeyDisabled")]
    assert lines[4]["kid"] == version and lines[4]["status"] == 200
    assert lines[4]["request_id"] == answer.headers["x-ms-request-id"]
    assert lines[0]["uid"] == lines[7]["uid"] == os.getuid()
    assert all(line["time"].endswith("Z") and line["request_id"] for line in lines)
    shown = vault.command("audit", "2").stdout.splitlines()
    assert len(shown) == 2 and "KeyUnwrap" in shown[1] and "KeyDisabled" in shown[1]
    assert [json.loads(x) for x in vault.command("audit", "3", "--json").stdout.splitlines()] == [
        {"schema": 1, **line} for line in lines[-3:]]


def test_a_call_that_cannot_be_audited_is_not_answered(vault):
    app = vault.identity().login()
    app.create("k")
    log = vault.data / "audit.log"
    log.rename(vault.data / "audit.log.1")
    assert app.call("GET", "/keys/k").status == 200 and log.exists()  # rotated away: a new file
    log.unlink()
    log.mkdir()
    assert app.refused("GET", "/keys/k")[:2] == (500, "InternalServerError")
    log.rmdir()
    assert app.call("GET", "/keys/k").status == 200


def test_no_secret_anywhere(vault):
    """Neither log, audit nor database hold a secret, a token, a plaintext or a private key."""
    app = vault.identity().login()
    key = rsa.generate_private_key(65537, 2048)
    pem = vault.directory / "key.pem"
    pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption()))
    vault.command("key", "import", "k", pem)
    dek = os.urandom(32)
    wrapped = app.wrap("/keys/k", dek)["value"]
    assert app.unwrap("/keys/k", wrapped) == dek
    vault.token(client_id=app.client_id, client_secret=app.secret[:-1] + "!")
    app.call("POST", "/keys/k/unwrapkey", {"alg": "RSA-OAEP-256", "value": wrapped[:-4] + "AAAA"})
    vault.command("backup", vault.directory / "backup")
    vault.stop()
    numbers = key.private_numbers()
    secrets = [app.secret.encode(), app.token.encode(), app.token.split(".")[2].encode(), dek,
               b64(dek).encode(), wrapped.encode(), vault.master_key.read_bytes(),
               numbers.p.to_bytes(128, "big"), numbers.d.to_bytes(256, "big")[8:64],
               b64(numbers.p.to_bytes(128, "big")).encode()]
    files = [f for f in vault.directory.rglob("*")
             if f.is_file() and f not in (pem, vault.master_key)]
    assert {f.name for f in files} >= {"vault.db", "audit.log", "server.log", "backup"}
    for f in files:
        for secret in secrets:
            assert secret not in f.read_bytes(), f


def test_secrets_are_shown_once(vault):
    made = vault.command_json("identity", "add", "app")
    assert set(made) >= {"tenant", "client_id", "client_secret"}
    text = vault.command("identity", "list").stdout + vault.command("identity", "list", "--json").stdout
    assert made["client_id"] in text and made["client_secret"] not in text
    assert Identity(vault, "app", made["client_id"], made["client_secret"]).login().token


def test_bad_commands(vault):
    for args, code, says in [
            (("grant", "nobody", "*", "all"), 1, "there is none"),
            (("identity", "add", "a/b"), 2, "not a usable name"),
            (("identity", "remove", "nobody"), 1, "there is none"),
            (("key", "show", "none"), 1, "was not found in this key vault"),
            (("key", "create", "a_b"), 1, "invalid name"),
            (("key", "import", "k", "/dev/null"), 2, "not a private RSA key"),
            (("frobnicate",), 2, "no such verb"),
            (("key", "create"), 2, "key: create NAME")]:
        found = vault.command(*args, check=False)
        assert found.returncode == code and says in found.stderr, found.stderr
        assert "\n  next: " in found.stderr and found.stdout == ""
    vault.identity("app", grant=None)
    assert vault.command("identity", "add", "app", check=False).returncode == 1
    found = vault.command("grant", "app", "*", "get,fly", check=False)
    assert found.returncode == 2 and "fly: no such permission" in found.stderr
    assert "unwrapKey" in found.stderr
    assert vault.command("revoke", "app", "*", "get", check=False).returncode == 1
