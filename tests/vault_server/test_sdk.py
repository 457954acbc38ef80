# SPDX-License-Identifier: Apache-2.0
"""Azure's own JavaScript SDK, unmodified, against tdefs-vault."""

import shutil
from pathlib import Path

import pytest
from conftest import run

SDK = Path(__file__).parent / "sdk"


@pytest.fixture
def sdk(directory):
    """The SDK's packages, as the lock file names them, in a directory of their own."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    place = directory / "sdk"
    shutil.copytree(SDK, place)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries", "6",
        "--cache", directory / "npm", cwd=place)
    return place


def test_lock_file_names_no_registry():
    text = (SDK / "package-lock.json").read_text()
    assert '"resolved"' not in text and "://registry" not in text


def test_every_operation(sdk, vault):
    app = vault.identity()
    blind = vault.identity("blind", grant="wrapKey,unwrapKey,encrypt,decrypt,sign,verify")
    found = run("node", "run.mjs", cwd=sdk, env={
        "VAULT_URL": vault.url, "TENANT": "adfs", "CLIENT_ID": app.client_id,
        "CLIENT_SECRET": app.secret, "BLIND_ID": blind.client_id, "BLIND_SECRET": blind.secret,
        "NODE_EXTRA_CA_CERTS": str(vault.data / "ca.pem")})
    assert found.stdout.startswith("done with Node.js")
    operations = {line["operation"] for line in vault.audit() if line["result"] == "Success"}
    assert operations >= {f"Key{x}" for x in (
        "Create Get Update Rotate List ListVersions RotationPolicySet RotationPolicyGet Backup Delete "
        "GetDeleted ListDeleted Recover Purge Restore Wrap Unwrap Encrypt Decrypt Sign Verify").split()}
