# SPDX-License-Identifier: Apache-2.0
"""What tools/bench makes of its measurements, and with whom it compares; it measures nothing here."""

import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import pytest
from conftest import is_mounted

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

from bench_lib import markdown, options, plot, sides  # pylint: disable=wrong-import-position
from bench_lib.report import Row, report_of, target_text


def row(name, unit, **measured):
    made = Row(name, unit, measured)
    for side, values in measured.items():
        if isinstance(values, str):
            made.cells[side].reason = values
        else:
            made.cells[side].values = values
    return made


def report(*rows):
    names = list(dict.fromkeys(side for r in rows for side in r.cells))
    return {**report_of(rows, names, ["tdefs"], {}), "options": {"rounds": 3},
            "facts": {"cores": 2, "cpu": "x", "kernel": "6", "file system": "ext4", "libfuse": "3"}}


READ_WRITE = "pgbench read-write, 8 clients"


def test_a_ratio_is_taken_within_its_round():
    """The machine becomes ten times slower: of the medians alone one would read 0.1 or 10."""
    made = report(row(READ_WRITE, "tps", plain=[1000, 1000, 100], tdefs=[900, 90, 91]))
    ratio = made["rows"][0]["sides"]["tdefs"]["ratio"]
    assert ratio["median"] == pytest.approx(0.9)
    assert ratio["q1"] == pytest.approx((0.09 + 0.9) / 2)
    assert made["targets"][0]["met"] is True and made["targets"][0]["than"] == "plain"


def test_a_time_is_better_when_it_is_lower():
    made = report(row("pgbench load", "s", plain=[1.0], tdefs=[1.7], gocryptfs=[1.6]))
    assert made["targets"][0]["met"] is False
    assert "≤ 1.60 × plain: 1.70 MISSED" in target_text(made["targets"][0])
    assert made["behind"] == {"tdefs": ["pgbench load (gocryptfs)"]}


def test_what_could_not_be_measured_is_said():
    made = report(row(READ_WRITE, "tps", plain=[1.0], tdefs="the server ended", encfs=[2.0]))
    assert made["rows"][0]["sides"]["tdefs"] == {"reason": "the server ended"}
    assert made["targets"][0]["met"] is None and made["behind"] == {"tdefs": []}
    assert "n/a" in markdown.table(made)


def test_the_engines_own_encryption_is_a_target_of_its_own():
    made = report(row("sysbench oltp_read_write, 8 clients", "tps", plain=[10], tdefs=[9], native=[8]))
    assert [(t["than"], t["met"]) for t in made["targets"]] == [("plain", True), ("native", True)]


def test_what_has_no_plain_side_is_no_contest():
    made = report(row("daemon locked memory, 10000 open files", "MiB", tdefs=[60], gocryptfs=[9]))
    assert made["behind"] == {"tdefs": []} and made["targets"][0]["met"] is True


def test_the_table_goes_between_its_marks():
    text = markdown.table(report(row(READ_WRITE, "tps", plain=[10], tdefs=[9])))
    assert f"| {READ_WRITE} | 10.00 tps | 0.90 (0.90–0.90) | ≥ 0.88 |" in text
    page = f"before\n{markdown.BEGIN}\nold\n{markdown.END}\nafter\n"
    assert markdown.put(page, text) == f"before\n{markdown.BEGIN}\n{text}{markdown.END}\nafter\n"
    assert markdown.table(report(row(READ_WRITE, "tps", plain=[1])), "a.svg").startswith("![Speed ")
    assert markdown.put(markdown.put(page, text), "x\n").count("x\n") == 1
    assert markdown.put("a page without marks\n", text) == text
    with pytest.raises(RuntimeError):
        markdown.put(markdown.BEGIN, text)


def test_the_readme_has_the_marks():
    readme = (TOOLS.parent / "README.md").read_text(encoding="utf-8")
    assert readme.count(markdown.BEGIN) == 1 and readme.count(markdown.END) == 1


def test_the_picture_shows_speeds():
    """A time of twice plain's is half its speed; the bar of a row without ratios is not there."""
    made = plot.svg(report(row("load <1>", "s", plain=[1.0, 1.0], tdefs=[2.0, 2.0], encfs="no"),
                           row("memory", "MiB", tdefs=[3])))
    drawing = xml.dom.minidom.parseString(made)
    texts = [t.firstChild.data for t in drawing.getElementsByTagName("text")]
    assert "load <1>" in texts and "0.50" in texts and "memory" not in texts


def test_a_side_of_the_callers():
    assert options.own_side("logs:direct_files=default,cache=writeback") == (
        "logs", {"direct_files": "default", "cache": "writeback"})
    for bad in "x:cache", ":cache=writeback", "a/b:cache=writeback":
        with pytest.raises(options.argparse.ArgumentTypeError):
            options.own_side(bad)
    assert options.size("1G") == 1 << 30 and options.size("100") == 100


def test_help_and_errors():
    shown = subprocess.run([TOOLS / "bench", "--help"], capture_output=True, text=True, check=True)
    assert "--side NAME:KEY=VALUE" in shown.stdout
    refused = subprocess.run([TOOLS / "bench", "--sides", "nothing"], capture_output=True, text=True,
                             check=False)
    assert refused.returncode == 2 and "nothing: out of plain,tdefs" in refused.stderr


@pytest.mark.skipif(not sides.EXAMPLE.exists(), reason="a dpkg that leaves out /usr/share/doc")
def test_passthrough_is_fuse_and_nothing_else(directory):
    """It is compiled from what libfuse's package brings, and what one writes is on the disk as it is."""
    for place in "data", "work":
        (directory / place).mkdir()
    side = sides.all_sides({})["passthrough"]("passthrough", directory / "data", directory / "work")
    try:
        side.open()
        (side.root / "file").write_bytes(b"plain")
        assert (side.backing / "file").read_bytes() == b"plain"
        assert side.root != side.backing and Path(f"/proc/{side.pid}").exists()
    finally:
        side.close()
    assert not is_mounted(side.root)


def test_what_a_side_needs_is_named(monkeypatch):
    monkeypatch.setattr(sides.shutil, "which", lambda program: None)
    monkeypatch.setattr(sides, "EXAMPLE", Path("/nowhere"))
    assert sides.missing_others() == {
        "passthrough": "not installed (apt-get install gcc libfuse3-dev)",
        **{peer: f"not installed (apt-get install {peer})" for peer in sides.PEERS}}
