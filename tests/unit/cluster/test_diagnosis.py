"""Why pods are not ready: what is known of it, and what containers and events say."""

from __future__ import annotations

import uuid

import pytest

from conformance.cluster.diagnosis import diagnose
from conformance.cluster.explain import KNOWN
from conformance.kube.cluster import Cluster, namespace_manifest
from conformance.kube.manifest import EVENT, Manifest, Ref
from tests.unit.kube.apiserver import pod_manifest, set_status

IMAGE = next(known for known in KNOWN if known.name == "image missing")
ANSWER = 'failed to pull and unpack image "registry.lab:5000/agent:1": registry.lab:5000/agent:1: not found'


@pytest.fixture
def place(cluster: Cluster) -> str:
    """A namespace of its own; nothing here ever empties it."""
    name = f"diagnosed-{uuid.uuid4().hex[:8]}"
    cluster.create(namespace_manifest(name, {}))
    return name


def pod(cluster: Cluster, namespace: str, name: str, **status: object) -> Ref:
    manifest = pod_manifest(name)
    manifest["metadata"]["namespace"] = namespace
    manifest["spec"]["nodeName"] = "worker"
    ref = Ref.of(cluster.create(manifest)).any_uid()
    set_status(cluster, ref, {"phase": "Pending", **status})
    return ref


def container(ready: bool = False, **state: Manifest) -> Manifest:
    return {"name": "c", "image": "registry.lab:5000/agent:1", "ready": ready, "restartCount": 0, "state": state}


def warning(cluster: Cluster, about: Ref, message: str) -> None:
    cluster.create(
        {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": f"{about.name}.1", "namespace": about.namespace},
            "involvedObject": {"kind": "Pod", "name": about.name, "namespace": about.namespace},
            "type": "Warning",
            "reason": "Failed",
            "message": message,
        }
    )


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"])
def test_an_image_that_cannot_be_had(cluster: Cluster, place: str, reason: str) -> None:
    waiting = container(waiting={"reason": reason, "message": ANSWER})
    warning(cluster, pod(cluster, place, "agent", containerStatuses=[waiting]), f"Failed to pull image: {ANSWER}")
    fine = pod(cluster, place, "fine", containerStatuses=[container(ready=True)])
    warning(cluster, fine, "it had its troubles once")
    assert diagnose(cluster, [place]).splitlines() == [
        *str(IMAGE).splitlines(),
        f"  pod {place}/agent on worker: Pending",
        f"    c waits: {reason} {ANSWER}",
        f"  event agent: Failed Failed to pull image: {ANSWER}",
    ]


def test_an_init_containers_image_too(cluster: Cluster, place: str) -> None:
    waiting = container(waiting={"reason": "PodInitializing"})
    pulling = {**container(waiting={"reason": "ErrImagePull"}), "name": "installer"}
    pod(cluster, place, "agent", initContainerStatuses=[pulling], containerStatuses=[waiting])
    lines = diagnose(cluster, [place]).splitlines()
    assert lines[0] == IMAGE.meaning
    assert [line.strip() for line in lines[-2:]] == ["installer waits: ErrImagePull", "c waits: PodInitializing"]


def test_when_all_is_ready_there_is_nothing_to_say(cluster: Cluster, place: str) -> None:
    pod(cluster, place, "fine", containerStatuses=[container(ready=True)])
    pod(cluster, place, "done", phase="Succeeded")
    assert diagnose(cluster, [place]) == ""
