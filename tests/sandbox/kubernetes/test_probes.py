"""A kubelet's probes of a pod that runs: what a Service sees of it, and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.manifest import EVENT, POD, Manifest, Ref
from conformance.kube.pods import pod_exec
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from conformance.traffic.pod import CONTAINER, client_pod_manifest
from fixtures.images import client_image
from tests.sandbox.kubernetes.conftest import NAMESPACE_NAME

PORT = 9090
SERVE = f"import socket; s = socket.create_server(('', {PORT})); [s.accept() for _ in iter(int, 1)]"
Container = Callable[[], Manifest]


@pytest.fixture
def probed(cluster: Cluster) -> Iterator[Container]:
    """The status of the one container of a pod whose probes ask a port on which nobody listens yet."""
    body = client_pod_manifest("probed", NAMESPACE_NAME, client_image(), node="node-1", labels={})
    probe = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    body["spec"]["containers"][0] |= {
        "readinessProbe": probe | {"failureThreshold": 1},
        "livenessProbe": probe | {"failureThreshold": 12},
    }
    body["spec"] |= {"terminationGracePeriodSeconds": 1, "restartPolicy": "Never"}
    ref = Ref.of(cluster.create(body))

    def container() -> Manifest:
        (found,) = cluster.get(ref).get("status", {}).get("containerStatuses") or [{}]
        return dict(found)

    yield container
    cluster.delete(ref)


def test_readiness_follows_the_port_and_liveness_ends_the_container(cluster: Cluster, probed: Container) -> None:
    def until(what: str, holds: Callable[[Manifest], bool]) -> Manifest:
        return wait_until(f"the container {what}", probed, Deadline.patience(40), until=holds)

    until("runs", lambda seen: "running" in seen.get("state", {}) and not seen["ready"])
    serving = ("sh", "-c", f'python3 -c "{SERVE}" >/dev/null 2>&1 & echo $!')
    process = pod_exec(cluster, NAMESPACE_NAME, "probed", CONTAINER, serving).stdout.decode().strip()
    until("is ready", lambda seen: bool(seen["ready"]))
    assert pod_exec(cluster, NAMESPACE_NAME, "probed", CONTAINER, ("kill", process)).ok
    until("is not ready any more", lambda seen: not seen["ready"])
    until("is ended", lambda seen: "terminated" in seen["state"])
    events = [
        event for event in cluster.list(EVENT, NAMESPACE_NAME).items if event["involvedObject"]["kind"] == POD.kind
    ]
    said = [event["message"] for event in events if event["involvedObject"]["name"] == "probed"]
    for kind in ("Readiness", "Liveness"):
        start = f"{kind} probe failed: dial tcp "
        assert any(text.startswith(start) and text.endswith(f":{PORT}: connect: connection refused") for text in said)
    assert f"Container {CONTAINER} failed liveness probe, will be restarted" in said
