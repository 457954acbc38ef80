# SPDX-License-Identifier: Apache-2.0
"""The commands of the project's documents: what stands in their ```sh blocks, by title."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CARD = "4929-1234-5678-9012"  # in each recipe


def blocks(name):
    """Each ```sh block of a document, in their order: (title of its section, text)."""
    found, title, fence = [], "", None
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if fence is None and line.startswith("#"):
            title = line.lstrip("#").strip()
        elif fence is None and line.startswith("```"):
            fence = line.removeprefix("```").strip()
            text = []
        elif line == "```":
            if fence == "sh":
                found.append((title, "\n".join(text) + "\n"))
            fence = None
        elif fence is not None:
            text.append(line)
    assert fence is None, f"{name}: a block without an end"
    return found


def sh_of(name, title):
    """The blocks of a section. Who asks for them runs them: tests/lint/documents holds it to that."""
    found = [text for where, text in blocks(name) if where == title]
    assert found, f"{name}: no ```sh block below '{title}'"
    return found
