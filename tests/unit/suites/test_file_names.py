"""Test modules of the suites are known by their base names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

SUITES = Path(__file__).parents[3] / "suites"


def test_no_two_modules_of_the_suites_have_the_same_name() -> None:
    names = Counter(path.name for path in SUITES.rglob("test_*.py"))
    assert len(names) > 50
    assert [name for name, seen in names.items() if seen > 1] == [], "pytest collects only one of them"
