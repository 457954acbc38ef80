# SPDX-License-Identifier: Apache-2.0
"""What README and the vault's page tell to do, on a host that was booted: their commands as they stand there."""

import re
import tempfile

import pytest
from booted import CLUSTER, Booted
from documents import CARD, ROOT, sh_of

# An application that keeps its database open: SQLite itself, waiting for commands. Its first transaction
# is over once it has started: the recipe's own would find the database locked.
SHOP = r"""
adduser --quiet --system --group --home /nonexistent --no-create-home shop
install -d -o shop -g shop -m 750 /var/lib/shop
printf '%s\n' '[Service]' 'User=shop' 'UMask=0027' \
	'ExecStartPre=/usr/bin/sqlite3 /var/lib/shop/shop.db "CREATE TABLE IF NOT EXISTS visits (t)"' \
	'ExecStart=/bin/sh -c "tail -f /dev/null | sqlite3 -cmd \".open /var/lib/shop/shop.db\""' \
	'[Install]' 'WantedBy=multi-user.target' >/etc/systemd/system/shop.service
systemctl daemon-reload
systemctl enable --now shop
"""

# MongoDB's package is not in Debian: what stands in for it writes a file, and is at work in its directory.
MONGODB = r"""
adduser --quiet --system --group --home /var/lib/mongodb mongodb
cat >/usr/local/bin/mongosh <<'END'
#!/bin/sh
case $2 in
*insertOne*) runuser -u mongodb -- sh -c 'echo "$1" >/var/lib/mongodb/card' sh "$2" ;;
*find*) cat /var/lib/mongodb/card ;;
esac
END
chmod 755 /usr/local/bin/mongosh
printf '%s\n' '[Service]' 'User=mongodb' 'WorkingDirectory=/var/lib/mongodb' 'ExecStart=/bin/sleep infinity' \
	'ExecStopPost=+/bin/sh -c "findmnt -no FSTYPE /var/lib/mongodb >/srv/at-its-end"' \
	'[Install]' 'WantedBy=multi-user.target' >/etc/systemd/system/mongod.service
systemctl daemon-reload
systemctl enable --now mongod
"""

# A volume's unit that is up, and has mounted nothing.
UP_WITHOUT_A_MOUNT = r"""
printf '%s\n' '[Service]' 'Type=oneshot' 'RemainAfterExit=yes' 'ExecStart=/bin/true' \
	>/etc/systemd/system/tdefs@sales.service
systemctl daemon-reload
systemctl reset-failed
"""

# By engine: what Debian's package left when it was installed (or what the application did), its unit, and its recipe.
ENGINES = {
    "postgresql": (CLUSTER, "postgresql@15-main", sh_of("README.md", "PostgreSQL")),
    "mariadb": ("install -d -o mysql -g mysql -m 755 /var/lib/mysql; "
                "mariadb-install-db --user=mysql --skip-test-db >/dev/null; systemctl enable --now mariadb",
                "mariadb", sh_of("README.md", "MariaDB")),
    "sqlite": (SHOP, "shop", sh_of("README.md", "SQLite")),
}


@pytest.fixture(scope="module", name="installed")
def installed_():
    package, = sh_of("README.md", "Install")
    with tempfile.TemporaryDirectory(prefix="tdefs-test-", dir="/var/tmp") as directory:
        with Booted(directory) as made:
            made.sh(package, cwd=str(ROOT))
            made.power_off()
            yield made


@pytest.fixture(name="host")
def host_(directory, installed):
    with Booted(directory, like=installed) as made:
        yield made


def make_a_key(host):
    vault, = sh_of("README.md", "In a vault of your own")
    host.sh(vault)


def is_active(host, unit):
    return host.sh(f"systemctl is-active {unit}", check=False).stdout == "active\n"


def never_starts_on_a_bare_directory(host, unit):
    """By its own assertion, whatever the volume's unit says."""
    host.sh(UP_WITHOUT_A_MOUNT)
    assert host.sh(f"systemctl start {unit}", check=False).returncode != 0
    assert is_active(host, "tdefs@sales") and not is_active(host, unit)
    assert host.sh(f"systemctl show --value -p AssertResult {unit}").stdout == "no\n"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_recipe(host, engine):
    before, unit, (move, look) = ENGINES[engine]
    make_a_key(host)
    host.sh(before)
    host.sh(move)
    said = host.sh(look).stdout
    assert CARD in said and "no plaintext in the backing" in said and "/plain" in said.replace(".plain", "/plain"), said
    host.reboot()
    assert CARD in host.sh(look.splitlines()[0]).stdout
    # It goes down with its volume, and does not start on what is below the mount.
    host.sh("timeout 120 systemctl stop tdefs@sales")
    assert host.sh(f"systemctl is-active {unit}", check=False).stdout == "inactive\n"
    host.sh("mv /srv/tdefs /srv/elsewhere")
    assert host.sh(f"systemctl start {unit}", check=False).returncode != 0
    assert not is_active(host, unit)
    never_starts_on_a_bare_directory(host, unit)


def test_back_to_plain(host):
    make_a_key(host)
    before, _, (move, look) = ENGINES["postgresql"]
    for script in (before, move, look, *sh_of("README.md", "Back to plain")):
        host.sh(script)
    assert CARD in host.sh(look.splitlines()[0]).stdout
    assert host.sh("findmnt /var/lib/postgresql/15/main", check=False).returncode != 0


def run_mongodb(host):
    host.sh(MONGODB)
    commands, = sh_of("README.md", "MongoDB")
    assert CARD in host.sh(commands).stdout


def mongodb_goes_down_with_its_volume(host):
    assert is_active(host, "mongod") and CARD in host.sh("mongosh --eval 'db.card.find()'").stdout
    host.sh("rm /srv/at-its-end; timeout 120 systemctl stop tdefs@sales")
    assert not is_active(host, "mongod") and host.sh("cat /srv/at-its-end").stdout == "fuse.tdefs\n"
    never_starts_on_a_bare_directory(host, "mongod")


def test_by_hand_in_fstab_and_mongodb(host):
    make_a_key(host)
    run_mongodb(host)
    commands, = sh_of("README.md", "By hand, and in fstab")
    assert host.sh(commands).stdout.endswith("hello\n")
    line, = re.findall(r"(?m)^notes .* tdefs .*$", (ROOT / "README.md").read_text(encoding="utf-8"))
    host.sh(f"echo '{line}' >>/etc/fstab")
    host.reboot()
    assert host.sh("systemctl is-active srv-notes.mount; cat /srv/notes/hello").stdout == "active\nhello\n"
    host.sh("umount /srv/notes; mount -t fuse.tdefs notes /srv/notes")
    assert host.sh("findmnt -no FSTYPE /srv/notes; cat /srv/notes/hello").stdout == "fuse.tdefs\nhello\n"
    # A unit that finds it mounted fails, and takes nothing away that it did not mount.
    assert host.sh("systemctl start tdefs@notes", check=False).returncode != 0
    assert host.sh("cat /srv/notes/hello").stdout == "hello\n"
    mongodb_goes_down_with_its_volume(host)


def test_the_page_of_the_vault(host):
    commands, = sh_of("tools/tdefs-vault/README.md", "tdefs-vault")
    assert "client_secret" in host.sh(commands).stdout


def test_the_two_commands(host):
    """The second is what runs this test."""
    first, second = (line.split()[0] for line in sh_of("README.md", "tdefs")[0].splitlines())
    assert "the card number is in 0 files" in host.sh(f"TMPDIR=/srv {first}", cwd=str(ROOT)).stdout
    assert (ROOT / second).exists()
