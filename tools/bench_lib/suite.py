# SPDX-License-Identifier: Apache-2.0
"""
Suites: what is measured on a side, and in which state of it.

Each has `rows` {name: (unit, ...)}, `needs` {program: Debian package}, `modules` likewise,
set_up(data, work, sides), once, prepare(side), and measure(side, row), which returns one figure.
"""

from .sides import Native


class Suite:
    needs, modules = {}, {}

    @staticmethod
    def applies(side):
        """Whether this side has these rows at all."""
        return not isinstance(side, Native)

    def set_up(self, data, work, sides):
        pass

    def prepare(self, side):
        (side.root / self.name).mkdir()
