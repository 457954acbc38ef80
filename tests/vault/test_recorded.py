# SPDX-License-Identifier: Apache-2.0
"""
Real exchanges of Key Vault and Managed HSM, replayed to the client. They are not part of this
repository: $TDEFS_RECORDED names their directory, or they lie beside it.
"""

import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fake_cloud import TENANT, VAULT_HEADERS, VERSION, bundle
from fake_https import Reply

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(os.environ.get("TDEFS_RECORDED", ROOT.parent / "shared/reference/recorded"))

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded exchanges in {RECORDED}")


# What each answer is to the operation that gets it: verdict, and what the client read of it.
NOT_RSA = ("get", "broken", {"error": "not an RSA key"})
GONE = ("get", "denied", {"http_status": 404, "code": "KeyNotFound", "inner_code": ""})
EXPECTED = {
    "get-latest-200.01": NOT_RSA,
    "get-latest-200.03": ("get", "granted", {"bits": 2048, "hsm": True, "may_wrap": False}),
    "get-latest-200.05": ("get", "granted", {
        "bits": 2048, "hsm": False, "may_wrap": True, "may_unwrap": True, "enabled": True,
        "recovery_level": "Recoverable+Purgeable", "purge_protection": False}),
    "get-latest-200.20-trailing-slash": ("get", "granted", {
        "recovery_level": "CustomizedRecoverable+Purgeable", "purge_protection": False}),
    "get-version-200.01": NOT_RSA,
    "get-version-200.03": NOT_RSA,
    "get-version-200.05": ("get", "granted", {"recovery_level": "Purgeable",
                                              "purge_protection": False}),
    "get-latest-disabled-200.01": NOT_RSA,
    "get-latest-disabled-200.03": NOT_RSA,
    "get-deleted-200.22-api75": ("get", "granted", {
        "enabled": False, "not_before": 2208992461, "expires": 2524611661}),
    "get-latest-404.01": GONE,
    "get-latest-404.03": GONE,
    "get-latest-404.05": GONE,
    "get-latest-404.22-api76": GONE,
    "get-deleted-404.01": GONE,
    "get-deleted-404.03": GONE,
    "get-deleted-404.22-api75": GONE,
    "mhsm-get-latest-200.02": NOT_RSA,
    "mhsm-get-latest-200.05": ("get", "granted", {"bits": 2048, "hsm": True}),
    "mhsm-get-latest-200.21-api75": ("get", "granted", {
        "hsm": True, "may_wrap": True, "may_unwrap": True, "not_before": 2208992461}),
    "mhsm-get-version-200.10": NOT_RSA,
    "mhsm-update-disabled-200.21-api75": ("get", "granted", {"enabled": False, "hsm": True}),
    "mhsm-get-latest-404.01-api2026": GONE,
    "rotate-200.10-rsa-api75": ("get", "granted", {"expires": 1701867450}),
    "list-versions-200.01": ("versions", "granted", {}),
    "list-versions-200.03": ("versions", "granted", {}),
    "list-versions-200.05": ("versions", "granted", {}),
    **{f"wrapkey-200.{n}": ("wrap", "granted", {"wrapped_len": 256})
       for n in ("01", "03", "05", "07", "20-latest-version", "23-api2026")},
    "mhsm-wrapkey-200.20-latest-api75": ("wrap", "granted", {"wrapped_len": 256}),
    "unwrapkey-200.01": ("unwrap", "granted", {"plain_len": 28}),
    "unwrapkey-200.03": ("unwrap", "granted", {"plain_len": 28}),
    "unwrapkey-200.05": ("unwrap", "granted", {"plain_len": 28}),
    "unwrapkey-200.07": ("unwrap", "granted", {"plain_len": 100}),
    "unwrapkey-200.20-latest-version": ("unwrap", "granted", {"round_trip": False}),
    "unwrapkey-200.23-api2026": ("unwrap", "granted", {"plain_len": 32}),
    "mhsm-unwrapkey-200.20-latest-api75": ("unwrap", "granted", {"round_trip": False}),
    "error-400-empty-key-name.01": ("get", "broken", {"code": "BadParameter"}),
    "error-400-invalid-key-name.01": ("get", "broken", {"code": "BadParameter"}),
    "error-403-forbiddenbypolicy.01-decrypt": ("get", "denied", {"code": "Forbidden",
                                                                 "inner_code": "ForbiddenByPolicy"}),
    "error-403-keymanagedbykeyvault.01": ("get", "denied", {"inner_code": "KeyManagedByKeyVault"}),
    "secret-disabled-403.01": ("get", "denied", {"inner_code": "SecretDisabled"}),
    "mhsm-error-400-badparameter.01": ("get", "broken", {"code": "BadParameter"}),
    "mhsm-purge-204.21-api75": ("get", "unreachable", {"http_status": 204}),
    "create-409-beingdeleted.01": ("get", "broken", {"inner_code": "ObjectIsBeingDeleted"}),
    "create-409-deleted-recoverable.01": ("get", "broken", {
        "inner_code": "ObjectIsDeletedButRecoverable"}),
    # Real bodies that people pasted; headers are mostly lost.
    "reported-in-issues/400-invalid-url-html": ("get", "unreachable", {"code": ""}),
    "reported-in-issues/400-unwrap-oaep-decoding": ("get", "broken", {"code": "BadParameter"}),
    "reported-in-issues/400-unwrap-value-not-base64url": ("get", "broken", {
        "code": "BadParameter"}),
    "reported-in-issues/401-invalid-audience": ("get", "unreachable", {"credential_alarm": True}),
    "reported-in-issues/401-tokenexpired": ("get", "unreachable", {"credential_alarm": True}),
    "reported-in-issues/403-forbiddenbyfirewall": ("get", "denied", {
        "inner_code": "ForbiddenByFirewall"}),
    "reported-in-issues/403-forbiddenbypolicy-new-wording": ("get", "denied", {
        "inner_code": "ForbiddenByPolicy"}),
    "reported-in-issues/403-forbiddenbyrbac": ("get", "denied", {"inner_code": "ForbiddenByRbac"}),
    "reported-in-issues/403-keyoperationforbidden": ("get", "denied", {
        "inner_code": "KeyOperationForbidden"}),
    "reported-in-issues/429-throttled": ("get", "unreachable", {"code": "Throttled",
                                                                "retry_after_ms": 0}),
}


