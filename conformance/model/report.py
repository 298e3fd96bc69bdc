"""A conformance report: which binding, on which cluster, with which outcome for every requirement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from conformance.model.binding import Binding, Implementation
from conformance.model.capability import Capability
from conformance.model.judgement import Entry, Judgement, Mode, judge
from conformance.model.problem import ModelError
from conformance.model.upstream import UpstreamSuite
from conformance.model.verdict import Verdict


class ReportError(ModelError):
    """A report that contradicts itself."""


@dataclass(frozen=True)
class BindingSummary:
    """The binding as the report names it. ``digest`` is `Binding.digest`; ``mutant`` is empty for a sound binding."""

    name: str
    digest: str
    attachment: str
    declared: frozenset[Capability]
    capabilities: frozenset[Capability]
    mutant: str = ""

    @classmethod
    def of(cls, binding: Binding) -> BindingSummary:
        """Summarise a binding."""
        return cls(
            name=binding.name,
            digest=binding.digest,
            attachment=binding.attachment,
            declared=binding.declared,
            capabilities=binding.capabilities,
            mutant=binding.mutant.name if binding.mutant else "",
        )


@dataclass(frozen=True)
class Report:
    """One run of the suite for one binding.

    ``date`` is its start, with time zone; ``seconds`` its wall time. Versions are as the cluster tells them, empty if
    it could not be asked. ``environment`` are further facts by name (nodes, CNI, emulation, ...). ``entries`` holds
    every requirement of the catalogue once, in catalogue order. ``upstream`` is KubeVirt's own conformance suite, where
    it was asked for; it does not count for the verdict.
    """

    binding: BindingSummary
    implementation: Implementation
    suite_version: str
    date: datetime
    seconds: float
    mode: Mode
    kubevirt_version: str
    kubernetes_version: str
    entries: tuple[Entry, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    upstream: UpstreamSuite | None = None

    def __post_init__(self) -> None:
        if self.date.tzinfo is None:
            raise ReportError("the date of a report needs a time zone")
        ids = [entry.id for entry in self.entries]
        doubled = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if doubled:
            raise ReportError(f"requirements with more than one entry: {', '.join(doubled)}")

    @cached_property
    def judgement(self) -> Judgement:
        """The verdict that the entries lead to."""
        return judge(self.entries, self.binding.capabilities, self.mode)

    def count(self, verdict: Verdict) -> int:
        """Return the number of entries with a verdict."""
        return sum(1 for entry in self.entries if entry.verdict is verdict)
