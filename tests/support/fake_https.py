# SPDX-License-Identifier: Apache-2.0
"""A certificate authority, a TLS server that answers as a test tells it, and a CONNECT proxy."""

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Certificates for servers; `pem` is what a client trusts."""

    def __init__(self, directory, name="test CA"):
        self.directory, self.name = Path(directory), name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self._builder(name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True))
        self.pem = self.directory / f"{name.replace(' ', '-')}.pem"
        self.pem.write_bytes(self._pem(self.certificate))

    @staticmethod
    def _pem(certificate):
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(self, name, key, days=(-2, 30)):
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now + datetime.timedelta(days=days[0]))
                .not_valid_after(now + datetime.timedelta(days=days[1])))

    def _sign(self, builder):
        return builder.sign(self.key, hashes.SHA256())

    def context(self, *names, days=(-2, 30)):
        """A server's TLS context with a certificate for these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = []
        for name in names:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                alternatives.append(x509.DNSName(name))
        certificate = self._sign(self._builder(names[0], key, days).add_extension(
            x509.SubjectAlternativeName(alternatives), critical=False))
        path = self.directory / f"server-{certificate.serial_number}.pem"
        path.write_bytes(self._pem(certificate) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@dataclass
class Request:
    method: str
    host: str
    path: str
    headers: object
    body: bytes

    @property
    def token(self):
        return self.headers.get("Authorization")


@dataclass
class Reply:
    status: int = 200
    body: object = b""  # bytes, text, or what becomes JSON
    headers: dict = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"
    length: int = None  # said instead of the true one
    raw: bytes = None  # sent as it is, then the connection ends
    drip: bool = False  # the body byte for byte, for ever

    def bytes(self):
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        owner = self.server.owner
        if owner.context:  # here, in the connection's own thread
            self.request = owner.context.wrap_socket(self.request, server_side=True)
        with owner.lock:
            owner.connections += 1
            owner.sockets.append(self.request)
        super().setup()

    def handle(self):
        try:
            super().handle()
        except (OSError, ValueError):
            pass  # the client has gone

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass
        self.request.close()  # the server knows only the socket below TLS

    def _serve(self):
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.headers.get("Host", ""), self.path, self.headers, body)
        with owner.lock:
            owner.requests.append(request)
        self._send(owner.answer(request))

    def _send(self, reply):
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            self.close_connection = True
            return
        body = reply.bytes()
        self.send_response_only(reply.status)
        if reply.content_type:
            self.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            for one in value if isinstance(value, list) else [value]:
                self.send_header(name, one)
        if not reply.drip:
            self.send_header("Content-Length", len(body) if reply.length is None else reply.length)
        self.end_headers()
        while reply.drip and not self.server.owner.closing.wait(0.02):
            self.wfile.write(b" ")
        self.wfile.write(body)
        self.close_connection |= reply.length is not None

    do_GET = do_POST = _serve


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a handshake that failed, as it should


class FakeServer:
    """Answers each request by answer(request); remembers them all. TLS if there is a context."""

    def __init__(self, answer, context=None, port=0):
        self.answer, self.context = answer, context
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.requests, self.sockets, self.connections = [], [], 0
        self.server = _Server(("127.0.0.1", port), _Handler)
        self.server.owner = self
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def drop_connections(self):
        with self.lock:
            for s in self.sockets:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.sockets.clear()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Proxy:
    """CONNECT for any host and port leads to one port of this machine."""

    def __init__(self, port, greeting=b"HTTP/1.1 200 Connection established\r\n\r\n"):
        self.port_behind, self.greeting, self.targets = port, greeting, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(4096)
                if not data:
                    return
                head += data
            self.targets.append(head.split(b"\r\n")[0].decode())
            if not head.startswith(b"CONNECT "):
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            client.sendall(self.greeting)
            if b" 200 " not in self.greeting.split(b"\r\n")[0]:
                return
            with socket.create_connection(("127.0.0.1", self.port_behind)) as server:
                other = threading.Thread(target=self._copy, args=(server, client), daemon=True)
                other.start()
                self._copy(client, server)
                other.join()

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        # shutdown() wakes accept(); close() alone does not.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
