"""What a check found: verdicts, measurements and outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from conformance.model.problem import ModelError


class Verdict(StrEnum):
    """The decision on one requirement."""

    CONFORMANT = "conformant"
    NON_CONFORMANT = "non-conformant"
    NOT_DECLARED = "not-declared"
    """The binding does not claim the capability: never a pass."""
    INCONCLUSIVE = "inconclusive"
    """The environment failed, not the binding."""
    SKIPPED = "skipped"
    """Not decided, with a typed reason."""


class SkipReason(StrEnum):
    """Why a requirement was not decided."""

    KUBEVIRT_TOO_OLD = "kubevirt-too-old"
    """The behaviour came with a later KubeVirt release."""
    OTHER_ENVIRONMENT = "other-environment"
    """The requirement is about another kind of cluster (for instance one run by HCO)."""
    GATE_DISABLED = "feature-gate-disabled"
    """The cluster's administrator keeps off a feature gate that the behaviour needs: nobody has seen it here."""
    OUTSIDE_PROFILE = "outside-profile"
    """The run judges another profile."""
    NO_CHECK = "no-check"
    """This version of the suite has no check for it."""
    NOT_SELECTED = "not-selected"
    """The run was limited to other requirements."""
    OTHER_SHARD = "other-shard"
    """Another shard of the run decides it."""
    ENVIRONMENT_LACKS = "environment-lacks"
    """The cluster cannot show the behaviour (no second node, no IPv6, ...)."""
    INTERRUPTED = "interrupted"
    """The run ended before the check."""

    @property
    def excuses(self) -> bool:
        """Whether a MUST with this reason leaves the verdict alone: it does not apply, rather than being unproven."""
        return self in _EXCUSES


_EXCUSES = frozenset(
    {SkipReason.KUBEVIRT_TOO_OLD, SkipReason.OTHER_ENVIRONMENT, SkipReason.OUTSIDE_PROFILE, SkipReason.NO_CHECK}
)


class OutcomeError(ModelError):
    """An outcome that contradicts itself."""


@dataclass(frozen=True)
class Skip:
    """A typed reason and, in words, what it means here."""

    reason: SkipReason
    detail: str


@dataclass(frozen=True)
class Measurement:
    """A measured value: ``name`` says of what, ``unit`` is its unit (``s``, ``B``, ``packets``), ``method`` how."""

    name: str
    value: float
    unit: str
    method: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise OutcomeError(f"measurement {self.name!r} has no finite value: {self.value}")


@dataclass(frozen=True)
class Outcome:
    """The result for one requirement.

    ``seconds`` is the wall time of the check; ``message`` says what was seen and wanted (needed for non-conformant
    and inconclusive); ``evidence`` are paths relative to the report directory, with ``/``; ``skip`` is there exactly
    if the verdict is skipped.
    """

    requirement: str
    verdict: Verdict
    seconds: float = 0.0
    message: str = ""
    skip: Skip | None = None
    evidence: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()

    def __post_init__(self) -> None:
        if (self.verdict is Verdict.SKIPPED) != (self.skip is not None):
            raise OutcomeError(f"{self.requirement}: a reason to skip belongs to the verdict skipped, and only to it")
        if self.verdict in {Verdict.NON_CONFORMANT, Verdict.INCONCLUSIVE} and not self.message:
            raise OutcomeError(f"{self.requirement}: {self.verdict.value} needs a message")
        if not math.isfinite(self.seconds) or self.seconds < 0:
            raise OutcomeError(f"{self.requirement}: {self.seconds} is no duration")
        for path in self.evidence:
            if not _is_inside(path):
                raise OutcomeError(f"{self.requirement}: evidence path {path!r} leaves the report directory")

    @property
    def unproven(self) -> bool:
        """Whether the requirement applies and was not decided, for lack of the environment or by choice."""
        skipped = self.skip is not None and not self.skip.reason.excuses
        return skipped or self.verdict is Verdict.INCONCLUSIVE


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and "\\" not in path


_WORST_FIRST = (
    Verdict.NON_CONFORMANT,
    Verdict.INCONCLUSIVE,
    Verdict.SKIPPED,
    Verdict.CONFORMANT,
    Verdict.NOT_DECLARED,
)


def _rank(outcome: Outcome) -> tuple[int, int]:
    excused = outcome.skip is not None and outcome.skip.reason.excuses
    if excused:
        return (_WORST_FIRST.index(Verdict.NOT_DECLARED), 1)
    return (_WORST_FIRST.index(outcome.verdict), 0)


def merge_outcomes(outcomes: Sequence[Outcome]) -> Outcome:
    """Merge the outcomes of the variants of one requirement: the worst verdict, all seconds, evidence, measurements.

    An excused skip gives way to any decision, an unexcused one outweighs a pass. Messages are joined with a newline,
    repeated ones once.

    Raises:
        OutcomeError: there is no outcome, or they belong to different requirements.
    """
    if not outcomes or len({outcome.requirement for outcome in outcomes}) != 1:
        raise OutcomeError(f"cannot merge outcomes of {sorted({o.requirement for o in outcomes})}")
    worst = min(outcomes, key=_rank)
    relevant = [o.message for o in outcomes if o.message and (o.verdict is worst.verdict)]
    return Outcome(
        requirement=worst.requirement,
        verdict=worst.verdict,
        seconds=math.fsum(o.seconds for o in outcomes),
        message="\n".join(dict.fromkeys(relevant)),
        skip=worst.skip,
        evidence=tuple(dict.fromkeys(path for o in outcomes for path in o.evidence)),
        measurements=tuple(m for o in outcomes for m in o.measurements),
    )
