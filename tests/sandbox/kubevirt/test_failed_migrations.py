"""Migrations that come to nothing leave the VM as it was, and the next one to the same node works."""

from __future__ import annotations

import time

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.errors import PatienceExceeded
from conformance.kube.lifecycle import launcher_pod, migrate
from conformance.kube.manifest import KUBEVIRT, POD, Manifest, Ref, condition, dig
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import VmiView, migration_manifest
from conformance.kube.wait import wait_for, wait_gone, wait_until

SECONDS = 60.0
NOTHING_HAPPENS_SECONDS = 3.0
_KUBEVIRT = KUBEVIRT.ref("kubevirt", "kubevirt")


def test_a_migration_cancelled_while_running_leaves_the_vm(cluster: Cluster, vmi: Ref) -> None:
    before = _living(cluster, vmi)
    vmim = _migrating(cluster, vmi, "Running")
    cluster.delete(vmim)
    wait_gone(cluster, vmim, Deadline.patience(SECONDS))
    _still(cluster, vmi, before)
    state = dig(cluster.get(vmi), "status", "migrationState")
    assert {key: state.get(key) for key in ("abortRequested", "abortStatus", "failed", "failureReason")} == {
        "abortRequested": True,
        "abortStatus": "Succeeded",
        "failed": True,
        "failureReason": "Live migration has been aborted",
    }
    migrate(cluster, vmi, Deadline.patience(SECONDS))


def test_a_migration_cancelled_before_hand_over_takes_its_pod_with_it(cluster: Cluster, vmi: Ref) -> None:
    before = _living(cluster, vmi)
    vmim = _migrating(cluster, vmi, "Scheduling")
    target = _target(cluster, vmim)
    cluster.delete(vmim)
    wait_gone(cluster, vmim, Deadline.patience(SECONDS))
    wait_gone(cluster, target, Deadline.patience(SECONDS))
    _still(cluster, vmi, before)


@pytest.mark.parametrize("phase", ["Scheduling", "PreparingTarget"])
def test_a_target_killed_during_preparation_leaves_the_vm(cluster: Cluster, vmi: Ref, phase: str) -> None:
    before = _living(cluster, vmi)
    vmim = _migrating(cluster, vmi, phase)
    node = dig(cluster.get(_target(cluster, vmim)), "spec", "nodeName")
    cluster.delete(_target(cluster, vmim), grace_seconds=0)
    failed = wait_for(cluster, vmim, f"{vmim} has failed", _failed, Deadline.patience(SECONDS))
    assert dig(failed or {}, "status", "phase") == "Failed"
    _still(cluster, vmi, before)
    migrate(cluster, vmi, Deadline.patience(SECONDS))
    after = VmiView.of(cluster.get(vmi))
    assert (after.node, after.phase) == (node or after.node, "Running")


def test_a_registration_that_changes_is_seen_when_the_vmi_does(cluster: Cluster, vmi: Ref) -> None:
    """The condition does not follow the registration alone."""
    registration: Manifest = {"spec": {"configuration": {"network": {"binding": {"tapped": {"migration": None}}}}}}
    _quiet(cluster, vmi)
    cluster.patch(_KUBEVIRT, registration)
    try:
        with pytest.raises(PatienceExceeded):
            _wait_migratable(cluster, vmi, "False", NOTHING_HAPPENS_SECONDS)
        cluster.patch(vmi, {"metadata": {"annotations": {"looked-at": str(time.monotonic())}}})
        _wait_migratable(cluster, vmi, "False", SECONDS)
    finally:
        registration["spec"]["configuration"]["network"]["binding"]["tapped"]["migration"] = {}
        cluster.patch(_KUBEVIRT, registration)
        cluster.patch(vmi, {"metadata": {"annotations": {"looked-at": str(time.monotonic())}}})
        _wait_migratable(cluster, vmi, "True", SECONDS)


def _living(cluster: Cluster, vmi: Ref) -> tuple[VmiView, Ref]:
    view = VmiView.of(cluster.get(vmi))
    return view, Ref.of(launcher_pod(cluster, view))


def _still(cluster: Cluster, vmi: Ref, before: tuple[VmiView, Ref]) -> None:
    """The VM runs where it ran, in the pod it had, and keeps running."""
    time.sleep(NOTHING_HAPPENS_SECONDS)
    view, pod = _living(cluster, vmi)
    assert (view.phase, view.node, pod) == ("Running", before[0].node, before[1])
    assert dig(cluster.get(pod), "status", "phase") == "Running"


def _migrating(cluster: Cluster, vmi: Ref, phase: str) -> Ref:
    vmim = Ref.of(cluster.create(migration_manifest(vmi.name, vmi.namespace)))

    def reached(seen: Manifest | None) -> bool:
        return bool(dig(seen or {}, "status", "phase") == phase)

    wait_for(cluster, vmim, f"{vmim} is {phase}", reached, Deadline.patience(SECONDS))
    return vmim


def _target(cluster: Cluster, vmim: Ref) -> Ref:
    labels = f"kubevirt.io/migrationJobUID={vmim.uid}"
    return Ref.of(cluster.list(POD, vmim.namespace, labels=labels).items[0])


def _failed(vmim: Manifest | None) -> bool:
    return vmim is None or dig(vmim, "status", "phase") in ("Failed", "Succeeded")


def _quiet(cluster: Cluster, vmi: Ref) -> None:
    """Wait until nobody changes the VMI any more: the end of an earlier migration does for a while."""
    versions = [""]

    def unchanged() -> bool:
        versions.append(str(dig(cluster.get(vmi), "metadata", "resourceVersion")))
        return versions[-1] == versions[-2]

    wait_until(f"{vmi} has settled", unchanged, Deadline.patience(SECONDS), successes=4)


def _wait_migratable(cluster: Cluster, vmi: Ref, status: str, seconds: float) -> None:
    def holds(seen: Manifest | None) -> bool:
        return (condition(seen or {}, "LiveMigratable") or {}).get("status") == status

    wait_for(cluster, vmi, f"LiveMigratable is {status}", holds, Deadline.patience(seconds))
