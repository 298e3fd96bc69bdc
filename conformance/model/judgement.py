"""From outcomes to a verdict on the binding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from conformance.model.capability import Capability
from conformance.model.requirement import CORE, Level, Requirement
from conformance.model.verdict import Outcome, SkipReason, Verdict


class Mode(StrEnum):
    """Where the cluster came from."""

    SANDBOX = "sandbox"
    KIND = "kind"
    KUBECONFIG = "kubeconfig"

    @property
    def certifies(self) -> bool:
        """Whether a run there can count as a certificate: the sandbox is the rehearsal."""
        return self is not Mode.SANDBOX


class Summary(StrEnum):
    """The verdict on the binding as a whole."""

    CONFORMANT = "conformant"
    """Every MUST that applies and that this suite checks was verified."""
    NON_CONFORMANT = "non-conformant"
    """A MUST was violated."""
    INCONCLUSIVE = "inconclusive"
    """No MUST was violated, but the environment kept one from being decided."""
    PARTIAL = "partial"
    """No MUST was violated among those decided, and some were not decided."""


@dataclass(frozen=True)
class Entry:
    """One line of a report: the requirement as the catalogue had it then, and its outcome.

    ``capabilities`` are the terms as written (``mig``, ``!ipam``, ``attach|ipam``), ``verifies`` the capabilities
    that a conformant outcome speaks for, ``profiles`` the profiles it counts in.
    """

    title: str
    level: Level
    family: str
    profiles: tuple[str, ...]
    capabilities: tuple[str, ...]
    verifies: frozenset[Capability]
    sources: tuple[str, ...]
    outcome: Outcome

    @classmethod
    def of(cls, requirement: Requirement, outcome: Outcome) -> Entry:
        """Join a requirement and its outcome.

        Raises:
            ValueError: the outcome is another requirement's.
        """
        if requirement.id != outcome.requirement:
            raise ValueError(f"outcome of {outcome.requirement} does not belong to {requirement.id}")
        return cls(
            title=requirement.title,
            level=requirement.level,
            family=requirement.family,
            profiles=requirement.profiles,
            capabilities=tuple(term.text for term in requirement.capabilities),
            verifies=requirement.mentioned,
            sources=requirement.sources,
            outcome=outcome,
        )

    @property
    def id(self) -> str:
        """The requirement's id."""
        return self.outcome.requirement

    @property
    def verdict(self) -> Verdict:
        """The outcome's verdict."""
        return self.outcome.verdict

    @property
    def is_must(self) -> bool:
        """Whether the binding stands or falls with it."""
        return self.level is Level.MUST


