# SPDX-License-Identifier: Apache-2.0
"""
A strict reader of Prometheus' text format 0.0.4, written from its description only
(https://prometheus.io/docs/instrumenting/exposition_formats/): what it takes, a scraper takes.
"""

import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
NUMBER = re.compile(r"[+-]?Inf|NaN|[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
SUFFIXES = {"histogram": {"_bucket", "_sum", "_count"}}


class Metrics:
    def __init__(self, text):
        self.types, self.help, self.samples = {}, {}, {}
        self.family = None
        assert text == "" or text.endswith("\n"), "the last line must end"
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                self._line(line)
            except AssertionError as e:
                raise AssertionError(f"line {number}: {line!r}: {e}") from e
        for name, kind in self.types.items():
            if kind == "histogram":
                self._check_histogram(name)

    def _line(self, line):
        if line.startswith("# HELP "):
            name, text = line[7:].split(" ", 1)
            assert NAME.fullmatch(name) and name not in self.help, "told before"
            assert not re.search(r"\\[^\\n]", text.replace("\\\\", "")), "a backslash that escapes nothing"
            self.help[name] = text
            self.family = name
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == self.family and name not in self.types and kind in TYPES, "not its place"
            self.types[name] = kind
        else:
            assert line and not line.startswith("#"), "neither a comment we write nor a sample"
            self._sample(line)

    def _sample(self, line):
        name = NAME.match(line)[0]
        rest, labels = line[len(name):], {}
        kind = self.types[self.family]
        suffixes = SUFFIXES.get(kind, {""})
        assert name.startswith(self.family) and name[len(self.family):] in suffixes, "not of this family"
        if rest.startswith("{"):
            rest = rest[1:]
            while not rest.startswith("}"):
                m = LABEL.match(rest)
                assert m and m[1] not in labels, "no label"
                labels[m[1]] = re.sub(r"\\(.)", lambda e: "\n" if e[1] == "n" else e[1], m[2])
                rest = rest[m.end():]
                assert rest[0] == "}" or re.match(r",[a-zA-Z_]", rest), "no separator"
                rest = rest.removeprefix(",")
            rest = rest[1:]
        assert rest.startswith(" ") and NUMBER.fullmatch(rest[1:]), "no number"
        key = (name, frozenset(labels.items()))
        assert key not in self.samples, "told twice"
        self.samples[key] = float(rest[1:])
        assert kind != "counter" or (name.endswith("_total") and self.samples[key] >= 0), "no counter"

    def _check_histogram(self, name):
        series = {}
        for (sample, labels), value in self.samples.items():
            if sample == name + "_bucket":
                rest = frozenset(x for x in labels if x[0] != "le")
                series.setdefault(rest, {})[float(dict(labels)["le"])] = value
        assert series, f"{name}: no buckets"
        for labels, buckets in series.items():
            counts = [buckets[le] for le in sorted(buckets)]
            assert counts == sorted(counts), f"{name}: not cumulative"
            assert buckets[float("inf")] == self.samples[(name + "_count", labels)]
            assert (name + "_sum", labels) in self.samples

    def value(self, name, **labels):
        return self.samples[(name, frozenset(labels.items()))]

    def of(self, name):
        """All samples of a name: a list of their labels."""
        return [dict(labels) for sample, labels in self.samples if sample == name]
