# SPDX-License-Identifier: Apache-2.0
"""Metrics: true, in a form that a strict reader takes, by tdefsctl and by HTTP."""

import json
import math
import os
import time

from exposition import Metrics

STATES = {"starting", "waiting", "failed", "online", "read-only", "draining", "inaccessible"}


def metrics_of(v):
    return Metrics(v.ctl("metrics", v.name).stdout)


def test_metrics_are_true(make_guarded):
    v = make_guarded()
    with open(v.mount_point / "f", "wb", buffering=0) as f:
        f.write(b"x" * 5000)
        os.fsync(f.fileno())
    v.answers("granted")
    m = metrics_of(v)
    status = v.status()
    assert {s["state"] for s in m.of("tdefs_state")} == STATES
    assert [s["state"] for s in m.of("tdefs_state") if m.value("tdefs_state", **s)] == ["online"]
    assert m.value("tdefs_up", volume="sales") == 1
    assert m.value("tdefs_seconds_until_read_only", volume="sales") == math.inf
    assert m.value("tdefs_seconds_until_denied", volume="sales") == math.inf
    assert m.value("tdefs_probes_total", volume="sales", **{"class": "granted"}) >= 1
    assert m.value("tdefs_vault_operations_total", volume="sales", operation="unwrapKey",
                   **{"class": "granted"}) >= 2  # at mount, and by the probe
    assert m.value("tdefs_unwrap_latency_seconds_count", volume="sales") >= 2
    assert m.value("tdefs_operations_total", volume="sales", operation="write") >= 1
    assert m.value("tdefs_operations_total", volume="sales", operation="fsync") >= 1
    assert m.value("tdefs_written_bytes_total", volume="sales") >= 5000
    assert m.value("tdefs_latched_errors", volume="sales") == 0
    assert 0 < m.value("tdefs_last_grant_timestamp_seconds", volume="sales") <= time.time() + 1
    assert m.value("tdefs_token_expiry_timestamp_seconds", volume="sales") > time.time()
    assert m.value("tdefs_protector_info", volume="sales", kid=status["protector"]["kid"],
                   thumbprint=status["protector"]["thumbprint"]) == 1
    assert 0 <= m.value("tdefs_rotation_age_seconds", volume="sales") < 86400
    assert m.value("tdefs_build_info", version=status["version"], libfuse=status["libfuse"]) == 1
    assert not any(m.value("tdefs_alarm", **a) for a in m.of("tdefs_alarm"))
    # Every family says what it is, and has a sample.
    assert m.help.keys() == m.types.keys() and all(m.help.values())


def test_metrics_of_a_denial(make_guarded):
    v = make_guarded()
    v.vault.command("key", "disable", "tde")
    v.reach_purged("denied")
    m = metrics_of(v)
    assert m.value("tdefs_state", volume="sales", state="inaccessible") == 1
    assert m.value("tdefs_reasons", volume="sales", reason="denied") == 1
    assert m.value("tdefs_reasons", volume="sales", reason="outage") == 0
    assert m.value("tdefs_seconds_until_denied", volume="sales") == 0
    assert m.value("tdefs_probes_total", volume="sales", **{"class": "denied"}) >= 3


def test_metrics_of_several_volumes_are_one_text(make_guarded):
    """Also of one that is not mounted; each family is told once."""
    v = make_guarded()
    with v.config.open("a") as f:
        f.write(f"[volume other]\nbacking = {v.directory}/b2\nmount = {v.directory}/m2\n")
    result = v.ctl("metrics", check=False)
    assert result.returncode == 5 and "other: not mounted" in result.stderr
    m = Metrics(result.stdout)
    assert m.value("tdefs_up", volume="sales") == 1 and m.value("tdefs_up", volume="other") == 0
    assert m.value("tdefs_state", volume="sales", state="online") == 1
    answer = json.loads(v.ctl("metrics", "--json", "sales").stdout)
    assert answer["schema"] == 1 and Metrics(answer["metrics"]).of("tdefs_up") == [{"volume": "sales"}]
