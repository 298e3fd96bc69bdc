"""The wires between the nodes: one bridge in a namespace called `outside`, every node's `eth0` in it.

`outside` (172.30.0.254, fd00:30::fe) is also each node's default gateway: a place beyond the cluster, with nothing
behind it. Pod networks are routed from node to node, as a routed cluster network is.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from conformance.sandbox.network import syscalls
from conformance.sandbox.network.commands import run_command
from conformance.sandbox.network.node import Node

OUTSIDE_ADDRESS = "172.30.0.254"
OUTSIDE_ADDRESS6 = "fd00:30::fe"


class Fabric:
    """The layer-2 segment that joins the nodes; needs the nodes up."""

    def __init__(self, directory: Path) -> None:
        """`directory` is where the namespace file of `outside` is kept."""
        self.path = directory / "outside"

    async def join(self, nodes: Sequence[Node]) -> None:
        """Connect the nodes and route their pod networks. Raises CommandError when a link cannot be made."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        syscalls.in_new_network_namespace(self._bind)
        await run_command(
            ("nsenter", f"--net={self.path}", "--"),
            ("ip", "-batch", "-"),
            where="outside",
            input=_outside_batch(nodes).encode(),
        )
        await asyncio.gather(*(self._join_one(node, nodes) for node in nodes))

    def remove(self) -> None:
        """Take the segment down, and with it every node's uplink. Idempotent."""
        with contextlib.suppress(OSError):
            syscalls.umount(self.path, syscalls.MNT_DETACH)
        self.path.unlink(missing_ok=True)

    def _bind(self) -> None:
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            Path("/proc/sys/net", name).write_text("1", encoding="ascii")
        syscalls.mount(syscalls.current_network_namespace(), self.path, flags=syscalls.MS_BIND)

    async def _join_one(self, node: Node, nodes: Sequence[Node]) -> None:
        lines = [
            f"addr add {node.address}/24 dev eth0",
            f"addr add {node.address6}/64 dev eth0 nodad",
            f"link set eth0 mtu {node.mtu} up",
            f"route add default via {OUTSIDE_ADDRESS}",
            f"route add ::/0 via {OUTSIDE_ADDRESS6}",
        ]
        for other in nodes:
            if other is not node:
                lines += [
                    f"route add {other.pod_cidr} via {other.address}",
                    f"route add {other.pod_cidr6} via {other.address6}",
                ]
        await node.run("ip", "-batch", "-", input="\n".join(lines).encode())


def _outside_batch(nodes: Sequence[Node]) -> str:
    lines = [
        "link set lo up",
        "link add fabric type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
        f"addr add {OUTSIDE_ADDRESS}/24 dev fabric",
        f"addr add {OUTSIDE_ADDRESS6}/64 dev fabric nodad",
        f"link set fabric mtu {max(node.mtu for node in nodes)} up",
    ]
    for node in nodes:
        lines += [
            f"link add {node.name} mtu {node.mtu} type veth peer name eth0 mtu {node.mtu} netns {node.pid}",
            f"link set {node.name} master fabric up",
            f"route add {node.pod_cidr} via {node.address}",
            f"route add {node.pod_cidr6} via {node.address6}",
        ]
    return "\n".join(lines)
