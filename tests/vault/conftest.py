# SPDX-License-Identifier: Apache-2.0
"""What tests of the key vault client share: a vault that is made up, and tdefs-vault."""

import pytest
from fake_cloud import Cloud
from vault_client import Client
from vault_server import VaultServer


@pytest.fixture
def cloud(directory):
    c = Cloud(directory)
    yield c
    c.close()


@pytest.fixture
def client(directory):
    c = Client(directory)
    yield c
    c.close()


@pytest.fixture
def make_vault(directory):
    """A function that starts a tdefs-vault with a key "tde"."""
    vaults = []

    def make(*options, name="server", start=()):
        place = directory / name
        place.mkdir()
        vault = VaultServer(place, *options)
        vaults.append(vault)
        vault.start(*start)
        vault.command("key", "create", "tde")
        return vault

    yield make
    for vault in vaults:
        vault.close()
