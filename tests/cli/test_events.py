# SPDX-License-Identifier: Apache-2.0
"""tdefsctl events: listing, following over a rotation, and what verification says of damage."""

import json
import os
import signal
import subprocess

from conftest import BUILD, wait_for


def log_of(v):
    return v.directory / "events/sales.jsonl"


def lines_of(v):
    return log_of(v).read_text().splitlines(keepends=True)


def verify(v, *more, code):
    result = v.ctl("events", "sales", "--verify", *more, check=False)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


def logged(make_volume, **settings):
    """A volume with a log that is closed: mounted and unmounted once."""
    v = make_volume(**settings)
    v.mount()
    v.unmount()
    wait_for(lambda: '"event":"anchor"' in lines_of(v)[-1], "the last anchor")
    return v


def test_events_are_listed_and_whole(make_volume):
    v = logged(make_volume)
    shown = v.ctl("events", "sales").stdout.splitlines()
    assert len(shown) == len(lines_of(v)) and '"' not in shown[-1]
    assert shown[-1].split()[1] == "anchor"
    assert v.ctl("events", "--json").stdout == log_of(v).read_text()
    out = verify(v, code=0)
    assert f"{len(shown)} events, 1 to {len(shown)}: whole" in out
    assert "since the last anchor" not in out
    last = json.loads(lines_of(v)[-1])
    anchor = f"{last['seq']}:{last['hash']}"
    verify(v, "--anchor", anchor, code=0)
    another = anchor[:-1] + ("1" if anchor[-1] == "0" else "0")
    assert "unknown: " in verify(v, "--anchor", another, code=1)
    assert v.ctl("events", "sales", "--anchor", anchor, check=False).returncode == 2


def test_damage_is_told_and_what_it_is(make_volume):
    v = logged(make_volume)
    good = lines_of(v)
    cases = {
        "edited: sales.jsonl:2: 1 line is not as written":
            [good[0], good[1].replace('"sales"', '"other"'), *good[2:]],
        "gap: sales.jsonl:2: events are missing: 1 is followed by 3": [good[0], *good[2:]],
        "cut: the end is missing": good[:-1],
        "torn: ": [*good, '{"v":1,"seq":'],
    }
    for says, damaged in cases.items():
        log_of(v).write_text("".join(damaged))
        out = verify(v, code=0 if says.startswith("torn") else 1)
        assert says in out
        answer = json.loads(verify(v, "--json", code=0 if says.startswith("torn") else 1))
        assert answer["findings"][0]["kind"] == says.split(":")[0]
        assert answer["whole"] == says.startswith("torn")
    log_of(v).unlink()
    assert "cut: the end is missing" in verify(v, code=1)


def test_what_stands_in_a_log_cannot_talk_to_the_terminal(make_volume):
    v = logged(make_volume)
    with log_of(v).open("a") as f:
        f.write('{"v":1,"time":"x\\u001b[2J","event":"\\u009b1m","a":"\\u0007\\n"}\n\x1b[31m\n')
    out = v.ctl("events").stdout
    assert not any(c in out for c in "\x1b\x07\x9b") and "\\x1b" in out
    assert "is not an event" in out.splitlines()[-1]


def test_a_link_instead_of_the_log_is_refused(make_volume):
    v = logged(make_volume)
    log_of(v).rename(v.directory / "elsewhere")
    log_of(v).symlink_to(v.directory / "elsewhere")
    result = v.ctl("events", "sales", check=False)
    assert result.returncode == 1 and "cannot open the event log" in result.stderr


def test_follow_goes_on_after_a_rotation_until_it_is_interrupted(make_volume):
    v = logged(make_volume)
    shown = v.directory / "shown"
    with shown.open("w") as out:
        p = subprocess.Popen([BUILD / "tdefsctl", "-c", v.config, "events", "--follow"], stdout=out,
                             env={**os.environ, **v.environment()})
    try:
        wait_for(lambda: "anchor" in shown.read_text(), "what was there")
        log_of(v).rename(v.directory / "events/sales.jsonl.1")
        v.mount()  # writes into a new file
        v.unmount()
        wait_for(lambda: log_of(v).exists() and shown.read_text().count(" anchor") == 2,
                 lambda: shown.read_text())
        os.kill(p.pid, signal.SIGINT)
        assert p.wait(120) == 0
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    assert json.loads(lines_of(v)[0])["seq"] > 1
    assert "whole" in verify(v, code=0)
