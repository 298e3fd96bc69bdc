"""Emptying a node: a VM that can be migrated moves away, one that cannot stays and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.errors import ApiError
from conformance.kube.lifecycle import delete_vmi, launcher_pod, wait_running
from conformance.kube.manifest import EVENT, MIGRATION, NODE, VMI, Manifest, Ref, condition, dig
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import NicSpec, VmiSpec, VmiView
from conformance.kube.wait import wait_for
from tests.sandbox.kubevirt.conftest import DISK, SECONDS

WEBHOOK = 'admission webhook "virt-launcher-eviction-interceptor.kubevirt.io" denied the request: '


@pytest.fixture
def fixed(cluster: Cluster) -> Iterator[Ref]:
    spec = VmiSpec("w", "default", (NicSpec("default", "fixed"),), DISK, "#cloud-config\n", grace_seconds=0)
    manifest = spec.vmi()
    manifest["spec"]["evictionStrategy"] = "LiveMigrate"
    cluster.create(manifest)
    ref = VMI.ref("w", "default")
    wait_running(cluster, ref, Deadline.patience(SECONDS))
    yield ref
    delete_vmi(cluster, ref, Deadline.patience(SECONDS))


def migrations(cluster: Cluster) -> set[str]:
    """The names of all there are: other tests of this sandbox leave theirs."""
    return {str(dig(migration, "metadata", "name")) for migration in cluster.list(MIGRATION, "default").items}


def test_an_eviction_moves_a_migratable_vm(cluster: Cluster, vmi: Ref) -> None:
    home, earlier = VmiView.of(cluster.get(vmi)).node, migrations(cluster)
    with pytest.raises(ApiError) as refused:
        cluster.evict(Ref.of(launcher_pod(cluster, VmiView.of(cluster.get(vmi)))))
    assert refused.value.code == 429
    assert f'{WEBHOOK}Eviction triggered evacuation of VMI "default/v"' in str(refused.value)
    moved = wait_for(cluster, vmi, f"{vmi} has left {home}", _left(home), Deadline.patience(SECONDS))
    assert dig(moved or {}, "status", "phase") == "Running"
    (name,) = migrations(cluster) - earlier
    migration = cluster.get(MIGRATION.ref(name, "default"))
    assert name.startswith("kubevirt-evacuation-")
    assert dig(migration, "metadata", "annotations", "kubevirt.io/evacuationMigration") == home
    assert dig(migration, "spec", "priority") == "system-critical"
    said = [dig(event, "message") for event in cluster.list(EVENT, "default").items]
    assert f"Created Migration {name}" in said


def test_an_eviction_keeps_a_vm_that_cannot_move(cluster: Cluster, fixed: Ref) -> None:
    view = VmiView.of(cluster.get(fixed))
    with pytest.raises(ApiError) as refused:
        cluster.evict(Ref.of(launcher_pod(cluster, view)))
    assert refused.value.code == 429
    said = f"{WEBHOOK}VMI w is configured with an eviction strategy but is not live-migratable"
    assert said in str(refused.value)
    after = cluster.get(fixed)
    assert (dig(after, "status", "phase"), condition(after, "EvictionRequested")) == ("Running", None)


def test_a_drain_taint_empties_the_node(cluster: Cluster, vmi: Ref) -> None:
    home = VmiView.of(cluster.get(vmi)).node
    node = NODE.ref(home)
    taint = {"key": "kubevirt.io/drain", "effect": "NoSchedule"}
    cluster.patch(node, {"spec": {"taints": [taint], "unschedulable": True}})
    try:
        wait_for(cluster, vmi, f"{vmi} has left {home}", _left(home), Deadline.patience(SECONDS))
    finally:
        cluster.patch(node, {"spec": {"taints": None, "unschedulable": None}})


def _left(home: str) -> Callable[[Manifest | None], bool]:
    def moved(vmi: Manifest | None) -> bool:
        state = dig(vmi or {}, "status", "migrationState", "completed")
        return dig(vmi or {}, "status", "nodeName") != home and bool(state)

    return moved
