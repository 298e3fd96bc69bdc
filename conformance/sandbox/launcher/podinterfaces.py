"""What the network set-up of a pod leaves for the rest of the launcher: one record a VMI interface, and their names."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from conformance.sandbox.launcher.dhcp import Lease

PRIMARY_POD_INTERFACE = "eth0"
PRIMARY_TAP = "tap0"
_ORDINAL: Final = re.compile(r"net[0-9]+")

Attachment = Literal["tap", "managedTap", "bridge", "masquerade", "passt", "none"]
"""What core does for the interface: take a link as it is, plumb a tap itself, its own bindings, or nothing.

The core bindings are bridge, masquerade and passt (`passtBinding`); with "none" all is left to a sidecar.
"""


@dataclass(frozen=True)
class PodInterface:
    """One VMI interface and the pod interface it stands on.

    `exists` says whether the pod has that interface; then `mac` and `mtu` (bytes) are its own before any plumbing and
    `addresses` its first global IPv4 and IPv6 address, without prefix length, which is what VMI status shows.
    `target` is the link QEMU attaches to, None when there is none. `queues` is 0 without multi-queue. `lease` is what
    KubeVirt's own DHCP tells the guest; only core bridge and masquerade have one.
    """

    name: str
    pod_interface: str
    attachment: Attachment
    exists: bool = False
    mac: str | None = None
    mtu: int | None = None
    addresses: tuple[str, ...] = ()
    target: str | None = None
    queues: int = 0
    lease: Lease | None = None


@dataclass(frozen=True)
class PodInterfaces:
    """The interfaces of one VMI by name, in the order of its spec."""

    by_name: Mapping[str, PodInterface]

    def __iter__(self) -> Iterator[PodInterface]:
        return iter(self.by_name.values())

    def __getitem__(self, name: str) -> PodInterface:
        return self.by_name[name]

    def get(self, name: str) -> PodInterface | None:
        """The record of one interface, None for an unknown name."""
        return self.by_name.get(name)


def is_secondary(network: Mapping[str, object]) -> bool:
    """Whether a VMI network is a Multus network that is not the pod's default."""
    multus = network.get("multus")
    return isinstance(multus, dict) and not multus.get("default")


def pod_interface_name(network: Mapping[str, object]) -> str:
    """The pod interface of a VMI network: eth0, or `pod` and 11 digits of a hash of the network's name."""
    if not is_secondary(network):
        return PRIMARY_POD_INTERFACE
    return "pod" + hashlib.sha256(str(network["name"]).encode()).hexdigest()[:11]


def has_ordinal_name(present: Iterable[str]) -> bool:
    """Whether an interface is called `net<digits>`, as all secondary ones were before KubeVirt hashed their names."""
    return any(_ORDINAL.fullmatch(name) for name in present)


def pod_interface_names(networks: Iterable[Mapping[str, object]], present: Iterable[str]) -> dict[str, str]:
    """The pod interface of each VMI network, by the network's name, in a pod with the interfaces `present`.

    One interface called `net<digits>` is enough to take the pod for one of the older naming scheme: then the secondary
    networks are expected at `net1`, `net2` and so on, in the order of the spec (KubeVirt `pkg/network/namescheme`).
    """
    ordinal, names, position = has_ordinal_name(present), {}, 0
    for network in networks:
        position += is_secondary(network)
        old = ordinal and is_secondary(network)
        names[str(network["name"])] = f"net{position}" if old else pod_interface_name(network)
    return names


def tap_name(network: Mapping[str, object], pod_interface: str) -> str:
    """The tap of a VMI network: tap0, or `tap` and the pod interface's name without its first three letters."""
    return "tap" + pod_interface[3:] if is_secondary(network) else PRIMARY_TAP


def bridge_name(pod_interface: str) -> str:
    """The in-pod bridge of a pod interface: k6t-eth0, k6t-<11 digits>."""
    return "k6t-" + pod_interface.removeprefix("pod")


def enslaved_name(pod_interface: str) -> str:
    """What the pod interface is renamed to when the bridge takes it: eth0-nic, <11 digits>-nic."""
    return pod_interface.removeprefix("pod") + "-nic"
