# SPDX-License-Identifier: Apache-2.0
"""What conf/ gives to those who watch volumes, taken by the real programs: logrotate, Prometheus."""

import re
from pathlib import Path

from conftest import run, wait_for

CONF = Path(__file__).parents[2] / "conf"


def test_logrotate(make_guarded, directory):
    """As packaged: no signal, no copy; nothing is lost, and the daemon writes the new file."""
    v = make_guarded(log=directory / "sales.log")
    v.log = directory / "sales.log"
    v.logged("volume sales: mounted")
    rules = directory / "logrotate.conf"
    text = (CONF / "logrotate/tdefs").read_text(encoding="utf-8")
    rules.write_text(text.replace("/var/log/tdefs/*.log", str(v.log)))
    run("logrotate", "--force", "--state", directory / "logrotate.state", rules)
    rotated = directory / "sales.log.1"
    v.ctl("reload", v.name)
    wait_for(lambda: "event=reload" in v.log_text(), "the new file to be written")
    assert v.log.stat().st_mode & 0o777 == 0o640
    assert "volume sales: mounted" in rotated.read_text() and "event=reload" not in rotated.read_text()
    assert re.match(r"[0-9T:Z-]{20} info: ", v.log_text())
