# SPDX-License-Identifier: Apache-2.0
"""The parts of tools/bench; volumes and servers are those of the tests."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("TDEFS_BUILD", str(ROOT / "build/release"))
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/support")]
