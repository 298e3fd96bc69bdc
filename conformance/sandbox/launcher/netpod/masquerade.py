"""Core masquerade: the guest has a private address behind the pod's, one for each family the pod has.

A bridge k6t-eth0 with the gateway's addresses takes a tap; the pod interface stays as it is, and nftables translates
between the two. Without `ports` everything that arrives for the pod is the guest's; with `ports` only those are, and
whatever else arrives is the pod's own. Connections of the pod itself to its loopback reach the guest too.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from conformance.sandbox.launcher.dhcp import Lease, options_of
from conformance.sandbox.launcher.netpod.namespace import Namespace, tap_commands
from conformance.sandbox.launcher.netpod.plan import Plan
from conformance.sandbox.launcher.podinterfaces import PodInterface, bridge_name

_BRIDGE_MAC = "02:00:00:00:00:00"
_DEFAULT_CIDRS: Final[Mapping[int, str]] = {4: "10.0.2.0/24", 6: "fd10:0:2::/120"}
_CIDR_FIELDS: Final[Mapping[int, str]] = {4: "vmNetworkCIDR", 6: "vmIPv6NetworkCIDR"}

_INBOUND, _HAIRPIN = "KUBEVIRT_PREINBOUND", "KUBEVIRT_POSTINBOUND"
_HOOKS = (("prerouting", -100), ("input", 100), ("output", -100), ("postrouting", 100))


@dataclass(frozen=True)
class GuestNetwork:
    """The private network of one family: the first address is the gateway's, the second the guest's."""

    family: Literal["ip", "ip6"]
    gateway: str
    guest: str
    prefix: int
    loopback: str

    @classmethod
    def of(cls, version: Literal[4, 6], network: Mapping[str, object]) -> "GuestNetwork":
        """The network of a VMI's pod network: what it asks for, else KubeVirt's own."""
        pod = network.get("pod")
        asked = pod.get(_CIDR_FIELDS[version]) if isinstance(pod, dict) else None
        cidr = ipaddress.ip_network(str(asked or _DEFAULT_CIDRS[version]), strict=False)
        first = cidr.network_address
        loopback = "127.0.0.1" if version == 4 else "::1"
        return cls("ip" if version == 4 else "ip6", str(first + 1), str(first + 2), cidr.prefixlen, loopback)


async def plumb(namespace: Namespace, plan: Plan) -> PodInterface:
    """Bridge, tap, forwarding and NAT; the lease for the guest is KubeVirt's own DHCP's to give."""
    link, tap, bridge = plan.link, str(plan.record.target), bridge_name(plan.link.name)
    versions: tuple[Literal[4, 6], ...] = (4, 6)
    networks = {v: GuestNetwork.of(v, plan.network) for v in versions if link.of_version(v) is not None}
    await namespace.ip(
        f"link add name {bridge} address {_BRIDGE_MAC} mtu {link.mtu} type bridge forward_delay 0 stp_state 0",
        *tap_commands(tap, plan.record.queues, link.mtu, bridge),
        *(f"address add {net.gateway}/{net.prefix} dev {bridge} nodad" for net in networks.values()),
        f"link set dev {bridge} up",
        f"link set dev {tap} up",
    )
    await namespace.run("ethtool", "-K", bridge, "tx", "off")
    if networks:
        await namespace.sysctl(_settings(networks, bridge))
        rules = "".join(f"{line}\n" for net in networks.values() for line in nat_rules(net, link.name, bridge, plan))
        await namespace.run("nft", "-f", "-", text=rules)
    return replace(plan.record, lease=_lease(plan, networks, bridge))


def nat_rules(network: GuestNetwork, pod_link: str, bridge: str, plan: Plan) -> Iterator[str]:
    """The nftables commands of one family: KubeVirt's table, chains and rules, in its order."""
    family, guest = network.family, network.guest
    yield f"add table {family} nat"
    for hook, priority in _HOOKS:
        yield f"add chain {family} nat {hook} {{ type nat hook {hook} priority {priority}; }}"
    for chain in (_INBOUND, _HAIRPIN):
        yield f"add chain {family} nat {chain}"
    for rule in (
        f"postrouting {family} saddr {guest} counter masquerade",
        f'prerouting iifname "{pod_link}" counter jump {_INBOUND}',
        f'postrouting oifname "{bridge}" counter jump {_HAIRPIN}',
        *_forwards(network, _ports(plan)),
    ):
        yield f"add rule {family} nat {rule}"


def _forwards(network: GuestNetwork, ports: Sequence[str]) -> Iterator[str]:
    """What is the guest's: everything, or the ports listed, each a match such as `tcp dport 80`."""
    family, loopback = network.family, network.loopback
    for match in [f"{port} " for port in ports] or [""]:
        yield f"{_INBOUND} {match}counter dnat to {network.guest}"
        yield f"{_HAIRPIN} {match}{family} saddr {{ {loopback} }} counter snat to {network.gateway}"
        yield f"output {family} daddr {{ {loopback} }} {match}counter dnat to {network.guest}"


def _ports(plan: Plan) -> list[str]:
    ports = plan.interface.get("ports")
    return [
        f"{str(port.get('protocol') or 'tcp').lower()} dport {port['port']}"
        for port in (ports if isinstance(ports, list) else [])
    ]


def _settings(networks: Mapping[Literal[4, 6], GuestNetwork], bridge: str) -> list[str]:
    settings = {
        4: ["net.ipv4.ip_forward=1", f"net.ipv4.conf.{bridge}.route_localnet=1"],
        6: ["net.ipv6.conf.all.forwarding=1"],
    }
    return [setting for version in networks for setting in settings[version]]


def _lease(plan: Plan, networks: Mapping[Literal[4, 6], GuestNetwork], bridge: str) -> Lease:
    four, six = networks.get(4), networks.get(6)
    return Lease(
        interface=bridge,
        mtu=plan.link.mtu,
        subdomain=plan.subdomain,
        address=f"{four.guest}/{four.prefix}" if four else None,
        server=four.gateway if four else None,
        router=four.gateway if four else None,
        address6=six.guest if six else None,
        options=options_of(plan.interface),
    )
