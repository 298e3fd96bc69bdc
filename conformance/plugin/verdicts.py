"""From what happened to a pytest item to the outcome of its requirement.

| what happened | verdict |
|---|---|
| the check returned, and so did its fixtures | conformant |
| it raised AssertionError or NonConformant, or called ``pytest.fail`` | non-conformant |
| it could not reach the guest over the network under test | non-conformant |
| any of these, and client pods, which have nothing of the binding, do not reach each other | inconclusive |
| it raised anything else (an EnvironmentFault, or an error of the check itself) | inconclusive |
| a fixture failed before the check: a precondition does not hold | inconclusive |
| a fixture failed after the check | inconclusive, unless the check found the binding at fault |
| ``pytest.skip`` | skipped, the environment cannot show the behaviour |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from conformance.guest.shell import GuestUnreachable, HostKeyMismatch
from conformance.kube.outcome import EnvironmentFault, NonConformant
from conformance.kube.portforward import DialFailed
from conformance.model import Measurement, Outcome, Skip, SkipReason, Verdict, merge_outcomes

_BY_NETWORK = (GuestUnreachable, HostKeyMismatch, DialFailed)
_AT_FAULT = (AssertionError, NonConformant, *_BY_NETWORK)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, or the one that is none."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def is_fault_of_binding(error: BaseException) -> bool:
    """Whether an exception of a check's body says that the binding is at fault.

    An EnvironmentFault never does, whatever else it is; in a group one accusing exception is enough.
    """
    return any(_accuses(leaf) for leaf in leaves(error))


def _accuses(error: BaseException) -> bool:
    if isinstance(error, pytest.fail.Exception):
        return not str(error).startswith("Timeout")  # pytest-timeout's last resort says nothing about the binding
    return isinstance(error, _AT_FAULT) and not isinstance(error, EnvironmentFault)


def message_of(error: BaseException, when: str) -> str:
    """The text of the report: what was seen and wanted, without a traceback."""
    texts = []
    for leaf in leaves(error):
        text = str(leaf).strip()
        bare = isinstance(leaf, AssertionError | NonConformant | EnvironmentFault) and text
        texts.append(text if bare else f"{type(leaf).__name__}: {text}")
    prefix = {"setup": "a precondition of the check does not hold: ", "teardown": "cleaning up after the check: "}
    return prefix.get(when, "") + "\n".join(texts)


@dataclass
class ItemRecord:
    """What is gathered about one item over its phases."""

    requirement: str
    started: float = 0.0
    seconds: float = 0.0
    parts: list[Outcome] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    def add(self, when: str, call: pytest.CallInfo[None], alibi: Callable[[], str] = str) -> None:
        """Take in one phase. ``alibi`` is asked before the binding is accused: what it says is the cause instead."""
        self.seconds += call.duration
        self.started = self.started or call.start
        error = call.excinfo.value if call.excinfo is not None else None
        if error is None:
            if when == "call":
                self.parts.append(Outcome(self.requirement, Verdict.CONFORMANT))
        elif isinstance(error, pytest.skip.Exception):
            text = error.msg or "skipped"
            self.parts.append(Outcome(self.requirement, Verdict.SKIPPED, message=text, skip=_lacking(text)))
        elif not isinstance(error, Exception | pytest.fail.Exception):
            skip = Skip(SkipReason.INTERRUPTED, "the run ended during the check")
            self.parts.append(Outcome(self.requirement, Verdict.SKIPPED, message=skip.detail, skip=skip))
        else:
            message = message_of(error, when) or repr(error)
            at_fault = when == "call" and is_fault_of_binding(error)
            if at_fault and (cause := alibi()):
                at_fault, message = False, f"{message}\nbut {cause}"
            verdict = Verdict.NON_CONFORMANT if at_fault else Verdict.INCONCLUSIVE
            self.parts.append(Outcome(self.requirement, verdict, message=message))

    def outcome(self) -> Outcome:
        """The outcome of the item."""
        merged = merge_outcomes(self.parts)
        return Outcome(
            requirement=self.requirement,
            verdict=merged.verdict,
            seconds=self.seconds,
            message=merged.message,
            skip=merged.skip,
            evidence=tuple(dict.fromkeys(self.evidence)),
            measurements=tuple(self.measurements),
        )


def _lacking(text: str) -> Skip:
    return Skip(SkipReason.ENVIRONMENT_LACKS, text)


def to_json(outcome: Outcome) -> str:
    """An outcome as text, for the way from a worker to the controller."""
    return json.dumps(
        {
            "requirement": outcome.requirement,
            "verdict": outcome.verdict.value,
            "seconds": outcome.seconds,
            "message": outcome.message,
            "skip": [outcome.skip.reason.value, outcome.skip.detail] if outcome.skip else None,
            "evidence": outcome.evidence,
            "measurements": [[m.name, m.value, m.unit, m.method] for m in outcome.measurements],
        }
    )


def from_json(text: str) -> Outcome:
    """The outcome in text written by :func:`to_json`."""
    fields = json.loads(text)
    skip = fields["skip"]
    return Outcome(
        requirement=fields["requirement"],
        verdict=Verdict(fields["verdict"]),
        seconds=fields["seconds"],
        message=fields["message"],
        skip=Skip(SkipReason(skip[0]), skip[1]) if skip else None,
        evidence=tuple(fields["evidence"]),
        measurements=tuple(Measurement(*m) for m in fields["measurements"]),
    )
