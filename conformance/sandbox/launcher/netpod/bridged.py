"""managedTap and core bridge: the guest takes the place of the pod interface on the pod's network.

For pod interface P: a bridge k6t-<P> takes P (renamed P-nic, without addresses, not learning) and a tap; a stand-in
called P keeps P's MAC, MTU and addresses, so that whoever inspects the pod still finds them. KubeVirt's stand-in is a
dummy link. Kernels without that driver are common, so here it is a bridge without ports: like KubeVirt's it is never
set up, sends nothing and answers nothing. Its IPv4 address is local to the namespace all the same (as it is on a
dummy), hence arp_ignore=1, as KubeVirt sets (for managedTap from 1.5): no ARP answer for it on any other link.

Core bridge is the same and one thing more: KubeVirt tells the guest P's IPv4 address by its own DHCP, from a made-up
address on the bridge. A pod interface without an IPv4 address gets none ("IPAM disabled").
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

from conformance.sandbox.launcher.dhcp import Lease, Route, options_of
from conformance.sandbox.launcher.errors import PodNetworkSetupError
from conformance.sandbox.launcher.netpod.namespace import Namespace, tap_commands
from conformance.sandbox.launcher.netpod.plan import Plan
from conformance.sandbox.launcher.podinterfaces import PodInterface, bridge_name, enslaved_name

_SERVER = "169.254.75.1{index}"
"""KubeVirt's DHCP answers a bridge's guest from here; the index is that of the interface in the VMI."""


async def plumb_managed_tap(namespace: Namespace, plan: Plan) -> PodInterface:
    """Bridge, tap and stand-in; nothing tells the guest an address."""
    await _plumb(namespace, plan, arp_ignore=plan.managed_tap_arp_ignore)
    return plan.record


async def plumb_bridge(namespace: Namespace, plan: Plan) -> PodInterface:
    """Bridge, tap and stand-in, and the lease for the guest if the pod interface has an IPv4 address."""
    address = plan.link.of_version(4)
    # The pod loses its routes together with its address: they are read first.
    routes = [] if address is None else await namespace.routes(plan.link.name)
    await _plumb(namespace, plan, arp_ignore=True)
    if address is None:
        return plan.record
    server, bridge = _SERVER.format(index=plan.index), bridge_name(plan.link.name)
    await namespace.ip(f"address add {server}/32 dev {bridge}")
    return replace(plan.record, lease=_lease(plan, address, server, routes))


def _lease(plan: Plan, address: str, server: str, routes: Sequence[Mapping[str, object]]) -> Lease:
    if not routes:
        raise PodNetworkSetupError(f"no gateway address found in routes for {plan.link.name}")
    gateway = routes[0].get("gateway")
    return Lease(
        interface=bridge_name(plan.link.name),
        mtu=plan.link.mtu,
        subdomain=plan.subdomain,
        mac=str(plan.interface.get("macAddress") or plan.link.mac),
        address=address,
        server=server,
        router=str(gateway) if gateway else None,
        routes=_classless(routes, address.partition("/")[0]) if len(routes) > 1 else (),
        options=options_of(plan.interface),
    )


def _classless(routes: Sequence[Mapping[str, object]], own: str) -> tuple[Route, ...]:
    """The routes the guest is told: those of the pod, but for the one its own address brings."""
    return tuple(
        Route(str(route["dst"]), str(route["gateway"]) if route.get("gateway") else None)
        for route in routes
        if route.get("gateway") or route.get("prefsrc") != own
    )


async def _plumb(namespace: Namespace, plan: Plan, *, arp_ignore: bool) -> None:
    link, record = plan.link, plan.record
    pod, nic, bridge, tap = link.name, enslaved_name(link.name), bridge_name(link.name), str(record.target)
    mac = _random_mac()
    await namespace.ip(
        f"link add name {bridge} address {mac} type bridge forward_delay 0 stp_state 0",
        f"link set dev {pod} down",
        f"address flush dev {pod}",
        f"link set dev {pod} name {nic} address {mac}",
        f"link set dev {nic} master {bridge}",
        f"link set dev {nic} type bridge_slave learning off",
        *tap_commands(tap, record.queues, link.mtu, bridge),
        f"link add name {pod} address {link.mac} type bridge",
        f"link set dev {pod} mtu {link.mtu}",
        *(f"address add {address} dev {pod}" for address in link.addresses),
    )
    settings = [f"net.ipv6.conf.{nic}.disable_ipv6=1"]
    if arp_ignore and link.of_version(4) is not None:
        settings.append("net.ipv4.conf.all.arp_ignore=1")
    await namespace.sysctl(settings)
    await namespace.ip(*(f"link set dev {name} up" for name in (bridge, nic, tap)))


def _random_mac() -> str:
    """A random unicast MAC address of the locally administered range."""
    octets = bytearray(secrets.token_bytes(6))
    octets[0] = octets[0] & 0xFC | 0x02
    return ":".join(f"{octet:02x}" for octet in octets)
