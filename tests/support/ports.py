# SPDX-License-Identifier: Apache-2.0
"""Ports of 127.0.0.1 that stay a test's own, also while nobody listens on them."""

import random
import socket

# Below those that the kernel gives to whoever asks for any (ip_local_port_range).
FIRST, LAST = 12000, 30000
_taken = []


def take_port():
    """
    A port for a server that is stopped and started again there, or for none. Each test's process
    takes its own: a name in the abstract namespace is held for as long as the process lives.
    """
    for _ in range(1000):
        port = random.randrange(FIRST, LAST)
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0tdefs-test-port-{port}")
            with socket.create_server(("127.0.0.1", port)):
                pass
        except OSError:
            name.close()
            continue
        _taken.append(name)
        return port
    raise AssertionError("no port is free")
