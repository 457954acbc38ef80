# SPDX-License-Identifier: Apache-2.0
"""A tdefs-vault in a temporary directory, and a small client of its protocol."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import urllib.parse
from pathlib import Path

from conftest import BUILD, run, wait_for
from ports import take_port

API = "7.4"
RESOURCE = "https://vault.azure.net"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()

    @property
    def json(self):
        return json.loads(self.raw)

    @property
    def error(self):
        """(status, code, inner code, message)"""
        e = self.json["error"]
        return self.status, e["code"], e.get("innererror", {}).get("code"), e["message"]


class Identity:
    """A client of the vault: its credential and its latest token."""

    def __init__(self, vault, name, client_id, secret, **more):
        self.vault, self.name, self.client_id, self.secret = vault, name, client_id, secret
        self.more = more
        self.token = None

    def login(self):
        answer = self.vault.token(client_id=self.client_id, client_secret=self.secret)
        assert answer.status == 200, answer.raw
        self.token = answer.json["access_token"]
        return self

    def call(self, method, path, body=None, **how):
        return self.vault.call(method, path, body, token=self.token, **how)

    def ok(self, method, path, body=None, status=200, **how):
        answer = self.call(method, path, body, **how)
        assert answer.status == status, (method, path, answer.status, answer.raw)
        return answer.json if answer.raw else None

    def refused(self, method, path, body=None, **how):
        answer = self.call(method, path, body, **how)
        assert answer.status >= 400, answer.raw
        return answer.error

    def create(self, name, **body):
        return self.ok("POST", f"/keys/{name}/create", {"kty": "RSA", **body})

    def wrap(self, path, data, alg="RSA-OAEP-256"):
        return self.ok("POST", f"{path}/wrapkey", {"alg": alg, "value": b64(data)})

    def unwrap(self, path, value, alg="RSA-OAEP-256"):
        return unb64(self.ok("POST", f"{path}/unwrapkey", {"alg": alg, "value": value})["value"])


class VaultServer:
    within = ()  # what it is started by: region.py

    def __init__(self, directory, *options, faults=True):
        self.directory = Path(directory)
        self.data = self.directory / "vault"
        self.master_key = self.directory / "master.key"
        self.log = self.directory / "server.log"
        self.options = list(options) + (["--allow-test-faults"] if faults else [])
        self.process = None
        self.address = None
        self.imds = None
        self.printed = ""

    def environment(self):
        # The server is not dumpable, so LeakSanitizer cannot look at it.
        return {"ASAN_OPTIONS": f"detect_leaks=0:log_path={self.directory}/sanitizer",
                "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={self.directory}/sanitizer",
                "TSAN_OPTIONS": f"log_path={self.directory}/sanitizer"}

    def arguments(self):
        return ["--data", str(self.data), "--master-key", str(self.master_key)]

    def start(self, *more, listen=None):
        """On a port of its own, or where it was before (its `address`)."""
        output = self.directory / "server.out"
        with open(output, "wb") as out, open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.within, BUILD / "tdefs-vault", "serve", *self.arguments(), "--listen",
                 listen or f"127.0.0.1:{take_port()}",
                 *self.options, *more], stdout=out, stderr=log,
                env={**os.environ, **self.environment()})

        def ready():
            text = output.read_text()
            assert self.process.poll() is None, f"the server ended: {self.log.read_text()}"
            return re.search(r"^listening on (.*)\n", text, re.M)

        self.address = wait_for(ready, "the server to listen")[1]
        self.printed = output.read_text()
        found = re.search(r"^managed identity on (.*)\n", self.printed, re.M)
        self.imds = found and found[1]
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=300)
        self.process = None
        assert code == 0, self.log.read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self):
        """Leave nothing behind, whatever the test did; say what was wrong."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        reports = list(self.directory.glob("sanitizer*"))
        assert not reports, "sanitizer: " + "".join(r.read_text() for r in reports)

    @property
    def url(self):
        return f"https://{self.address}"

    @property
    def tenant(self):
        return self.command_json("status")["tenant"]

    def command(self, *args, check=True):
        return run(BUILD / "tdefs-vault", *args, *self.arguments(), check=check,
                   env=self.environment())

    def command_json(self, *args):
        answer = json.loads(self.command(*args, "--json").stdout)
        assert next(iter(answer)) == "schema" and answer["schema"] == 1
        return answer

    def fault(self, *args, count=None):
        more = ["--count", str(count)] if count else []
        return self.command("fault", *args, *more, "--allow-test-faults")

    def identity(self, name="app", grant="all", key="*"):
        made = self.command_json("identity", "add", name)
        if grant:
            self.command("grant", name, key, grant)
        return Identity(self, name, made["client_id"], made["client_secret"])

    def context(self):
        return ssl.create_default_context(cafile=self.data / "ca.pem")

    def connect(self, timeout=120):
        host, port = self.address.rsplit(":", 1)
        return http.client.HTTPSConnection(host, int(port), context=self.context(), timeout=timeout)

    def send(self, method, target, body=None, headers=None, connection=None):
        c = connection or self.connect()
        try:
            c.request(method, target, body, headers or {})
            return Answer(c.getresponse())
        finally:
            if not connection:
                c.close()

    def call(self, method, path, body=None, token=None, api=API, headers=None, query="",
             connection=None):
        headers = {"Content-Type": "application/json", **(headers or {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        target = f"{path}?api-version={api}{query}" if api else path
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        return self.send(method, target, data, headers, connection)

    def token(self, tenant=None, version="v2.0/", headers=None, **form):
        fields = {"grant_type": "client_credentials", **form}
        if "scope" not in fields and "resource" not in fields:
            fields["scope"] = f"{RESOURCE}/.default"
        data = urllib.parse.urlencode({k: v for k, v in fields.items() if v is not None})
        return self.send("POST", f"/{tenant or self.tenant}/oauth2/{version}token", data.encode(),
                         {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})

    def audit(self):
        path = self.data / "audit.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextlib.contextmanager
def running_vault(place, *options):
    """A tdefs-vault in a directory of its own, with a key "tde"."""
    place.mkdir()
    server = VaultServer(place, *options)
    try:
        server.start()
        server.command("key", "create", "tde")
        yield server
    finally:
        server.close()
