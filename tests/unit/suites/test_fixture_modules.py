"""A module of fixtures that the suites do not load would leave its checks without a verdict."""

from __future__ import annotations

from pathlib import Path

from suites import conftest

FIXTURES = Path(__file__).parents[3] / "fixtures"


def test_the_suites_load_every_module_that_has_fixtures() -> None:
    having = {
        f"fixtures.{path.stem}" for path in FIXTURES.glob("*.py") if "\n@pytest.fixture" in path.read_text("utf-8")
    }
    assert having == set(conftest.pytest_plugins)
