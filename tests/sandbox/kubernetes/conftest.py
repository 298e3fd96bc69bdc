"""A sandbox of three nodes with a client pod on each, for tests of the cluster network; one for each IP provider."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.cluster.shape import Shape
from conformance.kube.cluster import Cluster
from conformance.kube.manifest import NAMESPACE
from conformance.kube.pods import pod_exec
from conformance.kube.timeouts import Deadline
from conformance.sandbox import daemon
from conformance.traffic.pod import CONTAINER, ClientPod, client_pod_manifest
from fixtures.images import client_image
from tests.lacking import need_root

NAMESPACE_NAME = "shop"
NETWORKS = (Shape(3, 1400, "routed"), Shape(3, 8900, "sticky"))
Run = Callable[..., Any]


@pytest.fixture(scope="package", params=NETWORKS, ids=lambda network: network.ip_provider)
def network(request: pytest.FixtureRequest) -> Shape:
    """What the pod network is like: each IP provider, with an MTU smaller and one larger than usual."""
    shape: Shape = request.param
    return shape


@pytest.fixture(scope="package")
def cluster(network: Shape, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    need_root()
    options = daemon.Options(
        state_dir=Path(f"/run/kbc-c{os.getpid()}"),
        nodes=daemon.node_names(network.nodes),
        mtu=network.pod_mtu,
        ip_provider=network.ip_provider or "routed",
    )
    with daemon.start(options, lambda _stage, _fraction: None) as running:
        connected = Cluster.connect(running.kubeconfig, cache_file=tmp_path_factory.mktemp("api") / "discovery")
        for name in (NAMESPACE_NAME, "other"):
            body = {"metadata": {"name": name, "labels": {"team": name}}}
            connected.create({"apiVersion": NAMESPACE.api_version, "kind": NAMESPACE.kind, **body})
        yield connected
        connected.close()


@pytest.fixture(scope="package")
def pods(cluster: Cluster) -> dict[str, ClientPod]:
    """`a` and `b` on the first node, `c` on the second, `d` on the third and in another namespace."""
    places = {"a": "node-1", "b": "node-1", "c": "node-2", "d": "node-3"}
    found = {}
    for name, node in places.items():
        namespace = "other" if name == "d" else NAMESPACE_NAME
        manifest = client_pod_manifest(name, namespace, client_image(), node=node, labels={"app": name})
        ports = [{"name": "web", "containerPort": 8080}, {"name": "talk", "containerPort": 8080, "protocol": "UDP"}]
        manifest["spec"]["containers"][0]["ports"] = ports
        manifest["spec"] |= {"hostname": f"host-{name}", "subdomain": "crowd"}
        found[name] = ClientPod.start(cluster, manifest, Deadline.patience(60))
    return found


@pytest.fixture
def run(cluster: Cluster) -> Run:
    """Runs Python in a client pod and returns what it prints, read as JSON."""

    def call(pod: ClientPod, script: str, *words: str) -> Any:
        done = pod_exec(cluster, pod.ref.namespace, pod.ref.name, CONTAINER, ("python3", "-c", script, *words))
        assert done.ok, done.stderr.decode()
        return json.loads(done.stdout)

    return call
