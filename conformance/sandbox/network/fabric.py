"""What lies between and beyond the nodes, each in a network namespace of its own.

`router`: one bridge with every node's `eth0` in it (172.30.0.0/24, fd00:30::/64), the nodes' default gateway at .254.
`control`: the control plane's machine on that bridge, 172.30.0.253 and fd00:30::fd: API server and cluster DNS.
`outside`: a host beyond the router, 203.0.113.10 and 2001:db8:113::10. Neither it nor the router knows the pods'
networks, so what a pod sends there has to leave its node under the node's own address.

Pod networks are routed from node to node, as a routed cluster network is.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from conformance.sandbox.network import syscalls
from conformance.sandbox.network.commands import run_command
from conformance.sandbox.network.node import POD_NETWORK, POD_NETWORK6, Node

ROUTER_ADDRESS, ROUTER_ADDRESS6 = "172.30.0.254", "fd00:30::fe"
CONTROL_ADDRESS, CONTROL_ADDRESS6 = "172.30.0.253", "fd00:30::fd"
OUTSIDE_ADDRESS, OUTSIDE_ADDRESS6 = "203.0.113.10", "2001:db8:113::10"
BEYOND_ADDRESS, BEYOND_ADDRESS6 = "203.0.113.1", "2001:db8:113::1"

_SYSCTLS = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    # every address is usable at once
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
}

# What leaves a node for anywhere but the cluster's pods goes under the node's address, in both families.
_MASQUERADE = f"""
table inet pod-egress {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "eth0" ip saddr {POD_NETWORK} ip daddr != {POD_NETWORK} masquerade
    oifname "eth0" ip6 saddr {POD_NETWORK6} ip6 daddr != {POD_NETWORK6} masquerade
  }}
}}
"""


class Fabric:
    """The namespaces and wires between the nodes; needs the nodes up."""

    def __init__(self, directory: Path) -> None:
        """`directory` is where the namespace files are kept."""
        self.router, self.control, self.outside = (directory / name for name in ("router", "control", "outside"))

    async def join(self, nodes: Sequence[Node]) -> None:
        """Connect the nodes and route their pod networks. Raises CommandError when a link cannot be made."""
        for path in (self.router, self.control, self.outside):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            syscalls.in_new_network_namespace(partial(_bind, path))
        await _configure(self.router, self._router_batch(nodes))
        await _configure(self.control, _host_batch(CONTROL_ADDRESS, CONTROL_ADDRESS6, ROUTER_ADDRESS, ROUTER_ADDRESS6))
        await _configure(self.outside, _host_batch(OUTSIDE_ADDRESS, OUTSIDE_ADDRESS6, BEYOND_ADDRESS, BEYOND_ADDRESS6))
        await asyncio.gather(*(self._join_one(node, nodes) for node in nodes))

    def remove(self) -> None:
        """Take the wires down, and with them every node's uplink. Idempotent."""
        for path in (self.router, self.control, self.outside):
            with contextlib.suppress(OSError):
                syscalls.umount(path, syscalls.MNT_DETACH)
            path.unlink(missing_ok=True)

    def _router_batch(self, nodes: Sequence[Node]) -> list[str]:
        mtu = max(node.uplink_mtu for node in nodes)
        ends = [(node.name, node.uplink_mtu, str(node.pid)) for node in nodes]
        ends += [("control", mtu, str(self.control)), ("outside", mtu, str(self.outside))]
        return [
            "link set lo up",
            "link add fabric type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            f"addr add {ROUTER_ADDRESS}/24 dev fabric",
            f"addr add {ROUTER_ADDRESS6}/64 dev fabric nodad",
            f"link set fabric mtu {mtu} up",
            *(f"link add {name} mtu {m} type veth peer name eth0 mtu {m} netns {netns}" for name, m, netns in ends),
            *(f"link set {name} master fabric up" for name, _mtu, _netns in ends[:-1]),
            f"addr add {BEYOND_ADDRESS}/24 dev outside",
            f"addr add {BEYOND_ADDRESS6}/64 dev outside nodad",
            "link set outside up",
        ]

    async def _join_one(self, node: Node, nodes: Sequence[Node]) -> None:
        lines = [
            f"addr add {node.address}/24 dev eth0",
            f"addr add {node.address6}/64 dev eth0 nodad",
            f"link set eth0 mtu {node.uplink_mtu} up",
            f"route add default via {ROUTER_ADDRESS}",
            f"route add ::/0 via {ROUTER_ADDRESS6}",
        ]
        for other in nodes:
            if other is not node:
                lines += [
                    f"route add {other.pod_cidr} via {other.address}",
                    f"route add {other.pod_cidr6} via {other.address6}",
                ]
        await node.run("ip", "-batch", "-", input="\n".join(lines).encode())
        await node.run("nft", "-f", "-", input=_MASQUERADE.encode())


def _bind(path: Path) -> None:
    for name, value in _SYSCTLS.items():
        Path("/proc/sys/net", name).write_text(value, encoding="ascii")
    syscalls.mount(syscalls.current_network_namespace(), path, flags=syscalls.MS_BIND)


async def _configure(netns: Path, lines: Sequence[str]) -> None:
    prefix = ("nsenter", f"--net={netns}", "--")
    await run_command(prefix, ("ip", "-batch", "-"), where=netns.name, input="\n".join(lines).encode())


def _host_batch(address: str, address6: str, gateway: str, gateway6: str) -> list[str]:
    return [
        "link set lo up",
        f"addr add {address}/24 dev eth0",
        f"addr add {address6}/64 dev eth0 nodad",
        "link set eth0 up",
        f"route add default via {gateway}",
        f"route add ::/0 via {gateway6}",
    ]
