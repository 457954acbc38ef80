# SPDX-License-Identifier: Apache-2.0
"""
Two regions, each with a vault, a volume and a PostgreSQL: streaming replication between them while
protectors rotate and a vault is down, a failover, and a copy of one region's ciphertext in the other.
"""

import contextlib
import signal

import pytest
from conftest import run, wait_for
from engines import PG_BIN, Load, PostgreSQL, as_user, give_to
from guard_kit import GuardedVolume
from region import Region

PORT = 5432


class Site:
    """A region's volume in its vault, and a PostgreSQL on it."""

    def __init__(self, directory, region, vault):
        directory.mkdir()
        self.region, self.vault = region, vault
        self.volume = GuardedVolume(directory, vault)
        self.volume.within = region.within
        self.volume.format()
        self.volume.mount()
        self.engine = self.engine_on(self.volume, directory / "pg")

    def engine_on(self, volume, work):
        pg = PostgreSQL(volume.mount_point / "data", work, PORT)
        pg.within, pg.listen = self.region.within, self.region.address
        return pg

    def rotate(self):
        """To a new version; the kid of before."""
        before = self.volume.active_kid()
        self.vault.command("key", "create", "tde")
        answer = self.volume.ctl_json("rotate", self.volume.name)
        assert answer["rotated"] and answer["before"]["kid"] == before, answer
        return before

    def close(self):
        self.engine.kill()
        self.volume.close()


@pytest.fixture
def sites(directory):
    """East and west."""
    with contextlib.ExitStack() as stack:
        found, regions = [], []
        for n, name in enumerate(("east", "west"), 1):
            regions.append(Region(f"10.99.0.{n}"))
            stack.callback(regions[-1].close)
        regions[0].join(regions[1])
        for name, region in zip(("east", "west"), regions):
            vault = region.vault(directory / f"{name}-vault")
            stack.callback(vault.close)
            found.append(Site(directory / name, region, vault))
            stack.callback(found[-1].close)
        yield found


def replicate(primary, standby):
    """No commit is acknowledged that the standby does not have."""
    pg = primary.engine.create()
    with (pg.data / "pg_hba.conf").open("a") as hba:
        hba.write("host replication all 10.99.0.0/24 trust\n")
    pg.query("SELECT pg_reload_conf()")
    copy = standby.engine
    copy.work.mkdir()
    copy.sockets.mkdir()
    for path in copy.data.parent, copy.sockets:
        give_to(path, copy.user)
    run(*standby.region.within, *as_user(copy.user), PG_BIN / "pg_basebackup", "-h",
        primary.region.address, "-p", PORT, "-U", "postgres", "-D", copy.data, "-R", "-c", "fast")
    copy.start()
    wait_for(lambda: streams(pg), "the standby to stream")
    pg.query("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")


def streams(pg):
    return pg.query("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == [(1,)]


def test_replication_through_rotations_an_outage_and_a_failover(sites):
    east, west = sites
    replicate(east, west)
    load = Load(east.engine, 0, clients=2)
    load.await_commits(10)

    # The standby first, then the primary: each for itself, nobody waits for the other.
    for site in west, east, west, east:
        site.rotate()
        load.await_commits(10)
    assert streams(east.engine)

    # One region's vault is down: both go on, that one cannot rotate, the other can.
    east.vault.kill()
    east.volume.answers("unreachable")
    load.await_commits(10)
    assert east.volume.ctl("rotate", east.volume.name, check=False).returncode == 8
    west.rotate()
    load.await_commits(10)
    assert east.volume.now() == west.volume.now() == "online" and streams(east.engine)

    # And then all of that region: what it acknowledged is in the other.
    east.volume.kill_daemon()
    east.engine.kill()
    acked = load.finish()
    west.engine.query("SELECT pg_promote()")
    wait_for(lambda: west.engine.query("SELECT pg_is_in_recovery()") == [(False,)], "the promotion")
    assert len(acked) > 100 and acked <= west.engine.committed()
    west.engine.query("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
    load = Load(west.engine, 1, clients=2)
    load.await_commits(10)
    west.rotate()
    load.await_commits(10)
    for committer in load.committers:
        committer.stopping = True
    acked |= load.finish()
    west.engine.stop(signal.SIGINT, west.engine.log)
    west.volume.remount()
    west.engine.start()
    assert acked <= west.engine.committed()
    west.engine.check()
    east.volume.unmount_dead()


def test_a_copy_of_the_ciphertext_opens_with_a_linked_key(sites, directory):
    east, west = sites
    pg = east.engine.create()
    load = Load(pg, 0, clients=2)
    load.await_commits(20)
    east.region.unplug()
    load.await_commits(5)  # its own vault is near
    east.region.plug_in()
    kid = east.volume.active_kid()
    pg.kill()
    acked = load.finish()
    east.volume.unmount()
    copy = directory / "copy"
    run("rsync", "-aS", f"{east.volume.backing}/", f"{copy}/")
    east.rotate()  # the copy stays as it was
    assert east.volume.active_kid() != kid

    # In the other region it is a volume of its own, under that region's protector.
    west.volume.unmount()
    v = west.volume
    v.backing.rename(directory / "west-was")
    copy.rename(v.backing)
    refused = v.tdefs("mount", v.name, "--accept-header", check=False)
    assert refused.returncode != 0 and kid in refused.stderr, refused.stderr
    v.write_config(linked=kid)
    with v.config.open("a") as config:
        config.write(f"[vault {east.vault.address}]\n"
                     f"client_id = {east.volume.identity.client_id}\n"
                     f"client_secret_file = {east.volume.secret_file}\n"
                     f"authority_host = {east.vault.url}\nca_file = {east.vault.data / 'ca.pem'}\n")
    v.mount("--accept-header")
    answer = v.ctl_json("rotate", v.name, "--retire")
    assert answer["before"]["kid"] == kid and west.vault.address in answer["after"]["kid"], answer

    # From now on nothing there needs the other region.
    east.vault.kill()
    v.write_config(linked=None)
    v.remount()
    replica = west.engine
    replica.work.mkdir()
    replica.sockets.mkdir()
    give_to(replica.sockets, replica.user)
    (replica.data / "postmaster.pid").unlink()
    replica.start()
    assert acked <= replica.committed()
    replica.check()
