# SPDX-License-Identifier: Apache-2.0
import pytest
from guard_kit import GuardedVolume
from vault_server import VaultServer


@pytest.fixture
def vault(directory):
    """A tdefs-vault with a key "tde"."""
    place = directory / "server"
    place.mkdir()
    server = VaultServer(place)
    try:
        server.start()
        server.command("key", "create", "tde")
        yield server
    finally:
        server.close()


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
