# SPDX-License-Identifier: Apache-2.0
"""
What tdefs is to reach on 2 cores: for each row the ratio to the plain directory, with the
distribution's libfuse and over io_uring. Rows in s are to stay below it, the others above.
"""

from .sides import PEERS, RING

TARGETS = (  # row, tdefs, tdefs-io_uring
    ("pgbench load", 1.6, 1.4),
    ("pgbench read-write, 8 clients", 0.88, 0.92),
    ("pgbench read-only, 8 clients", 0.95, 0.97),
    ("pgbench scan, cold", 0.85, 0.90),
    ("sysbench oltp_read_write, 8 clients", 0.85, 0.92),
    ("sysbench oltp_update_non_index, 8 clients", 0.75, 0.85),
    ("sqlite small transactions", 0.72, 0.85),
    ("fio randwrite 8k fdatasync", 0.60, 0.75),
    ("fio randread 8k direct", 0.90, 0.95),
)
THAN_NATIVE = ("sysbench oltp_read_write, 8 clients",)  # at least the engine's own encryption
BOUNDS = (  # row, side, at most: what has no plain counterpart
    ("daemon locked memory, 10000 open files", "tdefs", 128),
    ("mount over 100000 files", "tdefs", 1.0),
)


def wanted():
    """Every target: (row, side, than whom, bound)."""
    for row, ours, ring in TARGETS:
        yield row, "tdefs", "plain", ours
        yield row, RING, "plain", ring
    for row in THAN_NATIVE:
        yield row, "tdefs", "native", 1.0
    for row, side, bound in BOUNDS:
        yield row, side, None, bound


def peers_of(sides):
    return [peer for peer in PEERS if peer in sides]
