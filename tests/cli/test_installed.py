# SPDX-License-Identifier: Apache-2.0
"""
The package on a Debian that was booted, with PostgreSQL on a protector in tdefs-vault as README says: a
boot with the sample as it is, a restart of all units, an upgrade, the removal.
"""

import json
import re
import shutil

import pytest
from booted import CLUSTER, Booted
from documents import CARD, sh_of
from package import build_package, later_version

DATA = "/var/lib/postgresql/15/main"
UNITS = "tdefs-vault", "tdefs@sales", "postgresql@15-main"

# A filter of the unit's is not in the way of what on_event runs.
HOOK = """
install -m 666 /dev/null /srv/events
sed -i 's|^protector = .*|&\\non_event = /usr/bin/tee -a /srv/events|' /etc/tdefs/tdefs.conf
"""


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
    return host.sh("cd /; runuser -u postgres -- psql -qAtXc 'SELECT number FROM card'").stdout.strip()


def is_in_the_journal(host, event):
    """As README's \"Monitoring\" says, and what it vouches for is in the event log."""
    found = host.sh(f"journalctl -o json TDEFS_VOLUME=sales TDEFS_EVENT={event}").stdout.splitlines()
    last = json.loads(found[-1])
    anchor = f"{last['TDEFS_SEQ']}:{last['TDEFS_HASH']}"
    host.sh(f"tdefsctl events sales --verify --anchor {anchor}")
    return last["PRIORITY"] == "5" and json.loads(last["TDEFS_LINE"])["event"] == event


def runs_on_the_volume(host):
    return (card(host) == CARD and host.sh(f"findmnt -no FSTYPE {DATA}").stdout.strip() == "fuse.tdefs"
            and value(host, "tdefs@sales", "StatusText") == "online" and nothing_failed(host))


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

    # Filters of the unit's are not the daemon's own.
    host.sh("sed -i 's|^protector = .*|&\\nseccomp = no|' /etc/tdefs/tdefs.conf")
    host.sh(f"systemctl restart {' '.join(UNITS)}")
    assert "off: seccomp = no" in host.sh("tdefsctl status sales --security").stdout

    before = [value(host, unit, "MainPID") for unit in UNITS]
    assert f"{DATA} goes on with the version before" in host.sh("dpkg -i /srv/next.deb").stdout
    assert before == [value(host, unit, "MainPID") for unit in UNITS] and runs_on_the_volume(host)

    said = host.sh("dpkg -r tdefs").stdout
    assert f"volume sales stays mounted at {DATA}" in said and card(host) == CARD
