# SPDX-License-Identifier: Apache-2.0
"""What was measured, as medians and ratios: a table, marks, JSON."""

import os
import platform
import re
import statistics
import subprocess
from pathlib import Path

from conftest import BUILD
from engines import PG_BIN

from .programs import first_line
from .sides import OURS, PEERS

MARKS = (  # side, row, at least (+) or at most (-) this ratio to plain
    ("tdefs", "pgbench read-write", +0.75),
    ("tdefs", "pgbench read-only", +0.85),
    ("tdefs", "pgbench load", -4.0),
    ("tdefs-writeback", "pgbench read-write", +0.75),
    ("tdefs-writeback", "pgbench read-only", +0.85),
    ("tdefs-writeback", "pgbench load", -2.0),
)


class Cell:
    """One row on one side: what each round measured, or the reason why one could not."""

    def __init__(self):
        self.values, self.reason = [], None

    def median(self):
        return statistics.median(self.values) if self.values and not self.reason else None


class Row:
    def __init__(self, name, unit, sides):
        self.name, self.unit = name, unit
        self.cells = {side: Cell() for side in sides}

    def median(self, side):
        return self.cells[side].median() if side in self.cells else None

    def ratio(self, side):
        """To the plain directory; None where either was not measured."""
        ours, plain = self.median(side), self.median("plain")
        return ours / plain if ours is not None and plain else None

    def is_ahead(self, side, peer):
        ours, theirs = self.median(side), self.median(peer)
        return ours < theirs if self.unit == "s" else ours > theirs

    def as_json(self):
        def of(side, cell):
            if cell.median() is None:
                return {"reason": cell.reason}
            return {"median": cell.median(), "ratio": self.ratio(side), "min": min(cell.values),
                    "max": max(cell.values), "values": cell.values}

        return {"row": self.name, "unit": self.unit,
                "sides": {side: of(side, cell) for side, cell in self.cells.items()}}


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def libfuse_version():
    try:
        linked = subprocess.run(["ldd", BUILD / "tdefs"], capture_output=True, text=True,
                                check=True).stdout
    except subprocess.CalledProcessError:
        return "unknown"
    library = re.search(r"libfuse3\.so\S* => (\S+)", linked)
    return os.path.realpath(library[1]).rpartition(".so.")[2] if library else "unknown"


def facts(directory, used):
    """The machine, and the versions of what was used of it."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"),
                      re.MULTILINE)
    versions = {
        "fio": ("fio", "--version"),
        "pgbench": (PG_BIN / "postgres", "--version"),
        "sysbench": ("mariadbd", "--version"),
        "tdefs": (BUILD / "tdefs", "--version"),
        "gocryptfs": ("gocryptfs", "--version"),
        "securefs": ("dpkg-query", "-W", "-f", "${Version}\n", "securefs"),  # has none of its own
    }
    return {
        "kernel": platform.release(),
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "file system": first_line("findmnt", "-n", "-o", "FSTYPE", "--target", directory),
        "libfuse": libfuse_version(),
        **{name: first_line(*how) for name, how in versions.items() if name in used},
    }


def marks(rows):
    """The marks that this run was about, each with its ratio and whether that meets it."""
    by_name = {row.name: row for row in rows}
    for side, name, bound in MARKS:
        if name in by_name and side in by_name[name].cells:
            ratio = by_name[name].ratio(side)
            met = None if ratio is None else ratio >= bound if bound > 0 else ratio <= -bound
            yield {"mark": f"{side}: {name} {'≥' if bound > 0 else '≤'} {abs(bound):.2f}",
                   "ratio": ratio, "met": met}


def behind(rows, side):
    """The rows where a side is not ahead of a peer, out of those where both were measured."""
    return [f"{row.name} ({peer})" for row in rows for peer in PEERS
            if row.median(side) is not None and row.median(peer) is not None
            and not row.is_ahead(side, peer)]


def report_of(rows, sides, left_out, machine):
    return {
        "facts": machine,
        "left_out": left_out,
        "rows": [row.as_json() for row in rows],
        "marks": list(marks(rows)),
        "behind": {side: behind(rows, side) for side in OURS
                   if side in sides and set(sides) & set(PEERS)},
    }


def print_table(rows, sides):
    print(f"{'median, ratio to plain':<34}" + "".join(f"{side:>18}" for side in sides))
    for row in rows:
        line = f"{row.name:<28}{row.unit:<6}"
        for side in sides:
            median, ratio = row.median(side), row.ratio(side)
            line += f"{'n/a' if median is None else number(median):>11}"
            line += " " * 7 if ratio is None else f"{ratio:7.2f}"
        print(line.rstrip())
    print("In rows in s, lower is better; in the others, higher.")
    for row in rows:
        for side, cell in row.cells.items():
            if cell.reason:
                print(f"n/a: {row.name} on {side}: {cell.reason}")


def print_report(report, rows, sides):
    print_table(rows, sides)
    if report["marks"]:
        print("\nFirst marks (set for 2 cores and Debian's libfuse):")
    for mark in report["marks"]:
        print(mark["mark"] + ": " + ("not measured" if mark["met"] is None else
                                     f"{mark['ratio']:.2f} {'ok' if mark['met'] else 'MISSED'}"))
    for side, names in report["behind"].items():
        print(f"{side}: ahead of {' and '.join(p for p in PEERS if p in sides)} in every row: "
              f"{'MISSED in ' + ', '.join(names) if names else 'ok'}")
    print()
    for name, reason in report["left_out"].items():
        print(f"{name} is left out: {reason}")
    for name, fact in report["facts"].items():
        print(f"{name + ':':<13}{fact}")
