# SPDX-License-Identifier: Apache-2.0
"""A report as a picture: for each row, how fast each side is by the plain directory's measure."""

from xml.sax.saxutils import escape

WIDTH, LABELS, TOP, BAR, GAP = 860, 270, 64, 9, 12
MOST = 1.25  # of plain's speed; what is faster ends there
SCALE = (WIDTH - LABELS - 60) / MOST
COLOURS = ("#1f77b4", "#17becf", "#2ca02c", "#9467bd", "#8c564b", "#e377c2")  # ours, in order
OTHERS = {"native": "#bcbd22", "passthrough": "#c7c7c7", "gocryptfs": "#ff7f0e",
          "securefs": "#d62728", "encfs": "#7f7f7f"}

STYLE = """text { font: 12px sans-serif; fill: #333 } .small { font-size: 10px }
line { stroke: #999 } .spread { stroke: #333 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .spread { stroke: #ddd } }"""


def colours(report):
    ours = iter(COLOURS * len(report["sides"]))
    return {side: OTHERS.get(side) or next(ours) for side in report["sides"] if side != "plain"}


def speeds(row, cell):
    """Median and quartiles as a speed: of times, the inverse."""
    ratio = cell.get("ratio")
    if not ratio:
        return None
    values = [ratio["q1"], ratio["median"], ratio["q3"]]
    return sorted(1 / value for value in values) if row["lower_is_better"] else values


def _bar(y, colour, values):
    low, middle, high = (LABELS + SCALE * min(value, MOST) for value in values)
    at = y + BAR / 2
    return (f'<rect x="{LABELS}" y="{y}" width="{middle - LABELS:.1f}" height="{BAR - 1}" '
            f'fill="{colour}"/>'
            f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{at}" y2="{at}"/>'
            f'<text class="small" x="{max(middle, high) + 4:.1f}" y="{y + BAR - 1}">'
            f'{values[1]:.2f}</text>\n')


def _legend(by_side):
    step = (WIDTH - 20) / max(1, len(by_side))
    return "".join(
        f'<rect x="{10 + i * step:.0f}" y="12" width="9" height="9" fill="{colour}"/>'
        f'<text class="small" x="{22 + i * step:.0f}" y="20">{escape(side)}</text>\n'
        for i, (side, colour) in enumerate(by_side.items()))


def svg(report):
    by_side = colours(report)
    body, y = _legend(by_side), TOP
    for row in report["rows"]:
        found = [(by_side[side], speeds(row, cell)) for side, cell in row["sides"].items()
                 if side in by_side]
        found = [(colour, values) for colour, values in found if values]
        if not found:
            continue
        body += (f'<text x="{LABELS - 8}" y="{y + len(found) * BAR / 2 + 4}" text-anchor="end">'
                 f'{escape(row["row"])}</text>\n')
        for colour, values in found:
            body += _bar(y, colour, values)
            y += BAR
        y += GAP
    for mark in (0, 0.25, 0.5, 0.75, 1):
        x = LABELS + SCALE * mark
        body += (f'<line x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{y}" stroke-dasharray="2 3"/>'
                 f'<text class="small" x="{x}" y="{TOP - 14}" text-anchor="middle">{mark:g}</text>\n')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}">\n'
            f'<title>Speed by the plain directory\'s, which is 1; longer is better</title>\n'
            f'<style>{STYLE}</style>\n'
            f'<text class="small" x="{LABELS}" y="36">speed by the plain directory\'s, which is 1: '
            f'median and quartiles</text>\n{body}</svg>\n')