@dataclass(frozen=True)
class ProfileResult:
    """How a binding did in one profile. ``counts`` has every verdict, ``excused`` the skips that do not apply."""

    profile: str
    summary: Summary
    counts: Mapping[Verdict, int]
    excused: int

    @property
    def total(self) -> int:
        """Number of requirements in the profile."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Judgement:
    """The verdict on a binding.

    ``failed_must``, ``undecided_must`` and ``failed_should`` are requirement ids in report order; ``unverified`` are
    capabilities claimed and not shown; ``obstacles`` say in words why this is no certificate, empty if it is one.
    """

    summary: Summary
    failed_must: tuple[str, ...]
    undecided_must: tuple[str, ...]
    failed_should: tuple[str, ...]
    unverified: tuple[Capability, ...]
    obstacles: tuple[str, ...]
    core: ProfileResult
    extended: tuple[ProfileResult, ...]

    @property
    def conformant(self) -> bool:
        """Whether every MUST that applies and that this suite checks was verified."""
        return self.summary is Summary.CONFORMANT

    @property
    def certified(self) -> bool:
        """Whether the report counts as a certificate."""
        return not self.obstacles


def judge(entries: Sequence[Entry], capabilities: Set[Capability], mode: Mode) -> Judgement:
    """Judge a binding with these effective capabilities by the entries of a report.

    A MUST that is non-conformant, inconclusive or skipped means not conformant, unless the skip says that the
    requirement does not apply (`SkipReason.excuses`). SHOULD and MAY failures are listed, not fatal. Certified needs
    more: a cluster that is not the sandbox, every claimed capability verified, and no MUST without a check.
    """
    failed = tuple(entry.id for entry in entries if entry.is_must and entry.verdict is Verdict.NON_CONFORMANT)
    undecided = tuple(entry.id for entry in entries if entry.is_must and entry.outcome.unproven)
    unverified = tuple(item for item in Capability if item in capabilities and not is_verified(item, entries))
    summary = summarise(entries)
    return Judgement(
        summary=summary,
        failed_must=failed,
        undecided_must=undecided,
        failed_should=tuple(
            entry.id for entry in entries if not entry.is_must and entry.verdict is Verdict.NON_CONFORMANT
        ),
        unverified=unverified,
        obstacles=tuple(_obstacles(entries, summary, unverified, mode)),
        core=_profile(CORE, entries),
        extended=tuple(
            _profile(capability.value, entries)
            for capability in Capability
            if capability in capabilities and any(capability.value in entry.profiles for entry in entries)
        ),
    )


def summarise(entries: Iterable[Entry]) -> Summary:
    """Return the verdict that the MUST entries lead to. No decided MUST at all is partial, never conformant."""
    must = [entry for entry in entries if entry.is_must]
    if any(entry.verdict is Verdict.NON_CONFORMANT for entry in must):
        return Summary.NON_CONFORMANT
    if any(entry.verdict is Verdict.INCONCLUSIVE for entry in must):
        return Summary.INCONCLUSIVE
    if any(entry.outcome.unproven for entry in must) or not any(e.verdict is Verdict.CONFORMANT for e in must):
        return Summary.PARTIAL
    return Summary.CONFORMANT


def is_verified(capability: Capability, entries: Iterable[Entry]) -> bool:
    """Tell whether a capability was shown: a requirement that speaks for it is conformant, and no MUST fails."""
    relevant = [entry for entry in entries if capability in entry.verifies]
    broken = any(
        entry.is_must and (entry.verdict is Verdict.NON_CONFORMANT or entry.outcome.unproven) for entry in relevant
    )
    return not broken and any(entry.verdict is Verdict.CONFORMANT for entry in relevant)


def _obstacles(
    entries: Sequence[Entry], summary: Summary, unverified: Sequence[Capability], mode: Mode
) -> Iterable[str]:
    if not mode.certifies:
        yield f"The run was a rehearsal: mode {mode.value} never certifies."
    if summary is not Summary.CONFORMANT:
        yield f"The verdict is {summary.value}."
    if unverified:
        yield "Claimed and not verified: " + ", ".join(capability.value for capability in unverified) + "."
    for reason, text in _LIMITS.items():
        ids = [e.id for e in entries if e.is_must and e.outcome.skip is not None and e.outcome.skip.reason is reason]
        if ids:
            yield f"{text}: {', '.join(ids)}."


_LIMITS = {
    SkipReason.NO_CHECK: "This version of the suite has no check for the MUST requirements",
    SkipReason.OUTSIDE_PROFILE: "The chosen profile leaves out the MUST requirements",
}


def _profile(name: str, entries: Sequence[Entry]) -> ProfileResult:
    members = [entry for entry in entries if name in entry.profiles]
    counts = Counter(entry.verdict for entry in members)
    excused = sum(1 for e in members if e.outcome.skip is not None and e.outcome.skip.reason.excuses)
    return ProfileResult(name, _profile_summary(members), {verdict: counts[verdict] for verdict in Verdict}, excused)


def _profile_summary(members: Sequence[Entry]) -> Summary:
    """A profile without a single MUST (some capabilities have only SHOULD) is judged by what it has."""
    if any(entry.is_must for entry in members):
        return summarise(members)
    if any(entry.verdict is Verdict.CONFORMANT for entry in members):
        return Summary.CONFORMANT
    return Summary.PARTIAL
