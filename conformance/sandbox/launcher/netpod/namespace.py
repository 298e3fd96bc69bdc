"""The network namespace of a launcher pod: its links and routes, and running commands in it."""

import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from conformance.sandbox.launcher.errors import PodNetworkSetupError
from conformance.sandbox.launcher.protocols import NodeLike

QEMU_ID = 107
"""User and group of the tap, as in KubeVirt's non-root pods."""


@dataclass(frozen=True)
class Link:
    """A link of the pod: MAC, MTU in bytes, global addresses with prefix length (IPv4 first)."""

    name: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]

    def of_version(self, version: int) -> str | None:
        """The first global address of IP version 4 or 6, with its prefix length."""
        return next((text for text in self.addresses if ipaddress.ip_interface(text).version == version), None)


@dataclass(frozen=True)
class Namespace:
    """The network namespace `name` on a node. Every method raises PodNetworkSetupError with the command's words."""

    node: NodeLike
    name: str

    async def links(self) -> dict[str, Link]:
        """The links by name."""
        listing = json.loads(await self.run("ip", "-json", "address", "show") or b"[]")
        return {entry["ifname"]: _link(entry) for entry in listing if entry.get("ifname")}

    async def routes(self, link: str) -> list[Mapping[str, object]]:
        """The IPv4 routes over a link, as `ip -json route` words them, in the kernel's order."""
        found: list[Mapping[str, object]] = json.loads(
            await self.run("ip", "-4", "-json", "route", "show", "dev", link) or b"[]"
        )
        return found

    async def ip(self, *commands: str) -> None:
        """Run ip commands, each without the leading `ip`; the first that fails ends it."""
        await self.run("ip", "-batch", "-", text="".join(f"{command}\n" for command in commands))

    async def sysctl(self, settings: Iterable[str]) -> None:
        """Write settings, each `name=value`."""
        await self.run("sysctl", "-q", "-w", *settings)

    async def run(self, *argv: str, text: str = "") -> bytes:
        """Run a command with `text` on its standard input; what it printed."""
        done = await self.node.run(*argv, netns=self.name, input=text.encode(), check=False)
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip()
            raise PodNetworkSetupError(f"{argv[0]} in the network namespace of pod {self.name}: {reason}")
        return done.stdout


def tap_commands(tap: str, queues: int, mtu: int, bridge: str) -> Sequence[str]:
    """The ip commands that make a tap for QEMU and put it into a bridge."""
    multi_queue = " multi_queue" if queues > 1 else ""
    return (
        f"tuntap add dev {tap} mode tap user {QEMU_ID} group {QEMU_ID}{multi_queue}",
        f"link set dev {tap} mtu {mtu} master {bridge}",
    )


def _link(entry: Mapping[str, object]) -> Link:
    infos = entry.get("addr_info")
    addresses = [
        f"{info['local']}/{info['prefixlen']}"
        for info in (infos if isinstance(infos, list) else [])
        if info.get("scope") == "global" and info.get("local")
    ]
    ordered = sorted(addresses, key=lambda address: ":" in address)
    return Link(str(entry["ifname"]), str(entry.get("address", "")), int(str(entry["mtu"])), tuple(ordered))
