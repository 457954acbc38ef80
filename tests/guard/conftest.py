# SPDX-License-Identifier: Apache-2.0
import pytest
import through
from causes import Scene
from guard_kit import GuardedVolume
from vault_server import running_vault


@pytest.fixture
def vault(directory):
    """A tdefs-vault with a key "tde", which may also be purged."""
    with running_vault(directory / "server", "--no-purge-protection") as server:
        yield server


@pytest.fixture
def make_guarded(directory, vault):
    """A function that makes a volume in the vault, formatted and mounted unless told otherwise."""
    volumes = []

    def make(mounted=True, **settings):
        volume = GuardedVolume(directory, vault, policy="require_purge_protection = no", **settings)
        volumes.append(volume)
        volume.format()
        if mounted:
            volume.mount()
        return volume

    yield make
    for volume in volumes:
        volume.close()


@pytest.fixture
def scene(directory):
    """A vault with a name, and what a volume's daemon will see of the world."""
    made = Scene(directory)
    yield made
    made.close()


def pytest_terminal_summary(terminalreporter):
    if through.MEASURED:
        terminalreporter.section("seconds, with probes and confirmations each second")
        for line in through.table():
            terminalreporter.write_line(line)
