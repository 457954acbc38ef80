# SPDX-License-Identifier: Apache-2.0
"""A report as README's table."""

from .report import number, ratio_text
from .sides import PEERS, RING

BEGIN, END = "<!-- tools/bench: begin -->", "<!-- tools/bench: end -->"


def _cell(row, side):
    cell = row["sides"].get(side)
    if cell is None:
        return ""
    if "reason" in cell:
        return "n/a"
    if side == "plain" or not cell["ratio"]:
        return f"{number(cell['median'])} {row['unit']}"
    return ratio_text(cell["ratio"])


def _target(report, row, side):
    for target in report["targets"]:
        if (target["row"], target["side"]) == (row["row"], side) and target["than"] in ("plain", None):
            sign = "≤" if target["lower"] else "≥"
            met = {True: "", False: ", missed", None: ", not measured"}[target["met"]]
            return f"{sign} {number(target['bound'])}{met}"
    return ""


def _line(cells):
    return "| " + " | ".join(cells) + " |\n"


def table(report, picture=None):
    """The picture, if there is one; the table; then what it was measured on and what was not."""
    sides = report["sides"]
    aims = [side for side in ("tdefs", RING) if side in sides]
    text = f"![Speed by the plain directory's]({picture})\n\n" if picture else ""
    text += _line(["", *sides, *(f"target of {side}" for side in aims)])
    text += "|---" * (1 + len(sides) + len(aims)) + "|\n"
    for row in report["rows"]:
        name = f"{row['row']}{', time' if row['unit'] == 's' else ''}"
        text += _line([name, *(_cell(row, side) for side in sides),
                       *(_target(report, row, side) for side in aims)])
    facts, options = report["facts"], report["options"]
    text += (f"\nRatios to the plain directory within each of {options['rounds']} rounds: median "
             f"(quartiles); of times, lower is better. {facts['cores']} cores of {facts['cpu']}, "
             f"kernel {facts['kernel']}, {facts['file system']}, libfuse {facts['libfuse']}.\n")
    for side, names in report["behind"].items():
        peers = ", ".join(peer for peer in PEERS if peer in sides)
        text += f"{side}, ahead of {peers}: {'not in ' + ', '.join(names) if names else 'in every row'}.\n"
    return text


def put(before, text):
    """Between the marks that a file has for it, else instead of everything."""
    if BEGIN not in before:
        return text
    head, _, rest = before.partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise RuntimeError(f"there is {BEGIN}, and no {END} after it")
    return f"{head}{BEGIN}\n{text}{END}{tail}"
