"""What KubeVirt's own conformance suite found with the binding as primary: a section beside ours, never a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class UpstreamResult(StrEnum):
    """How a case of that suite ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class UpstreamCase:
    """One case: its name and message as that suite writes them, seconds of wall time."""

    name: str
    result: UpstreamResult
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class UpstreamSuite:
    """One run of that suite. ``cases`` are those that ran; ``skipped`` counts the others, which its label filter left
    out; ``trouble`` says why there is no result, empty if there is one.
    """

    image: str
    seconds: float
    cases: tuple[UpstreamCase, ...] = ()
    skipped: int = 0
    trouble: str = ""

    @property
    def failed(self) -> Sequence[UpstreamCase]:
        """The cases that failed, in order."""
        return tuple(case for case in self.cases if case.result is UpstreamResult.FAILED)

    @property
    def summary(self) -> str:
        """The result in words."""
        if self.trouble:
            return "no result"
        passed = len(self.cases) - len(self.failed)
        return f"{passed} passed, {len(self.failed)} failed, {self.skipped} skipped"
