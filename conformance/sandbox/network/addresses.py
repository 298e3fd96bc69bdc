"""The addresses of the pods of a network that all nodes share: one for every pod, and the same for all pods of a VM."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from conformance.sandbox.network.pods import PodRef

ROUTED: Final = "routed"
STICKY: Final = "sticky"

# Apart from what the nodes' own pod networks are, which have routes of their own.
NETWORK: Final = IPv4Network("10.244.128.0/17")
NETWORK6: Final = IPv6Network("fd00:10:244::/64")
_FIRST, _LAST = 2, NETWORK.num_addresses - 0x101
"""What is lent out: the first is the gateway's, the last 256 are the nodes' own."""


@dataclass(frozen=True)
class PodAddress:
    """Number ``number`` of the network, in both families, and the MAC address that goes with it."""

    number: int

    @property
    def ipv4(self) -> str:
        return str(NETWORK[self.number])

    @property
    def ipv6(self) -> str:
        return str(NETWORK6[self.number])

    @property
    def interfaces(self) -> tuple[str, str]:
        """Both with their prefix lengths, as CNI wants them."""
        return f"{self.ipv4}/{NETWORK.prefixlen}", f"{self.ipv6}/{NETWORK6.prefixlen}"

    @property
    def mac(self) -> str:
        """Told from the IPv4 address, so that a VM's next pod has it too."""
        return "0a:58:" + NETWORK[self.number].packed.hex(":")


GATEWAY: Final = PodAddress(1)
"""The gateway of all pods, which every node is."""


def own_address(index: int) -> PodAddress:
    """That of node number ``index`` itself on the network."""
    return PodAddress(_LAST + index)


@dataclass(frozen=True)
class Holder:
    """A pod on a node."""

    node: str
    uid: str


@dataclass
class Claim:
    """An address and the pods that have it, the one whose frames count first."""

    address: PodAddress
    holders: list[Holder] = field(default_factory=list)


class NoAddressLeftError(Exception):
    """The network is full."""


class Addresses:
    """Who has which address. A VM keeps its claim when it has no pod: it finds its addresses again after a restart."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, ...], Claim] = {}
        self._next = _FIRST

    def claim(self, pod: PodRef, machine: str) -> Claim:
        """The claim of a pod: of its own, or with a name in ``machine`` that of this VM of its namespace.

        Raises NoAddressLeftError.
        """
        owner = ("vm", pod.namespace, machine) if machine else ("pod", pod.uid)
        if owner not in self._claims:
            self._claims[owner] = Claim(self._free())
        return self._claims[owner]

    def of(self, uid: str) -> Claim | None:
        """The claim that the pod with this UID has a hold of."""
        held = (claim for claim in self._claims.values() if any(holder.uid == uid for holder in claim.holders))
        return next(held, None)

    def release(self, uid: str) -> None:
        """Let go of a pod's hold, and of its claim if it is a pod's own."""
        for owner, claim in list(self._claims.items()):
            claim.holders = [holder for holder in claim.holders if holder.uid != uid]
            if owner == ("pod", uid):
                del self._claims[owner]

    def _free(self) -> PodAddress:
        taken = {claim.address.number for claim in self._claims.values()}
        for _attempt in range(_FIRST, _LAST):
            candidate, self._next = self._next, self._next + 1 if self._next + 1 < _LAST else _FIRST
            if candidate not in taken:
                return PodAddress(candidate)
        raise NoAddressLeftError(f"no address of {NETWORK} is left")
