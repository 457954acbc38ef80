# SPDX-License-Identifier: Apache-2.0
import pytest
from guard_kit import GuardedVolume
from vault_server import running_vault


@pytest.fixture
def vault(directory):
    """A tdefs-vault with a key "tde"."""
    with running_vault(directory / "server") as server:
        yield server


@pytest.fixture
def make_volume_in(directory, vault):
    """A function that makes a volume in the vault, formatted and mounted."""
    volumes = []

    def make(**settings):
        volume = GuardedVolume(directory, vault, **settings)
        volumes.append(volume)
        volume.format()
        volume.mount()
        return volume

    yield make
    for volume in volumes:
        volume.close()
