"""The checks about waiting for a registration or a network fail where KubeVirt or Multus does it wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from conformance.evidence.recorder import Evidence
from conformance.kube.cluster import Listing
from conformance.kube.errors import BoundExceeded
from conformance.kube.manifest import NAD, VMI, Manifest
from conformance.kube.vmi import VmiView
from conformance.model import NadReference
from conformance.plugin.run import Run
from fixtures.latecomers import Latecomer
from fixtures.machines import Machine
from fixtures.sights import Sight
from fixtures.strangers import absent_network, unblocked
from suites.registration import test_binding_nad_missing, test_nad_namespace, test_network_nad_missing
from tests.unit.plugins.test_kubevirts_part import asking

MISSING = "cannot find a network-attachment-definition (late) in namespace (team)"
LATE = BoundExceeded("connected", "Scheduling", 90.0, "the time passed")
REF = VMI.ref("v", "team")


def vmi(phase: str, reason: str = "") -> Manifest:
    complaint = [{"type": "Synchronized", "status": "False", "reason": reason}] if reason else []
    metadata = {"name": "v", "namespace": "team", "uid": "u"}
    return {"metadata": metadata, "status": {"phase": phase, "conditions": complaint}}


@pytest.mark.parametrize(
    ("seen", "right"),
    [
        (vmi("Scheduling"), True),
        (vmi("Running"), True),
        (vmi("Pending", "FailedCreate"), False),
        (vmi("Pending"), False),
        (vmi("Scheduling", "FailedCreate"), False),
        (None, False),
    ],
)
def test_only_a_vmi_that_went_on_is_unblocked(seen: Manifest | None, right: bool) -> None:
    assert unblocked(seen) is right


def story(
    *, complaints: tuple[str, ...] = (MISSING,), phase: str = "Scheduling", late: bool = False, namespace: str = "team"
) -> Latecomer:
    return Latecomer(
        REF,
        NAD.ref("late", "team"),
        complaints,
        VmiView.of(vmi(phase)),
        Sight(1.0, LATE if late else None),
        ({"name": "late", "namespace": namespace},),
    )


@pytest.mark.parametrize(
    ("seen", "wrong"),
    [
        (story(), ""),
        (story(complaints=()), "no FailedCreatePodSandBox names team/late"),
        (story(complaints=("cannot find late in namespace (default)",)), "names team/late"),
        (story(phase="Running"), "the VMI is Running though"),
        (story(late=True), "the time passed"),
    ],
)
def test_missing_definition_of_a_binding(seen: Latecomer, wrong: str) -> None:
    measured: list[object] = []

    def check() -> None:
        test_binding_nad_missing.test_missing_definition_is_named_and_its_creation_helps(
            seen, Evidence(), measured.append
        )

    if not wrong:
        check()
        assert measured
    else:
        with pytest.raises((AssertionError, BoundExceeded), match=wrong):
            check()


@pytest.mark.parametrize(
    ("seen", "wrong"), [(story(), ""), (story(namespace="default"), r"\['default'\]"), (story(late=True), "the time")]
)
def test_definition_by_name_alone(seen: Latecomer, wrong: str) -> None:
    check = test_nad_namespace.test_definition_by_name_alone_is_the_one_of_the_vmis_namespace
    if not wrong:
        check(seen)
    else:
        with pytest.raises((AssertionError, BoundExceeded), match=wrong):
            check(seen)


@pytest.mark.parametrize(
    ("registered", "asked", "right"),
    [("default", "default", True), ("default", "team", False), ("", "team", True), ("", "default", False)],
)
def test_definition_with_its_namespace(registered: str, asked: str, right: bool) -> None:
    run = SimpleNamespace(binding=SimpleNamespace(nad=NadReference(registered, "bind")), workspace="team")
    machine = cast(Machine, SimpleNamespace(pod=lambda: asking({"name": "bind", "namespace": asked})))
    check = test_nad_namespace.test_definition_with_its_namespace_is_found_from_every_other
    if right:
        check(cast(Run, run), machine)
    else:
        with pytest.raises(AssertionError):
            check(cast(Run, run), machine)


@pytest.mark.parametrize(
    ("message", "phase", "pods", "right"),
    [
        ("failed to locate network attachment definition {}", "Pending", (), True),
        ("failed to locate network attachment definition default/other", "Pending", (), False),
        ("something failed", "Pending", (), False),
        ("failed to locate network attachment definition {}", "Scheduling", (), False),
        ("failed to locate network attachment definition {}", "Pending", ({"metadata": {"name": "p"}},), False),
    ],
)
def test_missing_network(
    monkeypatch: pytest.MonkeyPatch, message: str, phase: str, pods: tuple[Manifest, ...], right: bool
) -> None:
    answers = SimpleNamespace(get=lambda _ref: vmi(phase), list=lambda *_, **__: Listing(pods, "1"))
    run = cast(
        Run, SimpleNamespace(cluster=answers, workspace="team", id="0123abcd", binding=SimpleNamespace(name="b"))
    )
    said = message.format(absent_network(run))
    monkeypatch.setattr(test_network_nad_missing, "refusal_seen", lambda _run, _ref: said)
    if right:
        test_network_nad_missing.test_vmi_on_a_missing_network_gets_no_pod(run, REF)
    else:
        with pytest.raises(AssertionError):
            test_network_nad_missing.test_vmi_on_a_missing_network_gets_no_pod(run, REF)
