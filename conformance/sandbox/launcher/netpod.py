"""Phase 1 of KubeVirt's network set-up: what virt-handler does in the network namespace of a launcher pod.

Source: KubeVirt v1.9 pkg/network/setup/netpod (contract sections 2.5 and 2.6).

For a managedTap interface on pod interface P: a bridge k6t-<P> takes P (renamed P-nic, without addresses, not learning)
and a tap; a stand-in called P keeps P's MAC, MTU and addresses, so that whoever inspects the pod still finds them.
KubeVirt's stand-in is a dummy link. Kernels without that driver are common, so here it is a bridge without ports: like
KubeVirt's it is never set up, sends nothing and answers nothing. Its IPv4 address is local to the namespace all the
same (as it is on a dummy), hence arp_ignore=1, as KubeVirt sets (from 1.5): no ARP answer for it on any other link.
"""

import ipaddress
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.sandbox.launcher.errors import PodNetworkSetupError
from conformance.sandbox.launcher.podinterfaces import (
    Attachment,
    PodInterface,
    PodInterfaces,
    bridge_name,
    enslaved_name,
    pod_interface_name,
    tap_name,
)
from conformance.sandbox.launcher.protocols import NodeLike

QEMU_ID = 107
"""User and group of the tap, as in KubeVirt's non-root pods."""

_MAX_QUEUES = 256
_CORE_BINDINGS = ("bridge", "masquerade", "sriov", "passtBinding", "slirp", "macvtap", "passt")


@dataclass(frozen=True)
class _Link:
    """A link of the pod: MAC, MTU in bytes, global addresses with prefix length (IPv4 first)."""

    name: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]


async def setup_pod_network(
    node: NodeLike,
    netns: str,
    vmi: Mapping[str, object],
    registrations: Mapping[str, Mapping[str, object]],
    *,
    arp_ignore: bool = True,
) -> PodInterfaces:
    """Prepare the pod's network for the VMI's interfaces and say what was found.

    `registrations` is `KubeVirt.spec.configuration.network.binding`; a binding that is not in it is left alone, as is
    one without an attachment. `arp_ignore`: whether the pod keeps quiet about the guest's address. Raises
    PodNetworkSetupError with KubeVirt's text, for instance `pod link (eth0) is missing`. It must run once per pod: the
    addresses are read before the plumbing takes them from P.
    """
    links = await _read_links(node, netns)
    found: dict[str, PodInterface] = {}
    for interface, network in _pairs(vmi):
        record = _discover(interface, network, registrations, links, _queue_count(vmi, interface))
        if record.attachment == "managedTap":
            if not record.exists:
                raise PodNetworkSetupError(f"pod link ({record.pod_interface}) is missing")
            await _plumb(node, netns, record, links[record.pod_interface], arp_ignore)
        found[record.name] = record
    return PodInterfaces(found)


def attachment_of(interface: Mapping[str, object], registrations: Mapping[str, Mapping[str, object]]) -> Attachment:
    """What core does for an interface. The registered string must match exactly; anything else means "none"."""
    binding = interface.get("binding")
    if not isinstance(binding, dict):
        core = [name for name in _CORE_BINDINGS if name in interface]
        if core:
            raise PodNetworkSetupError(f"interface {interface['name']}: core binding {core[0]} is not provided here")
        raise PodNetworkSetupError(f"undefined binding method: {dict(interface)}")
    registered = registrations.get(str(binding.get("name")), {}).get("domainAttachmentType")
    if registered == "tap":
        return "tap"
    return "managedTap" if registered == "managedTap" else "none"


def _discover(
    interface: Mapping[str, object],
    network: Mapping[str, object],
    registrations: Mapping[str, Mapping[str, object]],
    links: Mapping[str, _Link],
    queues: int,
) -> PodInterface:
    attachment = attachment_of(interface, registrations)
    pod_interface, tap = pod_interface_name(network), tap_name(network)
    link = links.get(pod_interface)
    target = None
    if attachment == "managedTap":
        target = tap
    elif attachment == "tap":
        target = tap if tap in links else pod_interface
    return PodInterface(
        name=str(interface["name"]),
        pod_interface=pod_interface,
        attachment=attachment,
        exists=link is not None,
        mac=link.mac if link else None,
        mtu=link.mtu if link else None,
        addresses=_first_of_each_family(link.addresses) if link else (),
        target=target,
        queues=queues,
    )


