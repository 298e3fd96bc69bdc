"""Comparing facts: equal, different, or different for a reason that was reviewed.

The reasons stand in `differences.yaml`, each with the scenario and the fact (shell patterns) and why the difference
cannot go away. An explained difference is not counted as equal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path

import yaml

from tests.fidelity.facts import Facts
from tests.fidelity.normalise import canonical
from tests.fidelity.recording import Json

DIFFERENCES = Path(__file__).parent / "differences.yaml"
_NOTHING = "(nothing)"
_POD = re.compile(r"\b(?:pod )?virt-launcher-[\w-]+")


@dataclass(frozen=True)
class Explanation:
    """Why facts that match differ and always will."""

    scenario: str
    fact: str
    why: str

    def covers(self, scenario: str, fact: str) -> bool:
        """Whether this explains a difference in `fact` of `scenario`."""
        return _matches(self.scenario, scenario) and _matches(self.fact, fact)


@dataclass(frozen=True)
class Difference:
    """One fact that is not the same. `recorded` or `observed` is None where that side has no such fact."""

    scenario: str
    fact: str
    recorded: str | None
    observed: str | None
    why: str | None = None

    def __str__(self) -> str:
        reason = f"\n    explained: {self.why}" if self.why else ""
        recorded, observed = self.recorded or _NOTHING, self.observed or _NOTHING
        return f"{self.scenario}: {self.fact}\n    recorded: {recorded}\n    observed: {observed}{reason}"


@dataclass(frozen=True)
class Comparison:
    """How many facts are equal, and those that are not."""

    equal: int
    differences: tuple[Difference, ...]

    @property
    def total(self) -> int:
        """Facts that one side or the other has."""
        return self.equal + len(self.differences)

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """Differences without a reviewed reason."""
        return tuple(difference for difference in self.differences if difference.why is None)

    @property
    def share(self) -> float:
        """Equal facts of all, 0 to 1; 0 when there is nothing to compare."""
        return self.equal / self.total if self.total else 0.0

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(self.equal + other.equal, self.differences + other.differences)


class ExplanationError(ValueError):
    """`differences.yaml` is not a list of scenario, fact and why."""


def explanations(path: Path = DIFFERENCES) -> tuple[Explanation, ...]:
    """The reviewed reasons. Raises ExplanationError with the entry that is not well formed."""
    result = []
    for number, entry in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")) or [], 1):
        if not isinstance(entry, dict) or set(entry) != {"scenario", "fact", "why"}:
            raise ExplanationError(f"{path.name}: entry {number} must have exactly scenario, fact and why: {entry!r}")
        result.append(Explanation(str(entry["scenario"]), str(entry["fact"]), " ".join(str(entry["why"]).split())))
    return tuple(result)


def compare(scenario: str, recorded: Facts, observed: Facts, reasons: Iterable[Explanation] = ()) -> Comparison:
    """Every fact of either side, once."""
    known = tuple(reasons)
    equal, differences = 0, []
    for fact in [*recorded, *(fact for fact in observed if fact not in recorded)]:
        if fact in recorded and fact in observed and canonical(recorded[fact]) == canonical(observed[fact]):
            equal += 1
            continue
        why = next((reason.why for reason in known if reason.covers(scenario, fact)), None)
        differences.append(Difference(scenario, fact, _shown(recorded, fact), _shown(observed, fact), why))
    return Comparison(equal, tuple(differences))


def unused(reasons: Sequence[Explanation], found: Comparison) -> tuple[Explanation, ...]:
    """Reasons that explained nothing: the difference is gone, or the pattern is wrong."""
    return tuple(r for r in reasons if not any(r.covers(d.scenario, d.fact) for d in found.differences))


def repeated(differences: Iterable[Difference]) -> list[tuple[str, int]]:
    """What differs in more than one place, most frequent first: the fact without the names of pods, and how often."""
    shapes = Counter(_POD.sub("pod", difference.fact) for difference in differences)
    return [(shape, count) for shape, count in shapes.most_common() if count > 1]


def _shown(facts: Facts, fact: str) -> str | None:
    if fact not in facts:
        return None
    value: Json = facts[fact]
    return value if isinstance(value, str) else canonical(value)


def _matches(pattern: str, value: str) -> bool:
    """Shell pattern with `*` and `?` only: facts hold brackets of their own."""
    return re.match(translate(re.sub(r"\[", "[[]", pattern)), value, re.DOTALL) is not None
