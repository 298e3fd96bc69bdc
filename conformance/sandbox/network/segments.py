"""Layer-2 segments beside the cluster network, for secondary networks: what an operator's data networks would be.

Every node has two more NICs on the first: `eth1`, which nothing uses (the lower device of a macvtap or macvlan), and
`eth2`, the port of the node's bridge `br1` (the bridge that a NetworkAttachmentDefinition of the plugin `bridge`
names). In the segment live a DHCP server and a router advertisement daemon, and no router: guests get 172.31.0.<n> and
fd00:31::/64 addresses, but neither a default route nor name servers.

On the second, by `eth3` and `br2`, there is nothing but what guests bring along.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from conformance.sandbox.network import syscalls
from conformance.sandbox.network.commands import SYSTEM_PATH, run_command
from conformance.sandbox.network.node import Node

FREE_NIC, BRIDGED_NIC, NODE_BRIDGE = "eth1", "eth2", "br1"
QUIET_NIC, QUIET_BRIDGE = "eth3", "br2"
SEGMENT_ADDRESS = "172.31.0.1"
SEGMENT_ADDRESS6 = "fd00:31::1"

_BRIDGE, _QUIET = "segment", "quiet"
_DHCP = (
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--port=0",
    "--user=root",
    "--bind-dynamic",
    f"--interface={_BRIDGE}",
    "--leasefile-ro",
    "--dhcp-authoritative",
    "--no-ping",
    "--dhcp-range=172.31.0.32,172.31.0.250,255.255.255.0,1h",
    # Empty: neither a router nor name servers, so that the way out stays the pod network's.
    "--dhcp-option=option:router",
    "--dhcp-option=option:dns-server",
    "--enable-ra",
    f"--dhcp-range=::,constructor:{_BRIDGE},ra-only,64,1h",
    f"--ra-param={_BRIDGE},mtu:off,10,0",
)


class Segments:
    """Both segments; needs the nodes up."""

    def __init__(self, directory: Path) -> None:
        """`directory` is where the file of their network namespace is kept."""
        self.path = directory / _BRIDGE
        self._server: asyncio.subprocess.Process | None = None

    async def join(self, nodes: Sequence[Node]) -> None:
        """Connect the nodes and start the servers, which end with the sandbox. Raises CommandError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        syscalls.in_new_network_namespace(self._bind)
        await run_command(self._enter(), ("ip", "-batch", "-"), where=_BRIDGE, input=_batch(nodes).encode())
        await asyncio.gather(*(_bridge(node) for node in nodes))
        self._server = await self._serve(nodes[0])

    def remove(self) -> None:
        """Take the segments down, and with them the nodes' NICs on them. Idempotent."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                self._server.kill()
        with contextlib.suppress(OSError):
            syscalls.umount(self.path, syscalls.MNT_DETACH)
        self.path.unlink(missing_ok=True)

    def _bind(self) -> None:
        # Without duplicate address detection the daemon can advertise at once.
        for name, value in (("all/accept_dad", "0"), ("default/accept_dad", "0"), ("all/forwarding", "1")):
            Path("/proc/sys/net/ipv6/conf", name).write_text(value, encoding="ascii")
        syscalls.mount(syscalls.current_network_namespace(), self.path, flags=syscalls.MS_BIND)

    def _enter(self) -> tuple[str, ...]:
        return ("nsenter", f"--net={self.path}", "--")

    async def _serve(self, node: Node) -> asyncio.subprocess.Process:
        """The program comes from a node's root: the machine itself need not have it."""
        return await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(node.pid), "--mount", f"--net={self.path}", "--", "dnsmasq", *_DHCP),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": SYSTEM_PATH},
        )


def _batch(nodes: Sequence[Node]) -> str:
    mtu = max(node.mtu for node in nodes)
    lines = [
        "link set lo up",
        *(f"link add {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0" for name in (_BRIDGE, _QUIET)),
        f"addr add {SEGMENT_ADDRESS}/24 dev {_BRIDGE}",
        f"addr add {SEGMENT_ADDRESS6}/64 dev {_BRIDGE} nodad",
        *(f"link set {name} mtu {mtu} up" for name in (_BRIDGE, _QUIET)),
    ]
    for node in nodes:
        for nic, segment in ((FREE_NIC, _BRIDGE), (BRIDGED_NIC, _BRIDGE), (QUIET_NIC, _QUIET)):
            port = f"{nic}-{node.index}"
            lines += [
                f"link add {port} mtu {node.mtu} type veth peer name {nic} mtu {node.mtu} netns {node.pid}",
                f"link set {port} master {segment} up",
            ]
    return "\n".join(lines)


async def _bridge(node: Node) -> None:
    """The node's own part. No link of it takes part in IP: the segments are for guests."""
    lines = []
    for bridge, nic in ((NODE_BRIDGE, BRIDGED_NIC), (QUIET_BRIDGE, QUIET_NIC)):
        lines += [
            f"link add {bridge} mtu {node.mtu} type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
            f"link set {nic} master {bridge}",
        ]
    await node.run("ip", "-batch", "-", input="\n".join(lines).encode())
    links = (FREE_NIC, BRIDGED_NIC, NODE_BRIDGE, QUIET_NIC, QUIET_BRIDGE)
    await node.run("sysctl", "-q", "-w", *(f"net.ipv6.conf.{link}.disable_ipv6=1" for link in links))
    await node.run("ip", "-batch", "-", input="\n".join(f"link set {link} up" for link in links).encode())
