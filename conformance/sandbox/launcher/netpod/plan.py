"""What is to be plumbed: one VMI interface, its network, and the pod interface it stands on."""

from dataclasses import dataclass

from conformance.sandbox.launcher.netpod.namespace import Link
from conformance.sandbox.launcher.netpod.vmi import Interface, Network
from conformance.sandbox.launcher.podinterfaces import PodInterface


@dataclass(frozen=True)
class Plan:
    """`link` is the pod interface before any plumbing, `index` the position of the interface in the VMI."""

    record: PodInterface
    link: Link
    interface: Interface
    network: Network
    index: int
    subdomain: str
    managed_tap_arp_ignore: bool = True
