"""The pytest plugin, loaded by its entry point in every pytest session; it rests until ``--binding`` is given.

Kept cheap to import: what talks to clusters is imported when a run begins.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from conformance.plugin.paths import data_root
from conformance.plugin.settings import add_options, read_settings

if TYPE_CHECKING:
    from conformance.evidence.recorder import Evidence
    from conformance.model import Measurement
    from conformance.plugin.run import Run
    from conformance.traffic.results import Measured

_NAME = "binding_conformance_session"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our option group."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Let the suites import ``fixtures`` wherever they are installed."""
    root = str(data_root())
    if root not in sys.path:
        sys.path.append(root)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and with ``--binding`` the session's hooks."""
    config.addinivalue_line("markers", "requirement(id): the requirement of the catalogue that this check decides")
    config.addinivalue_line("markers", "disruptive: disturbs the nodes for a moment, and comes after all other checks")
    config.addinivalue_line("markers", "where(term): a part of the requirement for bindings with that capability only")
    settings = read_settings(config)
    if not settings.active or config.option.collectonly:
        return
    from conformance.plugin.processes import make_session_plugin  # imports the whole library

    config.pluginmanager.register(make_session_plugin(config, settings), _NAME)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check the marker on every check; refuse to run checks without a binding."""
    from conformance.plugin.items import validate_items

    checks = validate_items(items)
    if checks and not read_settings(config).active and not config.option.collectonly:
        raise pytest.UsageError("these are conformance checks: say with --binding what they shall judge")


# the submodule of the same name takes the attribute "run" of this package
@pytest.fixture(scope="session", name="run")
def the_run(request: pytest.FixtureRequest) -> Run:
    """The run: binding, cluster, ledger, timeouts, nodes, keys (:class:`conformance.plugin.run.Run`)."""
    from conformance.plugin.session import current_run

    return current_run(request.config)


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[[Measured | Measurement], None]:
    """``measure(result)`` puts a measurement, or a result that has some, into the report of this check."""
    from conformance.plugin.items import record_of
    from conformance.plugin.session import attach_text

    def add(result: Measured | Measurement) -> None:
        found = result.measurements() if hasattr(result, "measurements") else (result,)
        record_of(request.node).measurements.extend(found)
        attach_text("\n".join(f"{m.name}: {m.value:g} {m.unit} ({m.method})" for m in found), found[0].name)

    return add


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """What to collect when this check fails: ``evidence.about(ref)``, ``evidence.guest(guest)``."""
    from conformance.plugin.items import evidence_of

    return evidence_of(request.node)
