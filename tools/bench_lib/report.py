# SPDX-License-Identifier: Apache-2.0
"""
What was measured, as one dictionary: what --json writes and everything printed is made from.

A side is compared with another within each round, and quoted is the median of these ratios: a
machine that has become slower since the last round has so for both.
"""

import statistics

from .sides import PEERS
from .targets import peers_of, wanted


class Cell:
    """One row on one side: what each round measured, or the reason why one could not."""

    def __init__(self):
        self.values, self.reason = [], None

    def as_json(self, plain):
        if self.reason or not self.values:
            return {"reason": self.reason or "was not measured"}
        return {"median": statistics.median(self.values), "values": self.values,
                "ratio": spread(ratios(self, plain))}


class Row:
    def __init__(self, name, unit, sides):
        self.name, self.unit = name, unit
        self.cells = {side: Cell() for side in sides}

    def as_json(self):
        plain = self.cells.get("plain")
        return {"row": self.name, "unit": self.unit, "lower_is_better": lower_is_better(self.unit),
                "sides": {side: cell.as_json(plain) for side, cell in self.cells.items()}}


def lower_is_better(unit):
    return unit in ("s", "µs", "MiB")


def ratios(one, other):
    """Of each round; none where either could not be measured in all of them."""
    if one is None or other is None or one.reason or other.reason:
        return []
    return [a / b for a, b in zip(one.values, other.values) if b]


def spread(values):
    """Median and quartiles; None of nothing."""
    if not values:
        return None
    low, middle, high = (statistics.quantiles(values, n=4, method="inclusive")
                         if len(values) > 1 else values * 3)
    return {"q1": low, "median": middle, "q3": high}


def targets_of(rows):
    """The targets that this run was about: their figure, and whether that is enough."""
    by_name = {row.name: row for row in rows}
    for name, side, than, bound in wanted():
        row = by_name.get(name)
        if not row or side not in row.cells or than and than not in row.cells:
            continue
        cell = row.cells[side]
        found = spread(ratios(cell, row.cells[than]) if than else [] if cell.reason else cell.values)
        figure = found and found["median"]
        lower = lower_is_better(row.unit)
        yield {"row": name, "side": side, "than": than, "bound": bound, "lower": lower,
               "figure": figure,
               "met": None if figure is None else figure <= bound if lower else figure >= bound}


def behind(rows, side):
    """
    The rows where a side is not ahead of a peer, out of those where both were measured; what the
    plain directory has none of, as a daemon's memory, is no contest.
    """
    found = []
    for row in rows:
        if "plain" not in row.cells:
            continue
        for peer in peers_of(row.cells):
            middle = spread(ratios(row.cells.get(side), row.cells[peer]))
            if middle and (middle["median"] >= 1) == lower_is_better(row.unit):
                found.append(f"{row.name} ({peer})")
    return found


def report_of(rows, sides, ours, left_out):
    return {
        "sides": sides,
        "left_out": left_out,
        "rows": [row.as_json() for row in rows],
        "targets": list(targets_of(rows)),
        "behind": {side: behind(rows, side) for side in ours
                   if side in sides and set(sides) & set(PEERS)},
    }


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def ratio_text(ratio):
    return f"{ratio['median']:.2f} ({ratio['q1']:.2f}–{ratio['q3']:.2f})"


def target_text(target):
    sign = "≤" if target["lower"] else "≥"
    of = f" × {target['than']}" if target["than"] else ""
    said = ("not measured" if target["met"] is None else
            f"{number(target['figure'])} {'met' if target['met'] else 'MISSED'}")
    return f"{target['row']}: {target['side']} {sign} {number(target['bound'])}{of}: {said}"


def print_rows(report):
    print("Medians; their ratio to plain within each round: median (quartiles).")
    for row in report["rows"]:
        print(f"\n{row['row']} [{row['unit']}{', lower is better' if row['lower_is_better'] else ''}]")
        for side, cell in row["sides"].items():
            if "reason" in cell:
                print(f"  {side:<22} n/a: {cell['reason']}")
                continue
            ratio = ratio_text(cell["ratio"]) if cell["ratio"] and side != "plain" else ""
            print(f"  {side:<22}{number(cell['median']):>12}   {ratio}".rstrip())


def print_report(report):
    print_rows(report)
    print("\nTargets:" if report["targets"] else "")
    for target in report["targets"]:
        print(f"  {target_text(target)}")
    for side, names in report["behind"].items():
        peers = " and ".join(peers_of(report["sides"]))
        print(f"  {side}: ahead of {peers} in every row: "
              f"{'MISSED in ' + ', '.join(names) if names else 'met'}")
    print()
    for name, reason in report["left_out"].items():
        print(f"{name} is left out: {reason}")
    for name, fact in report["facts"].items():
        print(f"{name + ':':<13}{fact}")
