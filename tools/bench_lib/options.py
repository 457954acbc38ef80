# SPDX-License-Identifier: Apache-2.0
"""The arguments of tools/bench, and whether this machine has what they ask for."""

import argparse
import importlib.util
import os
import shutil
from pathlib import Path

from conftest import BUILD

from .machine import FILE_SYSTEMS
from .sides import OTHERS, OURS, RING, all_sides, has_ring, missing_others, packages_of
from .suite_files import Files, Mount, SQLite
from .suite_fio import Daemon, Fio
from .suite_servers import Pgbench, Sysbench

SUITES = {suite.name: suite for suite in (Pgbench, Sysbench, SQLite, Fio, Files, Mount, Daemon)}
FULL = {"rounds": 5, "seconds": 5, "scale": 10, "size": 256, "transactions": 10000, "files": 10000}
QUICK = {"rounds": 1, "seconds": 1, "scale": 1, "size": 32, "transactions": 100, "files": 100}
MIB_OF_SCALE = 15  # what pgbench's tables take


def some_of(known):
    def parse(text):
        names = list(dict.fromkeys(text.split(",")))
        if not set(names) <= set(known):
            raise argparse.ArgumentTypeError(f"out of {','.join(known)}, by commas")
        return [name for name in known if name in names]
    return parse


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError("a whole number above 0")
    return int(text)


def numbers(text):
    return [positive(n) for n in text.split(",")]


def size(text):
    """Bytes of a number with K, M or G behind it."""
    unit = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper())
    return positive(text[:-1]) << unit if unit else positive(text)


def directory(text):
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError("not a directory")
    return os.path.abspath(text)


def own_side(text):
    """NAME:KEY=VALUE,…: a name and its settings."""
    name, _, settings = text.partition(":")
    pairs = [pair.partition("=") for pair in settings.split(",") if pair]
    if not name.replace("-", "").replace("_", "").isalnum() or not all(p[1] and p[2] for p in pairs):
        raise argparse.ArgumentTypeError("NAME:KEY=VALUE,…")
    return name, {key.strip(): value.strip() for key, _, value in pairs}


def arguments():
    parser = argparse.ArgumentParser(
        description="Measure tdefs against the plain directory and other encrypting file systems.")
    what = parser.add_argument_group("what is measured")
    what.add_argument("--only", type=some_of(SUITES), default=list(SUITES), metavar="SUITE,…",
                      help=f"out of {','.join(SUITES)}")
    what.add_argument("--rows", type=lambda text: text.split(","), default=[""], metavar="TEXT,…",
                      help="rows whose name has one of these texts")
    what.add_argument("--sides", type=lambda text: text.split(","), metavar="SIDE,…",
                      help=f"out of plain,{','.join(OURS)},{RING},native,{','.join(OTHERS)} and "
                      "--side's; default: all that are there")
    what.add_argument("--side", type=own_side, action="append", default=[],
                      metavar="NAME:KEY=VALUE,…", help="one more side of tdefs, with these settings "
                      "of tdefs.conf; build=DIR: with the programs of that build directory")
    how = parser.add_argument_group("how much")
    how.add_argument("--rounds", type=positive, help="default: 5")
    how.add_argument("--seconds", type=positive,
                     help="a pgbench or sysbench run; half of it, an fio run (default: 5)")
    how.add_argument("--scale", type=positive, help="pgbench's scale; sysbench has 4 tables of "
                     "10000 rows times this (default: 10)")
    how.add_argument("--size", type=positive, help="MiB of fio's file (default: 256)")
    how.add_argument("--clients", type=numbers, default=[8], metavar="N,…",
                     help="of pgbench and sysbench (default: 8)")
    how.add_argument("--quick", action="store_true",
                     help="a smoke run: other defaults, figures that mean nothing")
    where = parser.add_argument_group("where")
    where.add_argument("--dir", type=directory, default="/var/tmp",
                       help="where the backing directories go (default: %(default)s)")
    where.add_argument("--fs", type=some_of(FILE_SYSTEMS), metavar="FS,…",
                       help=f"on new file systems out of {','.join(FILE_SYSTEMS)}: images in --dir")
    where.add_argument("--memory", type=size, metavar="SIZE",
                       help="give everything together no more memory (1G) than this, and the "
                       "engines half as much data again, unless --scale says otherwise")
    out = parser.add_argument_group("what becomes of it")
    out.add_argument("--json", metavar="FILE", help="write everything that was measured there")
    out.add_argument("--history", type=directory, metavar="DIR", help="the same, a file a run")
    out.add_argument("--markdown", metavar="FILE", help="write the table, or put it between the "
                     "marks that FILE has for it")
    out.add_argument("--svg", metavar="FILE", help="draw the ratios")
    out.add_argument("--from", dest="source", type=argparse.FileType("r"), metavar="JSON",
                     help="measure nothing: show what an earlier run wrote")
    return parser


def parse():
    """Parsed and completed; leaves with a message where it cannot be done here."""
    parser = arguments()
    options = parser.parse_args()
    if options.source:
        return options
    if options.memory and not options.scale:
        options.scale = max(1, options.memory * 3 // 2 // (MIB_OF_SCALE << 20))
    for key, value in (QUICK if options.quick else FULL).items():
        if getattr(options, key, None) is None:
            setattr(options, key, value)
    options.known = all_sides(dict(options.side))
    _choose_sides(parser, options)
    _check(parser, options)
    return options


def _choose_sides(parser, options):
    """Others that nobody asked for are optional; so is what was not built."""
    options.left_out = {} if options.sides else missing_others()
    if not options.sides and not has_ring():
        options.left_out[RING] = "the kernel has no io_uring for FUSE, or it is off (README)"
    if options.sides:
        options.sides += dict(options.side)
    unknown = set(options.sides or ()) - set(options.known)
    if unknown:
        parser.error(f"--sides: {','.join(sorted(unknown))}: out of {','.join(options.known)}")
    options.sides = [side for side in options.known
                     if (side in options.sides if options.sides else side not in options.left_out)]
    options.ours = [*OURS, RING, *dict(options.side)]


def _check(parser, options):
    """Leave with the line that installs what is missing."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        parser.error("this mounts file systems: run it as root, with /dev/fuse")
    builds = {BUILD, *(Path(s["build"]) for _, s in options.side if "build" in s)}
    for build in builds if set(options.ours) & set(options.sides) else ():
        if not os.access(build / "tdefs", os.X_OK):
            parser.error(f"there is no tdefs in {build}: build it, or set TDEFS_BUILD")
    suites = [SUITES[name] for name in options.only]
    programs = {k: v for suite in suites for k, v in suite.needs.items()}
    programs["openssl"] = "openssl"
    if "native" in options.sides and "sqlite" in options.only:
        programs["sqlcipher"] = "sqlcipher"
    if "xfs" in (options.fs or ()):
        programs["mkfs.xfs"] = "xfsprogs"
    modules = {k: v for suite in suites for k, v in suite.modules.items()}
    wanted = [package for program, package in programs.items() if not shutil.which(program)]
    wanted += [package for other in OTHERS if other in options.sides
               for package in packages_of(other)]
    wanted += [package for module, package in modules.items()
               if not importlib.util.find_spec(module)]
    if wanted:
        parser.error(f"programs are missing: apt-get install {' '.join(wanted)}")
