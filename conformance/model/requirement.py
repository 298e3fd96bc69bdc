"""Requirements: the atomic, testable statements that a binding is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum

from conformance.model.capability import DERIVED, STRUCTURAL, Capability, CapabilityTerm, unmet
from conformance.model.version import Version


class Level(StrEnum):
    """How binding a requirement is."""

    MUST = "MUST"
    """KubeVirt relies on it, or the Kubernetes or CNI contract demands it."""
    SHOULD = "SHOULD"
    """A design document or a fixed bug says so."""
    MAY = "MAY"
    """Optional behaviour, checked only when declared."""


class Declaration(StrEnum):
    """What a vendor's word changes about a requirement."""

    ALWAYS = "always"
    """Nothing: it holds for every binding its capabilities select."""
    CAPABILITY = "capability"
    """It is a promise made by declaring the capability."""
    OPT_OUT = "optOut"
    """The vendor may declare the behaviour unsupported (``facts.unsupported``)."""
    OPT_IN = "optIn"
    """It is checked only if the vendor declares the behaviour (``facts.supports``)."""


class Seen(StrEnum):
    """Where the behaviour shows."""

    API = "A"
    GUEST = "G"
    NODE = "N"
    LOG = "L"


_NEVER: Mapping[str, frozenset[Capability]] = {
    "tap": frozenset({Capability.ATTACH_MANAGED_TAP, Capability.ATTACH_CORE}),
    "managedTap": frozenset({Capability.ATTACH_TAP, Capability.ATTACH_CORE}),
    "sidecar": frozenset({Capability.ATTACH_TAP, Capability.ATTACH_MANAGED_TAP, Capability.ATTACH_CORE}),
    "core": DERIVED - {Capability.ATTACH_CORE, Capability.MIGRATION},
}
"""What a binding of each kind cannot have."""

CORE = "core"
"""Name of the profile that holds for every binding of an attachment."""


@dataclass(frozen=True)
class Requirement:
    """One statement of the catalogue.

    ``capabilities`` must all hold for the requirement to concern a binding; ``varies_with`` are capabilities that
    change what is expected and are verified with it. ``mutant`` is the fault that a check of it must catch, empty if
    none is known. ``min_kubevirt_for`` raises the first KubeVirt release for bindings with a capability.
    ``sources`` are keys of the catalogue's source table; ``observed`` says what a real cluster did where that
    corrects or sharpens the statement. ``environment`` names what the cluster must be (``hco``), else empty.
    ``feature_gates`` are those of KubeVirt that the behaviour needs, each with the release from which it is always on,
    None while there is no such release.
    """

    id: str
    family: str
    level: Level
    title: str
    sources: tuple[str, ...]
    min_kubevirt: Version
    seen: frozenset[Seen] = frozenset()
    declaration: Declaration = Declaration.ALWAYS
    capabilities: tuple[CapabilityTerm, ...] = ()
    varies_with: frozenset[Capability] = frozenset()
    mutant: str = ""
    min_kubevirt_for: Mapping[Capability, Version] = field(default_factory=dict)
    environment: str = ""
    feature_gates: Mapping[str, Version | None] = field(default_factory=dict)
    observed: str = ""

    @property
    def mentioned(self) -> frozenset[Capability]:
        """Capabilities that a conformant outcome verifies."""
        terms = (term.any_of for term in self.capabilities if not term.negated)
        return self.varies_with.union(*terms)

    @property
    def profiles(self) -> tuple[str, ...]:
        """Profiles that the requirement is part of: ``core`` and names of capabilities, sorted, core first."""
        extended = sorted(capability.value for capability in self.mentioned - STRUCTURAL)
        return ((CORE,) if self.is_core else ()) + tuple(extended)

    @property
    def is_core(self) -> bool:
        """Whether every binding of an attachment is judged by it, whatever behaviour it declares."""
        return all(term.structural for term in self.capabilities)

    @property
    def attachments(self) -> tuple[str, ...]:
        """Kinds of binding concerned, out of ``tap``, ``managedTap``, ``sidecar`` (a sidecar and no attachment) and
        ``core`` (KubeVirt's own)."""
        wanted = [term.any_of for term in self.capabilities if not term.negated]
        return tuple(kind for kind, never in _NEVER.items() if not any(words <= never for words in wanted))

    def missing(self, capabilities: Set[Capability]) -> tuple[str, ...]:
        """Return the terms that a binding with these capabilities does not fulfil, as text; empty if concerned."""
        return unmet(self.capabilities, capabilities)

    def first_kubevirt(self, capabilities: Set[Capability]) -> Version:
        """Return the first release in which the requirement holds for a binding with these capabilities."""
        raised = [version for capability, version in self.min_kubevirt_for.items() if capability in capabilities]
        return max([self.min_kubevirt, *raised])

    def gates(self, version: Version) -> tuple[str, ...]:
        """Return the feature gates that the behaviour needs in a release and that can be off there, sorted."""
        return tuple(sorted(gate for gate, ends in self.feature_gates.items() if ends is None or version < ends))


def profile_capabilities() -> tuple[Capability, ...]:
    """Return the capabilities that have an extended profile, in the order of `Capability`."""
    return tuple(capability for capability in Capability if capability not in STRUCTURAL)


__all__ = ["CORE", "Declaration", "Level", "Requirement", "Seen", "profile_capabilities"]
