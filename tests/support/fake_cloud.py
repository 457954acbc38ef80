# SPDX-License-Identifier: Apache-2.0
"""A key vault and its authority, as far as a client sees them."""

import json

from fake_https import Authority, FakeServer, Proxy, Reply
from vault_client import Client

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
VERSION = "6f1c0123456789abcdef0123456789ab"
CONTOSO = "contoso.vault.azure.net"
ENTRA = "login.microsoftonline.com"
NAMES = ["*.vault.azure.net", "*.managedhsm.azure.net", ENTRA, "login.windows.net", "localhost",
         "127.0.0.1", "*.example.net"]
SECRET = "s3cret~value+with/chars"
VAULT_HEADERS = {"x-ms-request-id": "11111111-2222-3333-4444-555555555555",
                 "x-ms-keyvault-region": "westus3"}
N = "xcXF" + "xcXF" * 84 + "xQ"  # 256 bytes of 0xc5


def error(status, code, inner=None, **more):
    body = {"error": {"code": code, "message": "a message"}}
    if inner:
        body["error"]["innererror"] = {"code": inner}
    return Reply(status, body, {**VAULT_HEADERS, **more})


def bundle(host=CONTOSO, name="tde", version=VERSION, **attributes):
    return {"key": {"kid": f"https://{host}/keys/{name}/{version}", "kty": "RSA", "n": N,
                    "e": "AQAB", "key_ops": ["wrapKey", "unwrapKey"]},
            "attributes": {"enabled": True, "recoveryLevel": "Recoverable", **attributes}}


class Cloud(Client):
    """
    Behind one TLS server: a vault for any vault's host name and an authority for the others.
    A test replaces `vault` or `authority`, functions from a request to a Reply.
    """

    def __init__(self, directory, context=None):
        super().__init__(directory)
        self.ca = Authority(directory)
        self.server = FakeServer(self._answer, context or self.ca.context(*NAMES))
        self.proxy = Proxy(self.server.port)
        self.vault, self.authority, self.challenge = self.key_vault, self.entra, None
        self.tokens = 0
        self.more_environment = {"HTTPS_PROXY": self.proxy.url}
        self.defaults = {"identity": "client-secret", "client_id": "app", "ca_file": self.ca.pem,
                         "client_secret_file": self.secret_file("client-secret", SECRET + "\n")}
        self.configure()

    def close(self):
        self.proxy.close()
        self.server.close()
        super().close()

    def configure(self, protector=f"https://{CONTOSO}/keys/tde", **settings):
        """Without settings: a client secret, and nothing told about tenant and authority."""
        return super().configure(protector, **settings)

    def direct(self, **settings):
        """The vault at this machine's own address, without identity: one request a call."""
        self.more_environment = {}
        return self.configure(f"https://localhost:{self.server.port}/keys/tde",
                              identity="none", **settings)

    def _answer(self, r):
        host = r.host.split(":")[0]
        if host.startswith("login."):
            return self.authority(r)
        if self.challenge or not r.token:
            return self.challenge(r) if self.challenge else self.default_challenge(host)
        return self.vault(r)

    @staticmethod
    def default_challenge(host, authority=f"https://{ENTRA}/{TENANT}"):
        resource = "https://" + (host.split(".", 1)[1] if host.count(".") > 1 else host)
        return Reply(401, {"error": {"code": "Unauthorized", "message": "AKV10000: no token"}},
                     {**VAULT_HEADERS, "WWW-Authenticate":
                      f'Bearer authorization="{authority}", resource="{resource}"'})

    def entra(self, r):
        self.tokens += 1
        return Reply(200, {"token_type": "Bearer", "expires_in": 3599,
                           "access_token": f"eyJ-token-{self.tokens}"})

    @staticmethod
    def key_vault(r):
        """One key, whose wrapping changes nothing: enough for a client that cannot look inside."""
        operation = r.path.split("?")[0].rsplit("/", 1)[1].lower()
        if operation in ("wrapkey", "unwrapkey"):
            value = json.loads(r.body)["value"]
            return Reply(200, {"kid": f"https://{r.host}/keys/tde/{VERSION}", "value": value},
                         VAULT_HEADERS)
        return Reply(200, bundle(r.host), VAULT_HEADERS)

    def vault_requests(self):
        return [r for r in self.server.requests if not r.host.startswith("login.")]

    def token_requests(self):
        return [r for r in self.server.requests if r.host.startswith("login.")]
