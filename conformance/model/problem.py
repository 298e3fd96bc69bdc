"""What is wrong with a file that somebody wrote, in words that lead to the fix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ModelError(Exception):
    """Root of the errors of this package."""


class Severity(StrEnum):
    """How a problem is dealt with."""

    ERROR = "error"
    """The definition cannot be used; the command line ends with status 2."""
    WARNING = "warning"
    """The definition is usable, but probably not what its author means."""


@dataclass(frozen=True)
class Problem:
    """One thing to correct in a file.

    ``field`` is the path inside the document as one would write it (``spec.artifacts.images[0].layer``), empty for
    the file as a whole; ``value`` is what stands there now (shortened), empty if nothing does; ``line`` counts from 1
    and is 0 when no line can be given.
    """

    file: Path
    field: str
    value: str
    message: str
    fix: str
    line: int = 0
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        parts = [place, self.field, f"{self.severity.value}: {self.message}"]
        if self.value:
            parts.append(f"got {self.value}")
        return ": ".join(part for part in parts if part) + f"\n    fix: {self.fix}"


class DefinitionError(ModelError):
    """A definition or mutant file that cannot be used; ``problems`` holds every error found, in file order."""

    what = "definition"
    """What the message calls the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        count = len(self.problems)
        head = "1 problem" if count == 1 else f"{count} problems"
        super().__init__("\n".join([f"{head} in the {self.what}", *map(str, self.problems)]))