async def _plumb(node: NodeLike, netns: str, record: PodInterface, link: _Link, arp_ignore: bool) -> None:
    """Bridge, tap and stand-in for one pod interface."""
    pod, nic, bridge = link.name, enslaved_name(link.name), bridge_name(link.name)
    mac = _random_mac()
    multi_queue = " multi_queue" if record.queues > 1 else ""
    batch = [
        f"link add name {bridge} address {mac} type bridge forward_delay 0 stp_state 0",
        f"link set dev {pod} down",
        f"address flush dev {pod}",
        f"link set dev {pod} name {nic} address {mac}",
        f"link set dev {nic} master {bridge}",
        f"link set dev {nic} type bridge_slave learning off",
        f"tuntap add dev {record.target} mode tap user {QEMU_ID} group {QEMU_ID}{multi_queue}",
        f"link set dev {record.target} mtu {link.mtu} master {bridge}",
        f"link add name {pod} address {link.mac} type bridge",
        f"link set dev {pod} mtu {link.mtu}",
        *(f"address add {address} dev {pod}" for address in link.addresses),
    ]
    settings = [f"net.ipv6.conf.{nic}.disable_ipv6=1"]
    if arp_ignore and any("." in address for address in link.addresses):
        settings.append("net.ipv4.conf.all.arp_ignore=1")
    await _run(node, netns, ["ip", "-batch", "-"], "\n".join(batch) + "\n")
    await _run(node, netns, ["sysctl", "-q", "-w", *settings])
    up = "".join(f"link set dev {name} up\n" for name in (bridge, nic, record.target))
    await _run(node, netns, ["ip", "-batch", "-"], up)


async def _run(node: NodeLike, netns: str, argv: Sequence[str], text: str = "") -> bytes:
    done = await node.run(*argv, netns=netns, input=text.encode(), check=False)
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip()
        raise PodNetworkSetupError(f"{argv[0]} in the network namespace of pod {netns}: {reason}")
    return done.stdout


async def _read_links(node: NodeLike, netns: str) -> dict[str, _Link]:
    listing = json.loads(await _run(node, netns, ["ip", "-json", "address", "show"]) or b"[]")
    return {entry["ifname"]: _link(entry) for entry in listing if entry.get("ifname")}


def _link(entry: Mapping[str, object]) -> _Link:
    infos = entry.get("addr_info")
    addresses = [
        f"{info['local']}/{info['prefixlen']}"
        for info in (infos if isinstance(infos, list) else [])
        if info.get("scope") == "global" and info.get("local")
    ]
    ordered = sorted(addresses, key=lambda address: ":" in address)
    return _Link(str(entry["ifname"]), str(entry.get("address", "")), int(str(entry["mtu"])), tuple(ordered))


def _first_of_each_family(addresses: Sequence[str]) -> tuple[str, ...]:
    first: dict[int, str] = {}
    for address in addresses:
        parsed = ipaddress.ip_interface(address)
        first.setdefault(parsed.version, str(parsed.ip))
    return tuple(first[version] for version in sorted(first))


def _pairs(vmi: Mapping[str, object]) -> list[tuple[Mapping[str, object], Mapping[str, object]]]:
    """Interfaces that are to exist, each with its network. PodNetworkSetupError if a network is missing."""
    spec = vmi.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    networks = {network["name"]: network for network in spec.get("networks") or []}
    pairs = []
    for interface in spec.get("domain", {}).get("devices", {}).get("interfaces") or []:
        if interface.get("state") == "absent":
            continue
        if interface["name"] not in networks:
            raise PodNetworkSetupError(f"failed to find network {interface['name']}")
        pairs.append((interface, networks[interface["name"]]))
    return pairs


def _queue_count(vmi: Mapping[str, object], interface: Mapping[str, object]) -> int:
    """One queue a virtual CPU when the VMI asks for multi-queue and the model is virtio; else 0."""
    spec = vmi.get("spec")
    domain = spec.get("domain", {}) if isinstance(spec, dict) else {}
    if not domain.get("devices", {}).get("networkInterfaceMultiqueue") or interface.get("model", "virtio") != "virtio":
        return 0
    cpu = domain.get("cpu") or {}
    return min(_MAX_QUEUES, int(cpu.get("cores", 1)) * int(cpu.get("sockets", 1)) * int(cpu.get("threads", 1)))


def _random_mac() -> str:
    """A random unicast MAC address of the locally administered range."""
    octets = bytearray(secrets.token_bytes(6))
    octets[0] = octets[0] & 0xFC | 0x02
    return ":".join(f"{octet:02x}" for octet in octets)
