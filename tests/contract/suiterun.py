"""A cluster that is an API server alone, with KubeVirt's kinds, and a run of the suite on it, for single checks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final, cast

from conformance.guest.image import DEFAULT
from conformance.kube.cluster import Cluster, namespace_manifest
from conformance.kube.manifest import KUBEVIRT, Manifest
from conformance.plugin.run import Run
from conformance.site.site import Site
from tests.contract.harness import Sandbox

SPACE: Final = "team"
"""The namespace of the run."""


def cluster_of(server: Sandbox, configuration: Manifest) -> Cluster:
    """The cluster, with the namespaces and a KubeVirt CR of this configuration."""
    cluster = Cluster.connect(server.kubeconfig, cache_file=server.directory / "discovery")
    for namespace in ("kubevirt", SPACE):
        cluster.create(namespace_manifest(namespace, {}))
    head = {"apiVersion": KUBEVIRT.api_version, "kind": KUBEVIRT.kind}
    metadata = {"name": "kubevirt", "namespace": "kubevirt"}
    cluster.create({**head, "metadata": metadata, "spec": {"configuration": configuration}})
    return cluster


def run_on(cluster: Cluster, kubevirt: str, **more: Any) -> Run:
    """A run of a binding called b, `more` of its attributes given."""
    attributes = {
        "cluster": cluster,
        "registrar": cluster,
        "binding": SimpleNamespace(core=None, name="b"),
        "keys": SimpleNamespace(user_data=lambda: ""),
        "labels": {},
        "site": Site(),
        "handoff": SimpleNamespace(guest=DEFAULT),
        "versions": SimpleNamespace(kubevirt=kubevirt),
        "nodes": ("node-1",),
        "workspace": SPACE,
        "id": "0123abcd",
    }
    return cast(Run, SimpleNamespace(**{**attributes, **more}))
