# SPDX-License-Identifier: Apache-2.0
"""Two regions: network namespaces that see nothing but each other, over one pair of interfaces."""

import os
import subprocess

from conftest import run, wait_for
from vault_server import VaultServer


class Region:
    """A network namespace that lives as long as one process in it."""

    def __init__(self, address):
        self.address = address
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self._namespace(self.holder.pid) != self._namespace("self"), "the namespace")
        self.within = ("nsenter", f"--net=/proc/{self.holder.pid}/ns/net")
        self.run("ip", "link", "set", "lo", "up")

    @staticmethod
    def _namespace(pid):
        return os.readlink(f"/proc/{pid}/ns/net")

    def run(self, *args):
        return run(*self.within, *args)

    def join(self, other):
        """One cable between the two; it goes with either."""
        self.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns",
                 other.holder.pid)
        for region in self, other:
            region.run("ip", "address", "add", f"{region.address}/24", "dev", "cable")
            region.run("ip", "link", "set", "cable", "up")

    def unplug(self):
        self.run("ip", "link", "set", "cable", "down")

    def plug_in(self):
        self.run("ip", "link", "set", "cable", "up")

    def vault(self, directory):
        """A tdefs-vault there, with a key "tde"; whoever starts it closes it."""
        directory.mkdir()
        server = VaultServer(directory)
        server.within = self.within
        server.start(listen=f"{self.address}:8443")
        server.command("key", "create", "tde")
        return server

    def close(self):
        self.holder.kill()
        self.holder.wait()
