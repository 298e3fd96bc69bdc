"""A VM that migrates away and comes back: the finished pod of its first stay must not be taken for its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.lifecycle import launcher_pod, migrate, wait_running
from conformance.kube.manifest import POD, VMI, Manifest, Ref, dig
from conformance.kube.registration import Registration
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import NicSpec, VmiSpec, VmiView
from conformance.kube.wait import wait_for
from conformance.sandbox import daemon

SECONDS = 90.0
DISK = "quay.io/kubevirt/fedora-with-test-tooling-container-disk:v1.6.0"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if os.geteuid():
        pytest.skip("the sandbox needs root")
    options = daemon.Options(state_dir=Path(f"/run/kbc-k{os.getpid()}"))
    with daemon.start(options, lambda _stage, _fraction: None) as running:
        connected = Cluster.connect(running.kubeconfig, cache_file=tmp_path_factory.mktemp("api") / "discovery")
        Registration(connected, "tapped").apply({"domainAttachmentType": "managedTap", "migration": {}})
        yield connected
        connected.close()


@pytest.fixture(scope="module")
def vmi(cluster: Cluster) -> Ref:
    spec = VmiSpec("v", "default", (NicSpec("default", "tapped"),), DISK, "#cloud-config\n", grace_seconds=0)
    cluster.create(spec.vmi())
    ref = VMI.ref("v", "default")
    wait_running(cluster, ref, Deadline.patience(SECONDS))
    return ref


def test_a_vm_comes_back_to_its_first_node(cluster: Cluster, vmi: Ref) -> None:
    home = VmiView.of(cluster.get(vmi)).node
    pods = [Ref.of(launcher_pod(cluster, VmiView.of(cluster.get(vmi))))]
    for _ in range(2):
        migrate(cluster, vmi, Deadline.patience(SECONDS))
        pods.append(Ref.of(launcher_pod(cluster, VmiView.of(cluster.get(vmi)))))
    view = VmiView.of(cluster.get(vmi))
    assert (view.node, view.phase) == (home, "Running")
    assert len(set(pods)) == 3
    now = cluster.get(pods[-1])
    assert view.address("default") == dig(now, "status", "podIP")
    for left in pods[:-1]:
        wait_for(cluster, left, f"{left} is over", _succeeded, Deadline.patience(SECONDS))
    assert {dig(pod, "spec", "nodeName") for pod in cluster.list(POD, "default").items} == {"node-1", "node-2"}


def _succeeded(pod: Manifest | None) -> bool:
    return bool(dig(pod or {}, "status", "phase") == "Succeeded")
