# SPDX-License-Identifier: Apache-2.0
"""Vaults for the tests of tdefs-vault."""

import pytest
from vault_server import VaultServer


@pytest.fixture
def make_vault(directory):
    """A function that makes a vault and starts it unless told otherwise."""
    vaults = []

    def make(*options, name="v", start=True, **how):
        place = directory / name
        place.mkdir(mode=0o700, exist_ok=True)
        vault = VaultServer(place, *options, **how)
        vaults.append(vault)
        return vault.start() if start else vault

    yield make
    for vault in reversed(vaults):
        vault.close()


@pytest.fixture
def vault(make_vault):
    return make_vault("--no-purge-protection", "--retention-days", "7")


@pytest.fixture
def app(vault):
    """An identity that may do everything, with a token."""
    return vault.identity().login()