class Recording:
    """One exchange, with the vault's host names made ones that the test's server has."""

    def __init__(self, name):
        recorded = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
        response = recorded["response"]
        self.status = response["status"]
        text = response["body"]
        self.is_json = not isinstance(text, (str, type(None)))
        text = json.dumps(text) if self.is_json else text or ""
        hsm = name.startswith("mhsm-")
        self.host = "replay.managedhsm.azure.net" if hsm else "replay.vault.azure.net"
        self.body = re.sub(r"https://[A-Za-z0-9_.-]+(?=(:443)?/(keys|deletedkeys)/)",
                           f"https://{self.host}", text)
        url = recorded["request"]["url"] or ""
        named = re.search(r"/keys/([0-9A-Za-z-]+)(?:/([0-9a-f]{32})(?![0-9a-f]))?",
                          json.loads(self.body)["key"]["kid"] if '"key"' in self.body
                          else urlsplit(url).path)
        self.key, self.version = named.groups() if named else ("tde", None)
        if "/deletedkeys/" in url or self.status != 200:
            self.version = None
        unwanted = ("content-length", "connection", "transfer-encoding", "date", "server")
        self.headers = {k: v for k, v in (response["headers"] or {}).items()
                        if k.lower() not in unwanted}
        self.content_type = self.take("content-type")

    def take(self, name):
        for k in list(self.headers):
            if k.lower() == name:
                return self.headers.pop(k)
        return None

    def reply(self):
        content_type = self.content_type or ("application/json" if self.is_json else None)
        return Reply(self.status, self.body, self.headers, content_type)

    @property
    def kid(self):
        return f"https://{self.host}/keys/{self.key}" + (f"/{self.version}" if self.version else "")


