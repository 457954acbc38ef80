# SPDX-License-Identifier: Apache-2.0
"""Programs that are run and read; text without paths of this machine."""

import re
import subprocess


def without_paths(text):
    return re.sub(r"(?:/[\w.+-]+){2,}", "PATH", text)


def measured(*command):
    """Run a program for as long as it takes; its standard output."""
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd="/",
                            stdin=subprocess.DEVNULL, check=False)
    if result.returncode != 0:
        said = [line for line in result.stderr.splitlines() if line.strip()]
        raise RuntimeError(said[-1] if said else f"exit status {result.returncode}")
    return result.stdout


def first_line(*command):
    """What a program says of itself, or "unknown"."""
    try:
        return without_paths(measured(*command).splitlines()[0])
    except (OSError, RuntimeError, IndexError):
        return "unknown"
