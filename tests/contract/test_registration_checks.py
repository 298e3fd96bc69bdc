"""The checks that ask admission alone, on API servers of several KubeVirt releases: they pass, and where a release did
otherwise than it does they fail.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conformance.plugin.run import Run
from conformance.sandbox.kubevirt.admission import VERSION_VARIABLE
from conformance.sandbox.kubevirt.definitions import write_definitions
from conformance.sandbox.kubevirt.facts import facts_for, versions
from fixtures.refusals import cases, expected
from suites.hotplug import test_absent
from suites.registration import test_discontinued, test_feature_gate, test_no_method, test_two_methods
from tests.contract.altered_admission import VARIABLE
from tests.contract.harness import sandbox_server
from tests.contract.suiterun import SPACE, cluster_of, run_on

pytestmark = pytest.mark.since(kubevirt="1.1")

GATE = "NetworkBindingPlugins"
TWO = test_two_methods.test_binding_beside_a_core_method_is_refused
NONE = test_no_method.test_interface_without_a_binding_is_refused
GATED = test_feature_gate.test_feature_gate_decides_where_it_has_to
GONE = test_discontinued.test_discontinued_core_method_is_refused
ABSENT = test_absent.test_state_absent_is_refused
Check = Callable[..., None]


@contextmanager
def release(version: str, *gates: str, **altered: Any) -> Iterator[Run]:
    """A run on an API server that speaks as one release, ``altered`` facts aside; the cluster lists ``gates``."""
    with tempfile.TemporaryDirectory(prefix="kbc-release-") as name, pytest.MonkeyPatch.context() as patch:
        directory = Path(name)
        write_definitions(facts_for(version), directory / "definitions.yaml")
        patch.setenv(VERSION_VARIABLE, version)
        patch.setenv(VARIABLE, json.dumps(altered))
        hook = ("--admission", "tests.contract.altered_admission:review")
        with sandbox_server(
            directory, directory / "none.sock", *hook, "--crds", str(directory / "definitions.yaml")
        ) as server:
            cluster = cluster_of(server, {"developerConfiguration": {"featureGates": list(gates)}})
            yield run_on(cluster, facts_for(version).version)
            cluster.close()


def ask(check: Check, run: Run, *method: str) -> None:
    """Run one check, for one of its methods where it has several."""
    assert ("method" in inspect.signature(check).parameters) == bool(method)
    check(run, SPACE, *method)


def applicable(version: str) -> Iterator[tuple[Check, tuple[str, ...]]]:
    """Every check with its method that concerns a release, by the catalogue's minKubeVirt."""
    minor = int(version.rpartition(".")[2])
    yield GATED, ()
    if minor >= 3:
        yield ABSENT, ()
        yield from ((TWO, (method,)) for method in ("masquerade", "bridge"))
        yield from ((GONE, (method,)) for method in ("slirp", "macvtap", "passt"))
    if minor >= 9:
        yield NONE, ()


@pytest.mark.parametrize("version", ["v1.1", "v1.4", "v1.5", "v1.8", "v1.9"])
def test_a_release_as_it_is_passes(version: str) -> None:
    with release(version, GATE) as run:
        for check, method in applicable(version):
            ask(check, run, *method)


def test_a_gate_that_is_off_is_seen_and_changes_the_verdict() -> None:
    with release("v1.4") as run:
        ask(GATED, run)
    with release("v1.9") as run:
        ask(GATED, run)


@pytest.mark.parametrize(
    ("version", "gates", "altered", "caught"),
    [
        ("v1.9", (GATE,), {"one_method": None, "discontinued": {}}, [(TWO, "bridge"), (NONE,), (GONE, "slirp")]),
        ("v1.9", (GATE,), {"one_method": "something else", "absent_rules": ["x", "y"]}, [(NONE,), (ABSENT,)]),
        ("v1.5", (GATE,), {"both_methods": None}, [(TWO, "masquerade")]),
        (
            "v1.5",
            (GATE,),
            {"discontinued": {}, "core_methods": [], "core_rules": {}},
            [(GONE, "slirp"), (GONE, "passt")],
        ),
        ("v1.5", (), {"feature_gates": {GATE: "Alpha"}}, [(GATED,)]),
        ("v1.4", (), {"feature_gates": {GATE: "General Availability"}}, [(GATED,)]),
    ],
)
def test_a_release_that_does_otherwise_is_caught(
    version: str, gates: tuple[str, ...], altered: Mapping[str, Any], caught: list[tuple[Any, ...]]
) -> None:
    with release(version, *gates, **altered) as run:
        for check, *method in caught:
            with pytest.raises(AssertionError, match=r"admitted|has none of|was refused"):
                ask(check, run, *method)


def test_the_suite_and_the_sandbox_know_the_same_refusals() -> None:
    """Two tables written apart: what one has as admitted, the other does not refuse."""
    for version in versions():
        facts = facts_for(version)
        one, both = facts.one_method, facts.both_methods
        assert expected("two methods", version, "n") == ((one or both or "").format(name="n"),)
        assert expected("no method", version, "n") == ((one.format(name="n"),) if one else ())
        assert expected("slirp", version) == tuple(t for m, t in facts.discontinued.items() if m == "slirp")
        needed = facts.feature_gates[GATE] != "General Availability"
        assert expected("gate off", version) == ((facts.gate_off,) if needed else ())
    assert set(cases()) == {"two methods", "no method", "gate off", "slirp", "macvtap", "passt"}
