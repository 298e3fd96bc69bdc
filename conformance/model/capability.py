"""What a binding can do, and expressions over it that say whom a requirement concerns."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass
from enum import StrEnum

from conformance.model.problem import ModelError


class Capability(StrEnum):
    """One ability of a binding.

    Abilities that follow from the registration (`DERIVED`) are found there and not declared; all others are the
    vendor's word, and what is declared is verified.
    """

    POD = "pod"
    SECONDARY = "sec"
    ATTACH_TAP = "attach:tap"
    ATTACH_MANAGED_TAP = "attach:managedTap"
    ATTACH_CORE = "attach:core"
    PLUGIN = "plugin"
    SIDECAR = "sidecar"
    CNI = "cni"
    L2 = "l2"
    DEVICE_INFO = "devinfo"
    IPAM = "ipam"
    NAT = "nat"
    POD_IP = "podip"
    ICMP = "icmp"
    IPV6 = "v6"
    PORTS = "ports"
    MIGRATION = "mig"
    REFRESH = "refresh"
    STICKY = "sticky"
    LINK = "link"
    MULTIQUEUE = "mq"
    OVERHEAD = "ovh"
    POLICY = "policy"
    SERVICE = "svc"

    @property
    def description(self) -> str:
        """What the capability means, one sentence for a vendor."""
        return DESCRIPTIONS[self]


DESCRIPTIONS: dict[Capability, str] = {
    Capability.POD: "Connects an interface to the pod network.",
    Capability.SECONDARY: "Connects an interface to a secondary (Multus) network.",
    Capability.ATTACH_TAP: "Registered with domainAttachmentType tap: KubeVirt attaches an existing tap or macvtap.",
    Capability.ATTACH_MANAGED_TAP: "Registered with domainAttachmentType managedTap: KubeVirt bridges a tap to the pod "
    "interface.",
    Capability.ATTACH_CORE: "A core binding (masquerade, bridge) for which KubeVirt makes the tap and the interface.",
    Capability.PLUGIN: "Registered with KubeVirt as a network binding plugin.",
    Capability.SIDECAR: "Registered with a sidecarImage that serves KubeVirt's hook API.",
    Capability.CNI: "Registered with a networkAttachmentDefinition that runs a binding CNI plugin.",
    Capability.L2: "The guest's own frames, with the guest's MAC address, reach the network.",
    Capability.DEVICE_INFO: "Registered with downwardAPI device-info: the sidecar reads /etc/podinfo/network-info.",
    Capability.IPAM: "The guest gets its address by DHCP, from the binding or from the network provider.",
    Capability.NAT: "The guest's address may differ from the pod's; the binding translates.",
    Capability.POD_IP: "The guest holds the address of the pod.",
    Capability.ICMP: "The guest can be pinged and can ping.",
    Capability.IPV6: "The guest gets a global IPv6 address.",
    Capability.PORTS: "The binding forwards exactly the ports listed on the interface, and all if none is listed.",
    Capability.MIGRATION: "Registered with migration: a VM that uses the binding can be live-migrated.",
    Capability.REFRESH: "Registered with migration method link-refresh: the guest sees its link flap after migration.",
    Capability.STICKY: "The network keeps the VM's address over a live migration.",
    Capability.LINK: "The interface's state (up, down) reaches the guest as carrier.",
    Capability.MULTIQUEUE: "networkInterfaceMultiqueue gives the guest one queue pair per vCPU.",
    Capability.OVERHEAD: "Registered with computeResourceOverhead: memory added to the compute container.",
    Capability.POLICY: "NetworkPolicy is enforced on the VM's traffic.",
    Capability.SERVICE: "Services reach the VM and the VM reaches Services.",
}

DERIVED: frozenset[Capability] = frozenset(
    {
        Capability.ATTACH_TAP,
        Capability.ATTACH_MANAGED_TAP,
        Capability.ATTACH_CORE,
        Capability.PLUGIN,
        Capability.SIDECAR,
        Capability.CNI,
        Capability.DEVICE_INFO,
        Capability.OVERHEAD,
        Capability.MIGRATION,
        Capability.REFRESH,
    }
)
"""Capabilities read from the registration, or from which core binding it is. `Capability.L2` follows from an attachment
and may be declared besides."""

PROMISES: frozenset[Capability] = frozenset({Capability.MIGRATION, Capability.REFRESH})
"""Derived capabilities that may also be declared, so that a registration that lacks them is a fault, not a change of
what is expected."""

STRUCTURAL: frozenset[Capability] = frozenset(
    {
        Capability.POD,
        Capability.SECONDARY,
        Capability.ATTACH_TAP,
        Capability.ATTACH_MANAGED_TAP,
        Capability.ATTACH_CORE,
        Capability.PLUGIN,
        Capability.SIDECAR,
        Capability.CNI,
        Capability.L2,
    }
)
"""Capabilities that say what kind of binding it is: their requirements make up the core profile. Every other
capability has an extended profile of its own."""

GROUPS: dict[str, frozenset[Capability]] = {
    "attach": frozenset({Capability.ATTACH_TAP, Capability.ATTACH_MANAGED_TAP, Capability.ATTACH_CORE}),
}
"""Short names for alternatives, usable in a term like a capability."""


class CapabilityExpressionError(ModelError):
    """A term that names no capability."""

    def __init__(self, term: str, unknown: str) -> None:
        self.term = term
        self.unknown = unknown
        super().__init__(f"capability term {term!r}: {unknown!r} is no capability")


@dataclass(frozen=True)
class CapabilityTerm:
    """One condition on a binding: it has one of ``any_of``, or, if ``negated``, none of them.

    Written ``mig``, ``!mig``, ``attach`` (any attachment by KubeVirt) or ``attach|ipam``.
    """

    text: str
    any_of: frozenset[Capability]
    negated: bool

    @classmethod
    def parse(cls, text: str) -> CapabilityTerm:
        """Read a term.

        Raises:
            CapabilityExpressionError: a word of the term is neither a capability nor a group.
        """
        negated = text.startswith("!")
        found: set[Capability] = set()
        for word in text.removeprefix("!").split("|"):
            if word in GROUPS:
                found |= GROUPS[word]
            elif word in DESCRIPTIONS:
                found.add(Capability(word))
            else:
                raise CapabilityExpressionError(text, word)
        return cls(text, frozenset(found), negated)

    def holds(self, capabilities: Set[Capability]) -> bool:
        """Tell whether a binding with these capabilities fulfils the term."""
        return bool(self.any_of & capabilities) != self.negated

    @property
    def structural(self) -> bool:
        """Whether the term alone leaves a requirement in the core profile."""
        return self.negated or bool(self.any_of & STRUCTURAL)


def unmet(terms: Collection[CapabilityTerm], capabilities: Set[Capability]) -> tuple[str, ...]:
    """Return the text of the terms that do not hold for a binding with these capabilities, in order."""
    return tuple(term.text for term in terms if not term.holds(capabilities))
