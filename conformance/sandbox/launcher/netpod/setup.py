"""Going over the interfaces of a VMI: find each one's pod interface, then plumb it the way its binding asks for."""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from conformance.sandbox.launcher.errors import PodNetworkSetupError
from conformance.sandbox.launcher.netpod import bridged, masquerade, passt
from conformance.sandbox.launcher.netpod.namespace import Link, Namespace
from conformance.sandbox.launcher.netpod.plan import Plan
from conformance.sandbox.launcher.netpod.vmi import (
    Interface,
    Network,
    Registrations,
    attachment_of,
    interfaces_with_networks,
    queue_count,
    subdomain_of,
)
from conformance.sandbox.launcher.podinterfaces import (
    Attachment,
    PodInterface,
    PodInterfaces,
    pod_interface_name,
    pod_interface_names,
    tap_name,
)
from conformance.sandbox.launcher.protocols import NodeLike

_PLUMBERS: Final[Mapping[Attachment, Callable[[Namespace, Plan], Awaitable[PodInterface]]]] = {
    "managedTap": bridged.plumb_managed_tap,
    "bridge": bridged.plumb_bridge,
    "masquerade": masquerade.plumb,
    "passt": passt.plumb,
}
"""The attachments for which core changes the pod; each returns the record with what it made of it."""


async def setup_pod_network(
    node: NodeLike,
    netns: str,
    vmi: Mapping[str, object],
    registrations: Registrations,
    *,
    managed_tap_arp_ignore: bool = True,
) -> PodInterfaces:
    """Prepare the pod's network for the VMI's interfaces and say what was found.

    `registrations` is `KubeVirt.spec.configuration.network.binding`; a binding that is not in it is left alone, as is
    one without an attachment. `managed_tap_arp_ignore`: whether a pod keeps quiet about its guest's address, as since
    1.5. Raises PodNetworkSetupError with KubeVirt's text, for instance `pod link (eth0) is missing`. It must run once
    per pod: the addresses are read before the plumbing takes them from the pod interface.
    """
    namespace = Namespace(node, netns)
    links = await namespace.links()
    found: dict[str, PodInterface] = {}
    pairs = interfaces_with_networks(vmi)
    names = pod_interface_names([network for _, network in pairs], links)
    for index, (interface, network) in enumerate(pairs):
        expected = names[str(network["name"])]
        record = _discover(interface, network, expected, registrations, links, queue_count(vmi, interface))
        plumb = _PLUMBERS.get(record.attachment)
        if plumb is not None:
            if not record.exists:
                raise PodNetworkSetupError(f"pod link ({record.pod_interface}) is missing")
            link = links[record.pod_interface]
            plan = Plan(record, link, interface, network, index, subdomain_of(vmi), managed_tap_arp_ignore)
            record = await plumb(namespace, plan)
        found[record.name] = record
    return PodInterfaces(found)


def _discover(
    interface: Interface,
    network: Network,
    expected: str,
    registrations: Registrations,
    links: Mapping[str, Link],
    queues: int,
) -> PodInterface:
    attachment = attachment_of(interface, registrations)
    hashed = pod_interface_name(network)
    pod_interface = hashed if attachment == "tap" and hashed in links else expected
    tap = tap_name(network, pod_interface)
    record = PodInterface(str(interface["name"]), pod_interface, attachment, queues=queues)
    if attachment == "tap":
        record = replace(record, target=tap if tap in links else pod_interface)
    elif record.attachment in ("managedTap", "bridge", "masquerade"):
        record = replace(record, target=tap)
    link = links.get(pod_interface)
    if link is None:
        return record
    addresses = _first_of_each_family(link.addresses)
    return replace(record, exists=True, mac=link.mac, mtu=link.mtu, addresses=addresses)


def _first_of_each_family(addresses: Sequence[str]) -> tuple[str, ...]:
    first: dict[int, str] = {}
    for address in addresses:
        parsed = ipaddress.ip_interface(address)
        first.setdefault(parsed.version, str(parsed.ip))
    return tuple(first[version] for version in sorted(first))
