# SPDX-License-Identifier: Apache-2.0
"""Each operation of the protocol, and each of its errors in Azure's form."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from vault_server import b64, unb64

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(os.environ.get("TDEFS_RECORDED", ROOT.parent / "shared/reference/recorded"))
NOT_FOUND = ("A key with (name/id) {} was not found in this key vault. If you recently deleted this "
             "key you may be able to recover it using the correct recovery command. For help "
             "resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182")
OAEP_256 = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def version_of(bundle):
    return bundle["key"]["kid"].rsplit("/", 1)[1]


def public_key(bundle):
    n, e = (int.from_bytes(unb64(bundle["key"][x]), "big") for x in "ne")
    return rsa.RSAPublicNumbers(e, n).public_key()


def private_jwk(bits=2048, **more):
    key = rsa.generate_private_key(65537, bits)
    p = key.private_numbers()
    numbers = {"n": p.public_numbers.n, "e": p.public_numbers.e, "d": p.d, "p": p.p, "q": p.q,
               "dp": p.dmp1, "dq": p.dmq1, "qi": p.iqmp}
    jwk = {k: b64(v.to_bytes((v.bit_length() + 7) // 8, "big")) for k, v in numbers.items()}
    return key, {"kty": "RSA", **jwk, **more}


@pytest.mark.parametrize("bits,characters", [(2048, 342), (3072, 512), (4096, 683)])
def test_create_each_size_and_wrap_with_it(app, bits, characters):
    bundle = app.create("tde", key_size=bits)
    key = bundle["key"]
    assert len(key["n"]) == characters and key["e"] == "AQAB" and key["kty"] == "RSA"
    assert key["key_ops"] == ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
    dek = os.urandom(32)
    wrapped = app.wrap("/keys/tde", dek)
    assert wrapped["kid"] == key["kid"] and len(wrapped["value"]) == characters
    assert app.unwrap("/keys/tde", wrapped["value"]) == dek


def test_wraps_made_elsewhere_open_here_and_the_other_way_round(app):
    key, jwk = private_jwk()
    bundle = app.ok("PUT", "/keys/imported", {"key": jwk})
    dek = os.urandom(32)
    assert public_key(bundle).public_numbers() == key.public_key().public_numbers()
    assert app.unwrap("/keys/imported", b64(public_key(bundle).encrypt(dek, OAEP_256))) == dek
    assert key.decrypt(unb64(app.wrap("/keys/imported", dek)["value"]), OAEP_256) == dek
    sha1 = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    assert key.decrypt(unb64(app.wrap("/keys/imported", dek, "RSA-OAEP")["value"]), sha1) == dek
    assert key.decrypt(unb64(app.wrap("/keys/imported", dek, "RSA1_5")["value"]),
                       padding.PKCS1v15()) == dek


def test_no_answer_holds_private_parts(app):
    _, jwk = private_jwk()
    answer = app.call("PUT", "/keys/imported", {"key": jwk})
    assert answer.status == 200
    assert set(answer.json["key"]) == {"kid", "kty", "key_ops", "n", "e"}
    for part in ("d", "p", "q", "dp", "dq", "qi"):
        assert jwk[part] not in answer.raw.decode()


@pytest.mark.parametrize("path", ["/keys/tde", "/keys/tde/", "/keys/TDE"])
def test_get_latest(app, path):
    bundle = app.create("tde")
    assert app.ok("GET", path) == bundle


def test_paths_of_operations(app):
    """The version may be empty, operations are written in any case, the kid names the version."""
    version = version_of(app.create("tde"))
    for path in ("/keys/tde/wrapkey", "/keys/tde//wrapKey", f"/keys/tde/{version}/WRAPKEY"):
        assert app.ok("POST", path, {"alg": "RSA-OAEP-256", "value": b64(b"x")})["kid"].endswith(
            f"/keys/tde/{version}")


def test_encrypt_decrypt(app):
    app.create("k")
    text = os.urandom(190)
    value = app.ok("POST", "/keys/k/encrypt", {"alg": "RSA-OAEP-256", "value": b64(text)})["value"]
    assert unb64(app.ok("POST", "/keys/k/decrypt", {"alg": "RSA-OAEP-256",
                                                    "value": value})["value"]) == text


@pytest.mark.parametrize("alg,name", [(a + b, "sha" + b) for a in ("RS", "PS")
                                      for b in ("256", "384", "512")])
def test_sign_verify(app, alg, name):
    bundle = app.create("k")
    digest = hashlib.new(name, b"text").digest()
    signature = app.ok("POST", "/keys/k/sign", {"alg": alg, "value": b64(digest)})["value"]
    md = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[name]
    pad = padding.PKCS1v15() if alg.startswith("R") else padding.PSS(padding.MGF1(md), len(digest))
    public_key(bundle).verify(unb64(signature), digest, pad, utils.Prehashed(md))
    body = {"alg": alg, "digest": b64(digest), "value": signature}
    assert app.ok("POST", "/keys/k/verify", body) == {"value": True}
    body["digest"] = b64(hashlib.new(name, b"other").digest())
    assert app.ok("POST", "/keys/k/verify", body) == {"value": False}


def test_versions_pages_and_rotation(app):
    made = [version_of(app.create("k"))] + [version_of(app.ok("POST", "/keys/k/rotate"))
                                            for _ in range(2)]
    assert version_of(app.ok("GET", "/keys/k")) == made[-1]
    assert version_of(app.ok("GET", f"/keys/k/{made[0]}")) == made[0]
    found, query = [], "&maxresults=2"
    while True:
        page = app.ok("GET", "/keys/k/versions", query=query)
        found += [v["kid"].rsplit("/", 1)[1] for v in page["value"]]
        assert all("key" not in v and "n" not in v for v in page["value"])
        if not page["nextLink"]:
            break
        assert page["nextLink"].startswith(f"{app.vault.url}/keys/k/versions?api-version=7.4&$skip")
        query = "&" + page["nextLink"].split("&", 1)[1]
    assert sorted(found) == sorted(made)


def test_old_versions_unwrap_after_rotation(app):
    old = version_of(app.create("k"))
    value = app.wrap("/keys/k", b"dek")["value"]
    app.ok("POST", "/keys/k/rotate")
    assert app.unwrap(f"/keys/k/{old}", value) == b"dek"
    assert app.refused("POST", "/keys/k/unwrapkey", {"alg": "RSA-OAEP-256", "value": value}) == (
        400, "BadParameter", None, "Error occurred while decoding OAEP padding.")


def test_rotation_keeps_size_and_operations(app):
    app.create("k", key_size=3072, key_ops=["wrapKey", "unwrapKey"], tags={"a": "b"})
    key = app.ok("POST", "/keys/k/rotate")["key"]
    assert len(key["n"]) == 512 and key["key_ops"] == ["wrapKey", "unwrapKey"]


def test_update(app):
    version = version_of(app.create("k", tags={"a": "b"}))
    now = int(time.time())
    bundle = app.ok("PATCH", f"/keys/k/{version}", {
        "attributes": {"enabled": False, "nbf": now, "exp": now + 100},
        "key_ops": ["sign"], "tags": {"c": "d"}})
    assert bundle["attributes"].items() >= {"enabled": False, "nbf": now, "exp": now + 100}.items()
    assert bundle["key"]["key_ops"] == ["sign"] and bundle["tags"] == {"c": "d"}
    assert app.ok("GET", "/keys/k") == bundle
    # A member that is absent or null stays as it is.
    again = app.ok("PATCH", "/keys/k", {"attributes": {"enabled": True, "exp": None}})
    assert again["attributes"]["exp"] == now + 100 and again["tags"] == {"c": "d"}


def test_method_override(app):
    app.create("k")
    assert app.ok("POST", "/keys/k", {"attributes": {"enabled": False}},
                  headers={"X-HTTP-METHOD": "PATCH"})["attributes"]["enabled"] is False
    app.ok("POST", "/keys/k", headers={"X-HTTP-METHOD": "DELETE"})
    assert app.call("GET", "/keys/k").status == 404


def test_soft_delete_recover_purge(app):
    bundle = app.create("k")
    deleted = app.ok("DELETE", "/keys/k")
    assert deleted["key"] == bundle["key"]
    assert deleted["recoveryId"] == f"{app.vault.url}/deletedkeys/k"
    assert deleted["scheduledPurgeDate"] - deleted["deletedDate"] == 7 * 86400
    for method, path in [("GET", "/keys/k"), ("GET", f"/keys/k/{version_of(bundle)}"),
                         ("DELETE", "/keys/k"), ("POST", "/keys/k/rotate"),
                         ("POST", "/keys/k/backup")]:
        assert app.refused(method, path)[:2] == (404, "KeyNotFound")
    for method, path, body in [("POST", "/keys/k/create", {"kty": "RSA"}),
                               ("PUT", "/keys/K", {"key": private_jwk()[1]})]:
        assert app.refused(method, path, body) == (
            409, "Conflict", "ObjectIsDeletedButRecoverable",
            f"Key {path.split('/')[2]} is currently in a deleted but recoverable state, and its name "
            "cannot be reused; in this state, the key can only be recovered or purged.")
    assert app.ok("GET", "/deletedkeys/k") == deleted
    assert [k["recoveryId"] for k in app.ok("GET", "/deletedkeys")["value"]] == [
        deleted["recoveryId"]]
    assert app.ok("GET", "/keys")["value"] == []
    assert app.ok("POST", "/deletedkeys/k/recover") == bundle
    assert app.ok("GET", "/keys/k") == bundle
    app.ok("DELETE", "/keys/k")
    answer = app.call("DELETE", "/deletedkeys/k")
    assert (answer.status, answer.raw) == (204, b"")
    for method in ("GET", "DELETE"):
        assert app.refused(method, "/deletedkeys/k") == (404, "KeyNotFound", None,
                                                         "Deleted Key not found: k")
    app.create("k")


def test_retention_ends(app):
    """What is past its retention is gone, by itself, and its name is free."""
    app.create("k")
    app.ok("DELETE", "/keys/k")
    app.vault.fault("add", "clock", str(7 * 86400 - 60))
    app.login()
    assert app.call("GET", "/deletedkeys/k").status == 200
    app.vault.fault("add", "clock", str(7 * 86400 + 60))
    app.login()
    assert app.call("GET", "/deletedkeys/k").status == 404
    assert app.vault.command_json("status")["deleted_keys"] == 0
    app.create("k")


def test_purge_protection(make_vault):
    vault = make_vault()
    app = vault.identity().login()
    assert app.create("k")["attributes"]["recoveryLevel"] == "Recoverable"
    app.ok("DELETE", "/keys/k")
    status, code, _, message = app.refused("DELETE", "/deletedkeys/k")
    assert (status, code) == (403, "Forbidden")
    assert message.startswith('Operation "purge" is not allowed because purge protection is enabled')
    refused = vault.command("key", "purge", "k", check=False)
    assert refused.returncode == 7 and "purge protection" in refused.stderr
    app.ok("POST", "/deletedkeys/k/recover")
    vault.stop()
    again = vault.command("serve", "--no-purge-protection", "--listen", "127.0.0.1:0",
                          "--allow-test-faults", check=False)
    assert again.returncode == 7 and "cannot be taken back" in again.stderr


def test_backup_restore(app):
    app.create("k", key_size=3072, tags={"a": "b"})
    value = app.wrap("/keys/k", b"dek")
    app.ok("POST", "/keys/k/rotate")
    newest = app.ok("GET", "/keys/k")
    blob = app.ok("POST", "/keys/k/backup")
    assert app.refused("POST", "/keys/restore", blob)[:2] == (409, "Conflict")
    app.ok("DELETE", "/keys/k")
    assert app.refused("POST", "/keys/restore", blob)[2] == "ObjectIsDeletedButRecoverable"
    app.ok("DELETE", "/deletedkeys/k", status=204)
    assert app.ok("POST", "/keys/restore", blob) == newest
    assert app.unwrap(value["kid"].removeprefix(app.vault.url), value["value"]) == b"dek"
    damaged = bytearray(unb64(blob["value"]))
    damaged[-1] ^= 1
    assert app.refused("POST", "/keys/restore", {"value": b64(bytes(damaged))})[:2] == (
        400, "BadParameter")


def test_rotation_policy(app):
    app.create("k")
    default = app.ok("GET", "/keys/k/rotationpolicy")
    assert default["lifetimeActions"] == [{"trigger": {"timeBeforeExpiry": "P30D"},
                                           "action": {"type": "Notify"}}]
    policy = {"lifetimeActions": [
        {"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "rotate"}},
        {"trigger": {"timeBeforeExpiry": "P7D"}, "action": {"type": "notify"}}],
        "attributes": {"expiryTime": "P48M"}}
    saved = app.ok("PUT", "/keys/k/rotationpolicy", policy)
    assert saved["id"] == f"{app.vault.url}/keys/k/rotationpolicy"
    assert [a["action"]["type"] for a in saved["lifetimeActions"]] == ["Rotate", "Notify"]
    assert app.ok("GET", "/keys/k/rotationpolicy") == saved
    attributes = app.ok("POST", "/keys/k/rotate")["attributes"]
    assert 1460 * 86400 <= attributes["exp"] - attributes["created"] <= 1461 * 86400
    for bad in ({"lifetimeActions": [{"trigger": {"timeAfterCreate": "P6D"},
                                      "action": {"type": "Rotate"}}]},
                {"attributes": {"expiryTime": "P27D"}}, {"attributes": {"expiryTime": "2 years"}}):
        assert app.refused("PUT", "/keys/k/rotationpolicy", bad)[:2] == (400, "BadParameter")


def test_policy_rotates_by_itself(app):
    from conftest import wait_for
    first = version_of(app.create("k"))
    app.ok("PUT", "/keys/k/rotationpolicy", {"lifetimeActions": [
        {"trigger": {"timeAfterCreate": "P30D"}, "action": {"type": "Rotate"}}]})
    app.vault.fault("add", "clock", str(31 * 86400))
    app.login()
    wait_for(lambda: version_of(app.ok("GET", "/keys/k")) != first, "the policy to rotate")
    assert len(app.ok("GET", "/keys/k/versions")["value"]) == 2


USES = {"wrapkey": "wrapKey", "unwrapkey": "unwrapKey", "encrypt": "encrypt", "decrypt": "decrypt",
        "sign": "sign", "verify": "verify"}


def use(app, operation, value=b"x"):
    alg = "RS256" if operation in ("sign", "verify") else "RSA-OAEP-256"
    data = hashlib.sha256(b"").digest() if operation in ("sign", "verify") else value
    return app.call("POST", f"/keys/k/{operation}", {
        "alg": alg, "value": value if isinstance(value, str) else b64(data),
        "digest": b64(data) if operation == "verify" else None})


def test_disabled_key_is_refused_but_read(app):
    bundle = app.create("k")
    app.ok("PATCH", "/keys/k", {"attributes": {"enabled": False}})
    for operation, name in USES.items():
        assert use(app, operation).error == (403, "Forbidden", "KeyDisabled",
                                             f"Operation {name} is not allowed on a disabled key.")
    got = app.ok("GET", "/keys/k")
    assert got["key"] == bundle["key"] and got["attributes"]["enabled"] is False


@pytest.mark.parametrize("attributes,inner", [
    ({"exp": int(time.time()) - 3600}, "KeyExpired"),
    ({"nbf": int(time.time()) + 36000}, "KeyNotYetValid")])
def test_dates_stop_new_use_only(app, attributes, inner):
    app.create("k")
    value = app.wrap("/keys/k", b"dek")["value"]
    app.ok("PATCH", "/keys/k", {"attributes": attributes})
    for operation in ("wrapkey", "encrypt", "sign"):
        assert use(app, operation).error[:3] == (403, "Forbidden", inner)
    for operation in ("unwrapkey", "decrypt"):
        assert use(app, operation, value).status == 200
    assert app.call("GET", "/keys/k").status == 200


def test_key_ops_are_enforced(app):
    app.create("k", key_ops=["wrapKey"])
    for operation in set(USES) - {"wrapkey"}:
        assert use(app, operation).error == (
            403, "Forbidden", "KeyOperationForbidden",
            f"Operation {USES[operation]} is not permitted on this key.")
    assert use(app, "wrapkey").status == 200


NOT_B64URL = "Content of 'value' is not base64url.\r\nProperty 'value' is required.\r\n"


@pytest.mark.parametrize("body,message", [
    ({"alg": "RSA-OAEP-256", "value": "a+b/cd=="}, NOT_B64URL),
    ({"alg": "RSA-OAEP-256", "value": "AAAA="}, NOT_B64URL),
    ({"alg": "RSA-OAEP-256", "value": b64(b"x" * 255)}, "The parameter is incorrect.\r\n"),
    ({"alg": "RSA-OAEP-256", "value": b64(b"x" * 600)}, "The parameter is incorrect.\r\n"),
    ({"alg": "RSA-OAEP-256", "value": b64(b"\0" * 255 + b"\1")},
     "Error occurred while decoding OAEP padding."),
    ({"alg": "A256KW", "value": "AAAA"}, "Property has invalid value\r\n"),
    ({"alg": "RSA-OAEP-256"}, "Property 'value' is required.\r\n"),
    ({"value": "AAAA"}, "Property 'alg' is required.\r\n"),
    (None, "Property 'alg' is required.\r\n"),
    (b"{", "The request body is not a JSON object."),
    (b"[]", "The request body is not a JSON object."),
])
def test_bad_unwraps(app, body, message):
    app.create("k")
    assert app.refused("POST", "/keys/k/unwrapkey", body) == (400, "BadParameter", None, message)


def test_longest_plaintext(app):
    app.create("k")
    for length, status in [(189, 200), (190, 200), (191, 400)]:
        assert app.call("POST", "/keys/k/wrapkey", {
            "alg": "RSA-OAEP-256", "value": b64(b"x" * length)}).status == status


@pytest.mark.parametrize("kty", ["EC", "RSA-HSM", "oct", "oct-HSM", "Ü"])
def test_other_key_types(app, kty):
    shown = kty if kty.isascii() else "??"
    assert app.refused("POST", "/keys/k/create", {"kty": kty}) == (
        400, "BadParameter", "KeyTypeNotSupported", f"Invalid kty value: {shown}")


def test_other_sizes(app):
    for size in (1024, 2047, 2049, 8192, "2048"):
        assert app.refused("POST", "/keys/k/create", {"kty": "RSA", "key_size": size})[:2] == (
            400, "BadParameter")
    _, small = private_jwk(1024)
    assert app.refused("PUT", "/keys/k", {"key": small})[0] == 400
    _, jwk = private_jwk()
    for part in ("n", "d", "p", "dp", "qi"):
        number = bytearray(unb64(jwk[part]))
        number[-1] ^= 2
        bad = {**jwk, part: b64(bytes(number))}
        assert app.refused("PUT", "/keys/k", {"key": bad})[:2] == (400, "BadParameter"), part
    assert app.refused("GET", "/keys/k")[0] == 404


def test_names(app):
    assert app.refused("POST", "/keys//create", {"kty": "RSA"}) == (
        400, "BadParameter", None, "Operation not specified")
    assert app.refused("POST", "/keys/key$%23%28%29%213789901543/create", {"kty": "RSA"}) == (
        400, "BadParameter", None, "The request URI contains an invalid name: key$#()!3789901543")
    app.create("a" * 127)
    assert app.call("GET", f"/keys/{'a' * 127}").status == 200
    for length in (128, 129, 300):
        assert app.refused("POST", f"/keys/{'a' * length}/create", {"kty": "RSA"})[1] == (
            "BadParameter")
    assert app.refused("GET", "/keys/none") == (404, "KeyNotFound", None, NOT_FOUND.format("none"))
    version = "0" * 32
    assert app.refused("GET", f"/keys/none/{version}") == (
        404, "KeyNotFound", None, NOT_FOUND.format(f"none/{version}"))
    there = version_of(app.create("there"))
    for wrong in (there + "0", there[:-1], there + "0" * 40):
        assert app.refused("GET", f"/keys/there/{wrong}")[:2] == (404, "KeyNotFound")
    assert app.refused("GET", f"/keys/there/{version}")[:2] == (404, "KeyNotFound")


def test_invalid_url_is_the_front_ends_html(app):
    answer = app.call("GET", "/keys/k%0d")
    assert answer.status == 400 and "text/html" in answer.headers["Content-Type"]
    assert b"<h2>Bad Request - Invalid URL</h2>" in answer.raw


def test_api_versions(app):
    app.create("k")
    members = {
        "2015-06-01": set(), "2016-10-01": {"recoveryLevel"},
        "7.0": {"recoveryLevel"}, "7.2": {"recoveryLevel", "recoverableDays"},
        "7.4": {"recoveryLevel", "recoverableDays", "exportable"},
        "2025-07-01": {"recoveryLevel", "recoverableDays", "exportable", "hsmPlatform"}}
    for api, more in members.items():
        found = app.ok("GET", "/keys/k", api=api)["attributes"]
        assert set(found) == {"enabled", "created", "updated"} | more, api
    assert app.refused("GET", "/keys/k", api="9.9") == (
        400, "BadParameter", None, "The specified version (9.9) is not recognized. Consider using "
        "the latest supported version (2025-07-01).")
    assert app.refused("GET", "/keys/k", api=None)[:2] == (400, "BadParameter")


def test_too_large_and_unknown(app):
    assert app.call("POST", "/keys/k/create", b"{" + b" " * (65 << 10)).status == 413
    assert app.call("GET", "/secrets/x").status == 404
    assert app.refused("POST", "/keys/k/frobnicate", {})[3] == "Operation not specified"


def test_headers(app):
    app.create("k")
    asked = "d4e41130-5a39-11ed-8153-362ecba4621e"
    answer = app.call("GET", "/keys/k", headers={"x-ms-client-request-id": asked})
    assert answer.headers["x-ms-client-request-id"] == asked
    assert answer.headers["x-ms-keyvault-network-info"] == (
        "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;")
    for name in ("x-ms-request-id", "x-ms-keyvault-region", "x-ms-keyvault-service-version",
                 "Strict-Transport-Security", "X-Content-Type-Options", "Date"):
        assert answer.headers[name], name
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    health = app.vault.send("GET", "/healthstatus")
    assert health.status == 200 and len(health.raw) == 4
    assert health.headers["x-ms-keyvault-network-info"]


def shape(value):
    """Member names and types, to any depth; lists by their first item."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


