"""A VM that migrates away and comes back: the finished pod of its first stay must not be taken for its own."""

from __future__ import annotations

from functools import partial

from conformance.kube.cluster import Cluster
from conformance.kube.lifecycle import launcher_pod, migrate
from conformance.kube.manifest import POD, Manifest, Ref, dig
from conformance.kube.timeouts import Deadline
from conformance.kube.vmi import VmiView
from conformance.kube.wait import wait_for

SECONDS = 90.0


def test_a_vm_comes_back_to_its_first_node(cluster: Cluster, vmi: Ref) -> None:
    home = VmiView.of(cluster.get(vmi)).node
    pods = [Ref.of(launcher_pod(cluster, VmiView.of(cluster.get(vmi))))]
    for _ in range(2):
        migrate(cluster, vmi, Deadline.patience(SECONDS))
        pods.append(Ref.of(launcher_pod(cluster, VmiView.of(cluster.get(vmi)))))
    view = VmiView.of(cluster.get(vmi))
    assert (view.node, view.phase) == (home, "Running")
    assert len(set(pods)) == 3
    address = dig(cluster.get(pods[-1]), "status", "podIP")
    wait_for(cluster, vmi, f"{address} is in the status", partial(_has, address), Deadline.patience(SECONDS))
    for left in pods[:-1]:
        wait_for(cluster, left, f"{left} is over", _succeeded, Deadline.patience(SECONDS))
    assert {dig(pod, "spec", "nodeName") for pod in cluster.list(POD, "default").items} == {"node-1", "node-2"}


def _has(address: str, vmi: Manifest | None) -> bool:
    return vmi is not None and VmiView.of(vmi).address("default") == address


def _succeeded(pod: Manifest | None) -> bool:
    return bool(dig(pod or {}, "status", "phase") == "Succeeded")
