# SPDX-License-Identifier: Apache-2.0
"""The Debian package of the build under test, and one of a later version."""

import re

from conftest import BUILD, run


def build_package(directory):
    run("cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", directory)
    package, = directory.glob("*.deb")
    return package


def later_version(package, directory):
    """The same files, as version 99, but for a sample that has one line more."""
    tree, later = directory / "tree", directory / "next.deb"
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 99", control.read_text()))
    with open(tree / "etc/tdefs/tdefs.conf", "a", encoding="ascii") as sample:
        sample.write("# of version 99\n")
    run("dpkg-deb", "-b", tree, later)
    return later
