# SPDX-License-Identifier: Apache-2.0
"""What takes long: every engine through every cause, and one through fifty losses. `tests/run --all`."""

import os
import random

import pytest
from causes import CAUSES, FLAPPING, NOTHING
from loaded import ENGINES
from through import through, through_many

pytestmark = pytest.mark.long


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cause", [*CAUSES, FLAPPING], ids=lambda c: c.name)
def test_cause(scene, directory, cause, engine):
    through(scene, directory, cause, engine)


def test_fifty_losses(scene, directory):
    seed = int(os.environ.get("TDEFS_TEST_SEED") or random.randrange(2**32))
    print(f"TDEFS_TEST_SEED={seed}")  # pytest shows it when it fails
    choose = random.Random(seed)
    causes = [c for c in CAUSES if c.verdict != NOTHING]
    through_many(scene, directory, [choose.choice(causes) for _ in range(50)], choose)
