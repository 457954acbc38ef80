# SPDX-License-Identifier: Apache-2.0
"""webhook_file: each event is posted, signed; again after trouble; and its URL is a secret."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from conftest import wait_for
from fake_https import Authority, FakeServer, Reply

KEY = "a key of the receiver's"
TOKEN = "secret-part-of-the-url"


def good(_):
    return Reply(204, b"", content_type=None)


class Receiver:
    """A receiver and the volume that posts to it."""

    def __init__(self, directory, make_volume):
        self.directory, self.make_volume = directory, make_volume
        self.ca = Authority(directory)
        self.server = FakeServer(good, self.ca.context("localhost"))
        self.port = self.server.port
        self.file = directory / "webhook"
        self.write(f"https://localhost:{self.port}/{TOKEN}?x={TOKEN}\n{KEY}\n")
        self.volume = None

    def write(self, text, mode=0o600):
        self.file.write_text(text)
        self.file.chmod(mode)

    def mount(self, **settings):
        self.volume = self.make_volume(webhook_file=self.file, webhook_ca_file=self.ca.pem, **settings)
        self.volume.mount()
        return self.volume

    def reopen(self):
        self.server = FakeServer(good, self.ca.context("localhost"), self.port)

    def posts(self):
        with self.server.lock:
            return list(self.server.requests)

    def names(self):
        return [json.loads(p.body)["event"] for p in self.posts()]

    def await_event(self, *names):
        wait_for(lambda: set(names) <= set(self.names()), lambda: (names, self.names()))


@pytest.fixture
def receiver(directory, make_volume):
    r = Receiver(directory, make_volume)
    yield r
    r.server.close()


def verify(post):
    """As a receiver would: the signature of time and body."""
    fields = dict(f.split("=") for f in post.headers["X-Tdefs-Signature"].split(","))
    signed = f"{int(fields['t'])}.".encode() + post.body
    assert hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest() == fields["v1"]
    return int(fields["t"])


def assert_secret(v, *more):
    """What anybody can read of us does not have the URL or the key."""
    places = [v.log_text(), json.dumps(v.ctl_json("status", v.name)),
              *(f.read_text() for f in (v.directory / "events").iterdir()), *more]
    if v.pid:
        places.append(Path(f"/proc/{v.pid}/cmdline").read_text())
    for text in places:
        assert TOKEN not in text and KEY not in text


def test_each_event_is_posted_in_turn_and_signed(receiver):
    v = receiver.mount()
    v.ctl("lock", v.name)
    receiver.await_event("mount", "lock", "state")
    assert_secret(v)
    v.unmount()
    assert "unmount" in receiver.names()  # what waits is sent before the daemon ends
    for p in receiver.posts():
        assert (p.method, p.path) == ("POST", f"/{TOKEN}?x={TOKEN}")
        assert p.headers["Content-Type"] == "application/json" and p.token is None
        verify(p)
    sequence = [json.loads(p.body)["seq"] for p in receiver.posts()]
    assert sequence == sorted(set(sequence))
    assert "webhook_failed" not in v.log_text()


def test_what_was_not_taken_is_posted_again(receiver):
    troubles = [Reply(500, "no"), Reply(429, "later"), Reply(raw=b"")]
    receiver.server.answer = lambda r: troubles.pop() if troubles else good(r)
    v = receiver.mount()
    receiver.await_event("mount")
    wait_for(lambda: "event=webhook_works" in v.log_text(), v.log_text)
    first, *_, last = [p for p in receiver.posts() if p.body == receiver.posts()[0].body]
    assert len([p for p in receiver.posts() if p.body == first.body]) == 4
    assert verify(first) < verify(last)
    v.logged(f"event=webhook_failed: localhost:{receiver.port}: ")
    assert_secret(v)


def test_redirects_are_not_followed(receiver, directory):
    elsewhere = FakeServer(good, receiver.ca.context("localhost"))
    try:
        receiver.server.answer = lambda r: Reply(
            307, b"", {"Location": f"https://localhost:{elsewhere.port}/{TOKEN}"})
        v = receiver.mount()
        wait_for(lambda: "HTTP status 307, a redirect, which is not followed" in v.log_text(), v.log_text)
        first = receiver.posts()[0].body
        # It is given up in the end, and the next one is tried.
        wait_for(lambda: any(p.body != first for p in receiver.posts()), "the next event")
        assert not elsewhere.requests
        assert_secret(v)
    finally:
        elsewhere.close()


def test_another_authority_is_refused(receiver, directory):
    receiver.server.context = Authority(directory, "other CA").context("localhost")
    v = receiver.mount()
    wait_for(lambda: "TLS failed" in v.log_text(), v.log_text)
    (v.mount_point / "f").write_text("x")
    assert not receiver.posts()
    assert_secret(v)


def test_states_are_told_after_the_receiver_was_away(receiver):
    receiver.server.close()
    v = receiver.mount()
    wait_for(lambda: "event=webhook_failed" in v.log_text(), v.log_text)
    for _ in range(3):
        v.ctl("lock", v.name)
        v.ctl("resume", v.name)
    status = v.status()
    assert "webhook" in [a["name"] for a in status["alarms"]] and status["webhook"]["waiting"] > 3
    receiver.reopen()
    wait_for(lambda: receiver.names().count("resume") == 3, receiver.names)
    wait_for(lambda: receiver.names()[-1] == "state", receiver.names)
    states = [json.loads(p.body) for p in receiver.posts() if json.loads(p.body)["event"] == "state"]
    assert [s["state"] for s in states if s["state"] in ("online", "inaccessible")][-1] == "online"
    assert receiver.names().count("lock") == 3
    wait_for(lambda: v.status()["webhook"]["waiting"] == 0, v.status)
    assert not v.status()["alarms"] and v.status()["webhook"]["sent"] == len(receiver.posts())
    for p in receiver.posts():
        verify(p)


def test_an_unmount_does_not_wait_for_a_receiver_that_hangs(receiver):
    receiver.server.answer = lambda r: Reply(200, drip=True)
    v = receiver.mount()
    wait_for(receiver.posts, "the first event")
    v.unmount()
    v.logged("events were not delivered in time")


def test_a_bad_file_is_refused_at_the_start(receiver):
    url = f"https://localhost:{receiver.port}/{TOKEN}\n"
    v = receiver.make_volume(webhook_file=receiver.file)

    def refused(text):
        result = v.tdefs("mount", v.name, check=False)
        assert result.returncode == 2 and text in result.stderr, result.stderr
        assert_secret(v, result.stderr)

    receiver.write(url, mode=0o640)
    refused("its group or others have access")
    receiver.write(url.replace("https", "http"))
    refused("does not begin with https://")
    receiver.file.unlink()
    refused("No such file")
    receiver.write(url)
    v.write_config(webhook_ca_file=receiver.directory / "none.pem")
    refused("webhook_ca_file")
    assert not receiver.posts()