# Recorded answers of RSA keys, and how the same is asked here.
SHAPES = {
    "create-200.01.json": lambda app: app.create("k"),
    "create-200.22-nbf-exp-api75.json": lambda app: app.ok("POST", "/keys/k/create", {
        "kty": "RSA", "attributes": {"nbf": 2208992461, "exp": 2524611661},
        "tags": {"key": "value"}}, api="7.5"),
    "get-latest-200.05.json": lambda app: [app.create("k"), app.ok("GET", "/keys/k", api="7.3")][1],
    "wrapkey-200.23-api2026.json": lambda app: [app.create("k"), app.wrap("/keys/k", b"x")][1],
    "rotate-200.10-rsa-api75.json": lambda app: [app.create("k"), app.ok(
        "PUT", "/keys/k/rotationpolicy", {"attributes": {"expiryTime": "P30D"}}), app.ok(
        "POST", "/keys/k/rotate", api="7.5-preview.1")][2],
    "delete-200.22-api75.json": lambda app: [app.create(
        "k", attributes={"nbf": 2208992461, "exp": 2524611661}, tags={"key": "value"}),
        app.ok("DELETE", "/keys/k", api="7.5")][1],
    "list-deleted-200.01.json": lambda app: [[(app.create(n), app.ok("DELETE", f"/keys/{n}"))
                                              for n in "ab"], app.ok(
        "GET", "/deletedkeys", query="&maxresults=1")][1],
    "list-keys-200.01.json": lambda app: [[app.create(n) for n in "ab"],
                                          app.ok("GET", "/keys", query="&maxresults=1")][1],
    "rotationpolicy-put-200.01.json": lambda app: [app.create("k"), app.ok(
        "PUT", "/keys/k/rotationpolicy", {
            "lifetimeActions": [{"trigger": {"timeAfterCreate": "P18M"},
                                 "action": {"type": "rotate"}}],
            "attributes": {"expiryTime": "P48M"}})][1],
    "backup-200.01.json": lambda app: [app.create("k"), app.ok("POST", "/keys/k/backup")][1],
    "verify-200.01.json": lambda app: [app.create("k"), app.ok("POST", "/keys/k/verify", {
        "alg": "RS256", "digest": b64(b"x" * 32), "value": b64(b"y" * 256)})][1],
}


@pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded answers are not here")
@pytest.mark.parametrize("name", SHAPES)
def test_answers_have_the_recorded_shape(app, name):
    recorded = json.loads((RECORDED / name).read_text())["response"]["body"]
    ours = SHAPES[name](app)
    assert shape(ours) == shape(recorded)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded answers are not here")
@pytest.mark.parametrize("name,ask", [
    ("challenge-401-akv10000.20-api75.json", lambda app: app.vault.call("GET", "/keys/k")),
    ("get-latest-404.22-api76.json", lambda app: app.call("GET", "/keys/1328178650")),
    ("get-deleted-404.22-api75.json", lambda app: app.call("GET", "/deletedkeys/testcrud4141929168")),
    ("error-400-invalid-key-name.01.json", lambda app: app.call(
        "POST", "/keys/key$%23%28%29%213789901543/create", {"kty": "RSA"})),
    ("error-400-empty-key-name.01.json", lambda app: app.call("POST", "/keys//create", {})),
])
def test_errors_are_the_recorded_ones(app, name, ask):
    recorded = json.loads((RECORDED / name).read_text())["response"]
    answer = ask(app)
    assert (answer.status, answer.json) == (recorded["status"], recorded["body"])
    ignored = {"content-length", "x-powered-by", "x-ms-keyvault-rbac-assignment-id",
               "x-ms-client-request-id"}
    wanted = {h.lower() for h in recorded["headers"]} - ignored
    assert wanted <= {h.lower() for h in answer.headers.keys()}