def files(pattern):
    return sorted(str(p.relative_to(RECORDED).with_suffix("")) for p in RECORDED.glob(pattern))


@pytest.mark.parametrize("name", EXPECTED)
def test_answers(cloud, name):
    operation, verdict, facts = EXPECTED[name]
    recording = Recording(name)
    if name.startswith("reported-in-issues/"):  # the vault's marks were not pasted
        recording.headers = {**VAULT_HEADERS, **recording.headers}
    cloud.configure(recording.kid)

    def vault(r):
        if operation == "versions" and "skiptoken" in r.path:
            return Reply(200, {"value": [], "nextLink": None}, VAULT_HEADERS)
        if operation == "unwrap" and "/wrapkey" in r.path:
            kid = json.loads(recording.body)["kid"]
            return Reply(200, {"kid": kid, "value": json.loads(r.body)["value"]}, VAULT_HEADERS)
        return recording.reply()

    cloud.vault = vault
    answer = cloud.call(operation)
    assert answer["verdict"] == verdict, answer
    assert answer["credential_alarm"] == facts.get("credential_alarm", False), answer
    for fact, value in facts.items():
        assert answer[fact] == value or (fact == "error" and value in answer[fact]), answer
    if verdict in ("denied", "broken") and answer["code"]:
        assert answer["http_status"] == recording.status
        assert answer["request_id"], answer
    if operation == "versions":
        check_versions(answer["versions"], json.loads(recording.body)["value"])


def check_versions(versions, recorded):
    assert {v["kid"] for v in versions} == {v["kid"] for v in recorded}
    created = [v["created"] for v in versions]
    assert created == sorted(created, reverse=True) and len(versions) == 25


@pytest.mark.parametrize("name", files("*challenge-401-*.json"))
def test_challenges(cloud, name):
    """Each leads to a token of the tenant and the resource that it names."""
    recording = Recording(name)
    field = recording.take("www-authenticate").replace("azure_tenant_id", TENANT)
    resource = re.search(r'resource="([^"]*)"', field)[1]
    field = field.replace("https://local", "https://example.net")  # a scrubber's work
    host = "replay." + urlsplit(resource.replace("//local", "//example.net")).hostname
    cloud.configure(f"https://{host}/keys/tde")
    recording.headers["WWW-Authenticate"] = field
    cloud.challenge = lambda r: (recording.reply() if not r.token
                                 else Reply(200, bundle(host), VAULT_HEADERS))
    answer = cloud.call("get")
    assert answer["verdict"] == "granted", answer
    assert answer["kid"] == f"https://{host}/keys/tde/{VERSION}"
    (token,) = cloud.token_requests()
    assert token.path == f"/{re.search('/([0-9a-f-]{36})', field)[1]}/oauth2/v2.0/token"
    assert f"scope=https%3A%2F%2F{host.split('.', 1)[1]}%2F.default".encode() in token.body


@pytest.mark.parametrize("name", files("aad-token-*.json"))
def test_tokens(cloud, name):
    recording = Recording(name)
    cloud.authority = lambda r: recording.reply()
    assert cloud.call("get")["verdict"] == "granted"
    token = json.loads(recording.body)["access_token"]
    assert cloud.vault_requests()[-1].token == f"Bearer {token}"


def test_every_answer_of_a_clients_operations_is_in_the_table():
    """A new recording of what the client asks is looked at, not passed over."""
    kinds = ("get-*", "list-versions-*", "wrapkey-*", "unwrapkey-*", "error-*", "mhsm-get-latest*",
             "mhsm-*wrapkey-*", "mhsm-error-*", "reported-in-issues/*")
    names = {n for kind in kinds for n in files(f"{kind}.json")}
    assert names - set(EXPECTED) - {"get-deleted-200.01", "get-deleted-200.03"} == set()


def test_without_its_marks_no_pasted_answer_is_a_denial(cloud):
    for name in files("reported-in-issues/403-*.json"):
        recording = Recording(name)
        cloud.configure(recording.kid)
        cloud.vault = lambda r, recording=recording: Reply(recording.status, recording.body)
        assert cloud.call("get", 700)["verdict"] == "unreachable"
