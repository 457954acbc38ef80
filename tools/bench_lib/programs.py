# SPDX-License-Identifier: Apache-2.0
"""Programs that are run and read; text without paths of this machine."""

import re
import subprocess


def without_paths(text):
    return re.sub(r"(?:/[\w.+-]+){2,}", "PATH", text)


def what_it_said(stderr):
    """The line that names the error, else the last."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    named = [line for line in lines if re.search("error|fatal", line, re.IGNORECASE)]
    return (named or lines or [""])[-1]


def measured(*command, stdin=subprocess.DEVNULL):
    """Run a program for as long as it takes; its standard output."""
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd="/",
                            stdin=stdin, check=False)
    if result.returncode != 0:
        raise RuntimeError(what_it_said(result.stderr) or f"exit status {result.returncode}")
    return result.stdout


def first_line(*command):
    """What a program says of itself, or "unknown"."""
    try:
        return without_paths(measured(*command).splitlines()[0])
    except (OSError, RuntimeError, IndexError):
        return "unknown"
