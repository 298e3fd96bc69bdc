"""Device nodes by the path a node would have them at.

A machine has one devtmpfs for all network namespaces, and the nodes of the sandbox see none of it. What devtmpfs holds
for a macvtap, /dev/tap<interface index>, is therefore read from sysfs, in the network namespace that the link lives in.
"""

import os
import stat
from pathlib import PurePosixPath

from conformance.sandbox.network.node import Node

# Mounted in a mount namespace of its own: what a sysfs shows is that network namespace's where it was mounted.
_READ = 'mount -t sysfs sysfs /sys && cat "/sys/class/macvtap/$1/dev"'


async def device_number(node: Node, path: str, netns: str | None) -> tuple[int, int] | None:
    """Major and minor number of the character device at `path` of the node, or None if there is none.

    `netns` is the network namespace, by its name in the node's /run/netns, in which a macvtap is looked for.
    """
    file = node.path(path)
    if file.exists():
        found = file.stat()
        return (os.major(found.st_rdev), os.minor(found.st_rdev)) if stat.S_ISCHR(found.st_mode) else None
    name = PurePosixPath(path).name
    if PurePosixPath(path).parent != PurePosixPath("/dev") or not name.startswith("tap"):
        return None
    argv = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _READ, "sh", name)
    done = await node.run(*argv, netns=netns, check=False)
    major, colon, minor = done.stdout.decode().strip().partition(":")
    return (int(major), int(minor)) if colon else None
