"""The IP provider `sticky`: one layer-2 pod network over all nodes, on which a VM keeps its addresses where it goes.

It does what OVN-Kubernetes does for the persistent addresses of a flat network, with what Linux has:

* addresses are lent by the cluster, not by each node, and belong to the VM (the pods' label `vm.kubevirt.io/name`);
* every node is the pods' gateway, under one address and one MAC address that never leave the node;
* a second pod of a VM, the target of a migration, has the addresses of the first and is silenced until its guest runs:
  what lets it speak is the RARP by which QEMU announces it, or at the latest the end of the first pod. While it is
  silent, its announcements neither move the VM's place in the switches nor answer for it.

Nodes reach remote pods from a leg of their own (`podgw`), because the gateway's address is everybody's; local pods have
host routes through the bridge. So one and the same packet crosses a node's bridge once, and connection tracking sees it
once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from conformance.sandbox.network import syscalls
from conformance.sandbox.network.addresses import (
    GATEWAY,
    NETWORK,
    NETWORK6,
    Addresses,
    Claim,
    Holder,
    PodAddress,
    own_address,
)
from conformance.sandbox.network.commands import run_command
from conformance.sandbox.network.node import Node
from conformance.sandbox.network.pods import PodRef

BRIDGE, UPLINK, OWN_LEG = "cni0", "podlink", "podgw"
_HUB = "podnet"

_RULES = f"""
table bridge podnet {{
  set waiting {{ type ether_addr; flags dynamic; size 1024; }}
  chain prerouting {{
    type filter hook prerouting priority -300; policy accept;
    iifname "{UPLINK}" ether saddr {GATEWAY.mac} drop
    iifname "{UPLINK}" accept
    ether type 0x8035 ether saddr @waiting delete @waiting {{ ether saddr }}
    ether saddr @waiting drop
  }}
  chain postrouting {{
    type filter hook postrouting priority 0; policy accept;
    oifname "{UPLINK}" ether saddr {GATEWAY.mac} drop
    oifname "{UPLINK}" arp daddr ip {GATEWAY.ipv4} drop
  }}
}}
"""


class StickyNetwork:
    """The pod network of all nodes; needs them up."""

    def __init__(self, directory: Path, nodes: Sequence[Node]) -> None:
        """`directory` is where the file of the network namespace between the nodes is kept."""
        self._path = directory / _HUB
        self._nodes = {node.name: node for node in nodes}
        self._addresses = Addresses()

    async def join(self) -> None:
        """Connect the nodes. Raises CommandError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        syscalls.in_new_network_namespace(
            lambda: syscalls.mount(syscalls.current_network_namespace(), self._path, flags=syscalls.MS_BIND)
        )
        enter = ("nsenter", f"--net={self._path}", "--")
        lines = _hub_batch(tuple(self._nodes.values()))
        await run_command(enter, ("ip", "-batch", "-"), where=_HUB, input="\n".join(lines).encode())
        await asyncio.gather(*(_join(node) for node in self._nodes.values()))

    def remove(self) -> None:
        """Take the wires down. Idempotent."""
        with contextlib.suppress(OSError):
            syscalls.umount(self._path, syscalls.MNT_DETACH)
        self._path.unlink(missing_ok=True)

    async def lend(self, node: Node, pod: PodRef, machine: str) -> PodAddress:
        """The address of a pod that is about to be set up on a node; `machine` is the name of the VM it is for, or "".

        Raises NoAddressLeftError, CommandError.
        """
        claim = self._addresses.claim(pod, machine)
        claim.holders.append(Holder(node.name, pod.uid))
        if len(claim.holders) == 1:
            await self._lead_here(claim)
        else:
            await _silence(node, claim.address)
        return claim.address

    async def take_back(self, pod: PodRef) -> None:
        """Let go of a pod's address; the VM's other pod, if there is one, speaks from now on. Idempotent."""
        claim = self._addresses.of(pod.uid)
        if claim is None:
            return
        gone = next(holder for holder in claim.holders if holder.uid == pod.uid)
        led, node = claim.holders[0] == gone, self._nodes[gone.node]
        self._addresses.release(pod.uid)
        if led:
            await node.run("ip", "-force", "-batch", "-", input=_routes("del", claim.address), check=False)
        await _let_speak(node, claim.address)
        if led and claim.holders:
            await self._lead_here(claim)

    async def _lead_here(self, claim: Claim) -> None:
        """The first holder's node reaches it through its own bridge; it may speak."""
        node = self._nodes[claim.holders[0].node]
        await _let_speak(node, claim.address)
        await node.run("ip", "-batch", "-", input=_routes("replace", claim.address))


async def _silence(node: Node, address: PodAddress) -> None:
    await node.run("nft", "add", "element", "bridge", _HUB, "waiting", f"{{ {address.mac} }}")


async def _let_speak(node: Node, address: PodAddress) -> None:
    # it may have spoken already, and has then left the set by itself
    await node.run("nft", "delete", "element", "bridge", _HUB, "waiting", f"{{ {address.mac} }}", check=False)


def _routes(verb: str, address: PodAddress) -> bytes:
    return f"route {verb} {address.ipv4}/32 dev {BRIDGE}\nroute {verb} {address.ipv6}/128 dev {BRIDGE}\n".encode()


def _hub_batch(nodes: Sequence[Node]) -> list[str]:
    mtu = max(node.mtu for node in nodes)
    lines = [
        "link set lo up",
        f"link add {_HUB} type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
        f"link set {_HUB} mtu {mtu} up",
    ]
    for node in nodes:
        for end in (UPLINK, OWN_LEG):
            port = f"{end}-{node.index}"
            lines += [
                f"link add {port} mtu {node.mtu} type veth peer name {end} mtu {node.mtu} netns {node.pid}",
                f"link set {port} master {_HUB} up",
            ]
    return lines


async def _join(node: Node) -> None:
    own = own_address(node.index)
    gateway, gateway6 = GATEWAY.interfaces
    links = [
        f"link add {BRIDGE} address {GATEWAY.mac} mtu {node.mtu} type bridge "
        "forward_delay 0 stp_state 0 mcast_snooping 0",
        f"link set {UPLINK} master {BRIDGE}",
        f"link set {OWN_LEG} address {own.mac}",
    ]
    await node.run("ip", "-batch", "-", input="\n".join(links).encode())
    settings = [f"net.ipv6.conf.{UPLINK}.disable_ipv6=1"]
    # each answers for its own addresses only: the gateway's is answered for by the bridge of the node itself
    settings += [f"net.ipv4.conf.{link}.arp_ignore=1" for link in (BRIDGE, OWN_LEG)]
    await node.run("sysctl", "-q", "-w", *settings)
    addresses = [
        *(f"link set {link} up" for link in (UPLINK, OWN_LEG, BRIDGE)),
        f"addr add {gateway} dev {BRIDGE} noprefixroute",
        f"addr add {gateway6} dev {BRIDGE} nodad noprefixroute",
        f"addr add {own.ipv4}/{NETWORK.prefixlen} dev {OWN_LEG}",
        f"addr add {own.ipv6}/{NETWORK6.prefixlen} dev {OWN_LEG} nodad",
    ]
    await node.run("ip", "-batch", "-", input="\n".join(addresses).encode())
    await node.run("nft", "-f", "-", input=_RULES.encode())
