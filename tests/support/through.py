# SPDX-License-Identifier: Apache-2.0
"""One volume through one loss of its key and back, with an engine and others at work on it."""

import time

from causes import CONFIRMATIONS, DENIED, DENY_AFTER, LOCKED, NOTHING, READ_ONLY_AFTER, UNREACHABLE, Watch
from conftest import wait_for
from guard_kit import MARKER, holds
from loaded import create
from users import ALL_WORKS, READ_ONLY, refused

MEASURED = []  # rows of the table that is printed at the end


def probes(v):
    return v.control("status")["key_access"]["probes"]


# The states on the way down, with the reason of each.
DOWN = {
    NOTHING: [],
    DENIED: ["draining denied", "inaccessible denied"],
    LOCKED: ["draining locked", "inaccessible locked"],
    UNREACHABLE: ["draining outage", "read-only outage", "draining outage", "inaccessible outage"],
}


class Passage:
    """`scene` is mounted, `engine` under load, `users` at work; each step says what must be seen."""

    def __init__(self, scene, cause, engine, users):
        self.scene, self.cause, self.engine, self.users = scene, cause, engine, users
        self.row = {"cause": cause.name, "engine": engine.kind, "gets": None}
        self.seen_as = cause.seen_as or {DENIED: "denied", UNREACHABLE: "unreachable"}.get(cause.verdict)

    def lose(self):
        v, base, mark = self.scene.v, probes(self.scene.v), self.scene.v.events()[-1]["seq"]
        watch = Watch(v)
        try:
            self.cause.lose(self.scene)
            {NOTHING: self._stays, DENIED: self._denied, LOCKED: self._locked,
             UNREACHABLE: self._unreachable}[self.cause.verdict](v)
        finally:
            watch.stop()
        self._told(mark)
        if self.cause.verdict == DENIED:
            watch.assert_counted(base, "denied", ("online",), 1 + CONFIRMATIONS, 2 + CONFIRMATIONS)
        self.row["noticed"] = self.seen_as and watch.first(
            lambda state, seen, *_: seen[self.seen_as] > base[self.seen_as])
        self.row["down"] = watch.first(lambda state, *_: state in ("read-only", "inaccessible"))
        self.row["purged"] = watch.first(lambda state, seen, pid, purged: purged)

    def _told(self, mark):
        """The log tells of each state; and, alone, of the answers that made a denial count."""
        expected = DOWN[self.cause.verdict][-2 if self.cause.at_once else 0:]

        def since():
            return [e for e in self.scene.v.events() if e["seq"] > mark]

        def states():
            return [f"{e['state']} {','.join(e['reasons'])}" for e in since() if e["event"] == "state"]

        wait_for(lambda: len(states()) >= len(expected), lambda: f"events: {states()}")
        assert states() == expected
        if not self.seen_as:
            return
        first = next(i for i, e in enumerate(since()) if e["event"] == "state")
        told = since()[:first + 1]
        assert self.seen_as in [e.get("class") for e in told], told
        answers = [e["class"] for e in told if e.get("by") == "probe" and "class" in e]  # no sums
        assert self.cause.verdict != DENIED or answers.count("denied") == 1 + CONFIRMATIONS, answers
        assert any(e["event"] == "probe_failed" for e in self.scene.v.events())

    def _stays(self, v):
        v.answers("granted")
        v.answers("granted")
        assert v.now() == "online"
        self._get(ALL_WORKS)
        self.engine.await_commits()  # it never noticed

    def _gone(self, v, reason, error):
        v.reach_purged(reason)
        self._get(refused(error))
        assert not holds(v.pid, MARKER)

    def _denied(self, v):
        self._gone(v, "denied", "EKEYREVOKED")
        assert v.status()["key_access"]["next_step"]

    def _locked(self, v):
        self._gone(v, "locked", "ENOKEY")

    def _unreachable(self, v):
        if not self.cause.at_once:
            v.answers(self.seen_as)
            wait_for(lambda: v.status()["key_access"]["trouble"], "the alarm")
            assert v.now() == "online"
            self.scene.world.pass_time(READ_ONLY_AFTER)
            v.reach("read-only", "outage")
            self._get(READ_ONLY)
            self.scene.world.pass_time(DENY_AFTER - READ_ONLY_AFTER)
        self._gone(v, "outage", "ENOKEY")

    def _get(self, expected):
        got = self.users.get()
        assert got == expected, got
        self.row["gets"] = got

    def regain(self):
        v = self.scene.v
        if self.cause.verdict == NOTHING:
            self.cause.regain(self.scene)
        self.engine.halt()
        if self.cause.restarts:
            self.users.close()
        if self.cause.meanwhile:
            self.cause.meanwhile(self.scene)
        if self.cause.verdict != NOTHING:
            self._regain(v)
        if self.cause.restarts:
            self.users.open()
        else:
            self.users.mapping_again()
        assert self.users.get() == ALL_WORKS  # by descriptors that were open all the time, too
        self.engine.recover()
        MEASURED.append(self.row)

    def _regain(self, v):
        counted = self.cause.counted and not self.cause.resumed
        base = probes(v) if counted else None
        watch = Watch(v)
        try:
            self.cause.regain(self.scene)
            granted = time.monotonic() - watch.began
            v.reach("online")
        finally:
            watch.stop()
        if counted and self.cause.verdict == DENIED:
            watch.assert_counted(base, "granted", ("inaccessible",), 3, 4)  # two, then the DEK's own
        up = watch.first(lambda state, *_: state == "online")
        self.row["up"] = self.cause.resumed or up and max(0.0, up - granted)


def table():
    """What was measured, as lines."""

    def cell(value):
        return f"{value:8.1f}" if isinstance(value, float) else f"{value or '-':>8}"

    keys = ("noticed", "down", "purged", "up")
    yield f"{'cause':40}{'engine':12}" + "".join(f"{k:>8}" for k in keys) + "  reader, writer, mapping, rm"
    for row in MEASURED:
        gets = ", ".join(error or "ok" for error in row["gets"].values())
        yield f"{row['cause']:40}{row['engine']:12}" + "".join(cell(row.get(k)) for k in keys) + "  " + gets


def through(scene, directory, cause, kind):
    v = scene.mount()
    engine = create(kind, v.mount_point, directory)
    scene.stack.callback(engine.halt)
    users = scene.users()
    engine.begin()
    passage = Passage(scene, cause, engine, users)
    passage.lose()
    passage.regain()
    engine.check()
    v.ctl("events", v.name, "--verify")


def through_many(scene, directory, causes, choose):
    """One PostgreSQL, lost and regained again and again, each time after another while of work."""
    v = scene.mount()
    engine = create("postgresql", v.mount_point, directory)
    scene.stack.callback(engine.halt)
    users = scene.users()
    for i, cause in enumerate(causes):
        print(f"{i}: {cause.name}", flush=True)
        engine.begin()
        engine.await_commits(choose.randrange(1, 100))
        passage = Passage(scene, cause, engine, users)
        passage.lose()
        passage.regain()
    engine.check()
