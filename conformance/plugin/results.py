"""The outcomes of a run, gathered into the report of every requirement of the catalogue."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from conformance.catalogue import Selected, select
from conformance.model import (
    Binding,
    BindingSummary,
    Entry,
    Mode,
    Outcome,
    Report,
    Skip,
    SkipReason,
    Summary,
    UpstreamSuite,
    Verdict,
    merge_outcomes,
)
from conformance.plugin.run import Handoff
from conformance.plugin.settings import Settings
from conformance.report.merge import SHARD
from conformance.site import load_site

DISTRIBUTION = "kubevirt-binding-conformance"


@dataclass(frozen=True)
class Finished:
    """One item that ran: when it started (seconds since the epoch) and what came out."""

    nodeid: str
    worker: str
    started: float
    outcome: Outcome


class Results:
    """Gathers the outcomes of one run; outcomes of variants of one requirement are merged, the worst counts.

    ``elsewhere`` are the requirements that other shards decide; ``upstream`` is what KubeVirt's own suite found.
    """

    def __init__(self, binding: Binding, handoff: Handoff, settings: Settings) -> None:
        self._binding, self._handoff, self._settings = binding, handoff, settings
        site = load_site(Path(handoff.site) if handoff.site else None)
        self._disabled_gates = dict.fromkeys(site.disabled_feature_gates, handoff.site)
        self._started = datetime.now(UTC)
        self.finished: list[Finished] = []
        self.elsewhere: frozenset[str] = frozenset()
        self.upstream: UpstreamSuite | None = None

    def applicable(self) -> frozenset[str]:
        """The requirements a check has to decide."""
        return frozenset(selected.requirement.id for selected in self._select(None) if selected.applicable)

    def add(self, finished: Finished) -> None:
        self.finished.append(finished)

    def report(self, checks: Collection[str]) -> Report:
        """The report of everything so far. ``checks`` are the requirements the suite has a check for."""
        entries = tuple(Entry.of(s.requirement, self._outcome(s)) for s in self._select(checks))
        return Report(
            binding=BindingSummary.of(self._binding),
            implementation=self._binding.implementation,
            suite_version=suite_version(),
            date=self._started,
            seconds=(datetime.now(UTC) - self._started).total_seconds(),
            mode=Mode(self._handoff.mode),
            kubevirt_version=self._handoff.kubevirt,
            kubernetes_version=self._handoff.kubernetes,
            entries=entries,
            upstream=self.upstream,
            environment={
                "nodes": ", ".join(self._handoff.nodes),
                "timeout factor": f"{self._handoff.timeout_factor:g}",
                **({SHARD: str(self._settings.shard)} if self._settings.shard else {}),
                **({"site": self._handoff.site_name} if self._handoff.site_name else {}),
                **({"disabled feature gates": ", ".join(self._disabled_gates)} if self._disabled_gates else {}),
            },
        )

    def write_timeline(self, directory: Path) -> None:
        """``timeline.json``, one object per item by start: requirement, item, worker, start, seconds, verdict."""
        lines = [
            {
                "requirement": item.outcome.requirement,
                "item": item.nodeid,
                "worker": item.worker,
                "start": datetime.fromtimestamp(item.started, UTC).isoformat(),
                "seconds": round(item.outcome.seconds, 3),
                "verdict": item.outcome.verdict.value,
            }
            for item in sorted(self.finished, key=lambda item: item.started)
        ]
        (directory / "timeline.json").write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")

    def _select(self, checks: Collection[str] | None) -> tuple[Selected, ...]:
        ids = self._settings.requirements or None
        environment = ("hco",) if self._handoff.hco else ()
        return select(
            self._binding,
            self._handoff.kubevirt,
            self._settings.profile,
            ids,
            checked=checks,
            environment=environment,
            disabled_gates=self._disabled_gates,
        )

    def _outcome(self, selected: Selected) -> Outcome:
        requirement = selected.requirement.id
        found = [item.outcome for item in self.finished if item.outcome.requirement == requirement]
        if found:
            return merge_outcomes(found)
        if not selected.applicable:
            return selected.outcome()
        if requirement in self.elsewhere:
            skip = Skip(SkipReason.OTHER_SHARD, f"this was shard {self._settings.shard}; another one decides it")
            return Outcome(requirement, Verdict.SKIPPED, message=skip.detail, skip=skip)
        skip = Skip(SkipReason.INTERRUPTED, "the run ended before its check, or the check was deselected")
        return Outcome(requirement, Verdict.SKIPPED, message=skip.detail, skip=skip)


def exit_status(report: Report) -> int:
    """0 conformant, 1 not conformant, 3 undecided.

    A run that was limited to a part by the user ends with 0 when everything in that part was decided and holds: its
    report still says ``partial``.
    """
    summary = report.judgement.summary
    if summary is Summary.NON_CONFORMANT:
        return 1
    if summary is Summary.CONFORMANT:
        return 0
    chosen = {SkipReason.NOT_SELECTED, SkipReason.OUTSIDE_PROFILE, SkipReason.OTHER_SHARD}
    outcomes = [entry.outcome for entry in report.entries]
    undecided = any(o.unproven and not (o.skip and o.skip.reason in chosen) for o in outcomes)
    decided = any(o.verdict in (Verdict.CONFORMANT, Verdict.NON_CONFORMANT) for o in outcomes)
    # a shard may have nothing to do, when there are more of them than groups of checks
    idle = any(o.skip and o.skip.reason is SkipReason.OTHER_SHARD for o in outcomes)
    return 0 if (decided or idle) and not undecided else 3


def suite_version() -> str:
    """The version of this distribution, or ``0+unknown`` when it runs from a tree that is not installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0+unknown"
