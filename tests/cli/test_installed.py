# SPDX-License-Identifier: Apache-2.0
"""
The package on a Debian that was booted, with PostgreSQL on a protector in tdefs-vault as README says: a
boot with the sample as it is, a restart of all units, a daemon that is killed, metrics by a timer, an
upgrade, the removal, the purge.
"""

import json
import re
import shutil

import pytest
from booted import CLUSTER, Booted
from conftest import wait_for
from documents import CARD, ROOT, sh_of
from package import build_package, later_version

DATA = "/var/lib/postgresql/15/main"
UNITS = "tdefs-vault", "tdefs@sales", "postgresql@15-main"

# A filter of the unit's is not in the way of what on_event runs.
HOOK = """
install -m 666 /dev/null /srv/events
sed -i 's|^protector = .*|&\\non_event = /usr/bin/tee -a /srv/events|' /etc/tdefs/tdefs.conf
"""

# README's "Recipes": who wants the engine back without a hand says so.
WANTS = """
mkdir -p /etc/systemd/system/tdefs@sales.service.d
printf '%s\n' '[Unit]' 'Wants=postgresql@15-main.service' >/etc/systemd/system/tdefs@sales.service.d/override.conf
systemctl daemon-reload
"""

# README's "Monitoring", and the directory that node_exporter's package makes.
TIMER = """
mkdir -p /var/lib/prometheus/node-exporter
cp /usr/share/tdefs/prometheus/tdefs-metrics.* /etc/systemd/system
systemctl daemon-reload
systemctl enable --now tdefs-metrics.timer
systemctl start tdefs-metrics.service
"""
PROM = "/var/lib/prometheus/node-exporter/tdefs.prom"

KEPT = ("/etc/tdefs/client-secret", "/etc/tdefs/vault-master.key", "/var/lib/tdefs-vault/ca.pem", "/var/lib/tdefs/sales.pin",
        "/var/log/tdefs/sales.jsonl", "/srv/tdefs/sales/.tdefs/header")
ENABLED = "find /etc/systemd/system -name '*tdefs*' -type l"


@pytest.fixture(name="host")
def host_(directory):
    this = build_package(directory / "cpack")
    with Booted(directory) as host:
        shutil.copy(this, host.srv / "this.deb")
        shutil.copy(later_version(this, directory), host.srv)
        yield host


def value(host, unit, name):
    return host.sh(f"systemctl show --value -p {name} {unit}").stdout.strip()


def nothing_failed(host):
    return not re.search("tdefs|postgresql", host.sh("systemctl list-units --failed --plain --no-legend").stdout)


def card(host):
    return host.sh("cd /; runuser -u postgres -- psql -qAtXc 'SELECT number FROM card'", check=False).stdout.strip()


def is_in_the_journal(host, event):
    """As README's "Monitoring" says, and what it vouches for is in the event log."""
    found = host.sh(f"journalctl -o json TDEFS_VOLUME=sales TDEFS_EVENT={event}").stdout.splitlines()
    last = json.loads(found[-1])
    anchor = f"{last['TDEFS_SEQ']}:{last['TDEFS_HASH']}"
    host.sh(f"tdefsctl events sales --verify --anchor {anchor}")
    return last["PRIORITY"] == "5" and json.loads(last["TDEFS_LINE"])["event"] == event


def confines_itself_in_its_unit(host):
    (volume,) = json.loads(host.sh("tdefsctl --json status sales --security").stdout)["volumes"]
    found = {fact["name"]: fact["verdict"] for fact in volume["security"]}
    return {"good"} == {found[name] for name in found if "capabilit" in name or "seccomp" in name or "privileges" in name}


def runs_on_the_volume(host):
    return (card(host) == CARD and host.sh(f"findmnt -no FSTYPE {DATA}").stdout.strip() == "fuse.tdefs"
            and value(host, "tdefs@sales", "StatusText") == "online" and nothing_failed(host))


def comes_back_when_killed(host):
    host.sh(WANTS)
    daemon, = json.loads(host.sh("tdefsctl --json status sales").stdout)["volumes"]
    before = [value(host, unit, "MainPID") for unit in UNITS]
    host.sh(f"kill -KILL {daemon['pid']}")
    wait_for(lambda: value(host, "tdefs@sales", "NRestarts") == "1" and runs_on_the_volume(host), "all that was killed")
    now = [value(host, unit, "MainPID") for unit in UNITS]
    return now[0] == before[0] and now[1] != before[1] and now[2] != before[2]


def writes_metrics(host):
    host.sh(TIMER)
    timer = host.sh("systemctl list-timers --no-legend tdefs-metrics.timer").stdout
    return (host.sh(f"stat -c %a {PROM}").stdout == "644\n" and "tdefs-metrics.service" in timer
            and re.search(r'(?m)^tdefs_up\{[^}]*volume="sales"[^}]*\} 1$', host.sh(f"cat {PROM}").stdout))


def keeps_what_nobody_could_make_again(host):
    """And of what was enabled nothing is left."""
    assert "tdefs@sales.service" in host.sh(ENABLED).stdout
    host.sh("systemctl disable --now tdefs-metrics.timer; rm -r /etc/systemd/system/tdefs*")  # the test's own
    assert "pins of volumes" in host.sh("dpkg -P tdefs").stdout
    assert host.sh(ENABLED).stdout == ""
    host.sh(f"ls {' '.join(KEPT)}")
    return card(host) == CARD


def test_sample_restart_upgrade_removal(host):
    host.sh("dpkg -i /srv/this.deb")
    host.sh(CLUSTER)
    host.reboot()
    told = host.sh("tdefsctl status", check=False)  # the sample, as it is
    assert told.returncode == 5 and "next       make the directory" in told.stdout
    assert "/srv/tdefs/sales: cannot open" in told.stdout and nothing_failed(host)

    host.sh(sh_of("README.md", "In a vault of your own")[0])
    host.sh(HOOK)
    host.sh(sh_of("README.md", "PostgreSQL")[0])
    assert runs_on_the_volume(host)
    host.sh(f"systemctl restart {' '.join(UNITS)}")
    assert runs_on_the_volume(host)
    assert '"event":"mount"' in host.sh("cat /srv/events").stdout.replace(" ", "")
    assert is_in_the_journal(host, "mount")
    assert confines_itself_in_its_unit(host)
    assert comes_back_when_killed(host)
    assert writes_metrics(host)

    # Filters of the unit's are not the daemon's own.
    host.sh("sed -i 's|^protector = .*|&\\nseccomp = no|' /etc/tdefs/tdefs.conf")
    host.sh(f"systemctl restart {' '.join(UNITS)}")
    assert "off: seccomp = no" in host.sh("tdefsctl status sales --security").stdout

    before = [value(host, unit, "MainPID") for unit in UNITS]
    assert f"{DATA} goes on with the version before" in host.sh("dpkg --force-confold -i /srv/next.deb").stdout
    assert before == [value(host, unit, "MainPID") for unit in UNITS] and runs_on_the_volume(host)
    take_up, = re.findall(r"`(tdefsctl safe-to-restart sales &&\s[^`]*)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    host.sh(take_up)
    assert value(host, "tdefs@sales", "MainPID") not in before and runs_on_the_volume(host)

    said = host.sh("dpkg -r tdefs").stdout
    assert f"volume sales stays mounted at {DATA}" in said and "tdefs-vault goes on" in said and card(host) == CARD
    assert keeps_what_nobody_could_make_again(host)
