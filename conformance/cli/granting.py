"""``binding-conformance access``: what an administrator applies so that a run gets by with two accounts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer
import yaml

from conformance.access.manifests import access_manifests
from conformance.kube.cluster import Cluster
from conformance.kube.manifest import KUBEVIRT, NAMESPACE
from conformance.kube.registry import Registry, find_registry

DEFAULT_KUBEVIRT = "kubevirt/kubevirt"


def manifests_for(namespaces: Iterable[str], kubeconfig: Path | None, kubevirt: str, *, node_access: bool) -> str:
    """The YAML; the accounts live in the first namespace. With a kubeconfig the cluster says where it registers."""
    names = tuple(dict.fromkeys(namespaces))
    objects = [_namespace(name) for name in names]
    objects += access_manifests(_registry(kubeconfig, kubevirt), names, home=names[0], node_access=node_access)
    return "---\n".join(yaml.safe_dump(entry, sort_keys=False) for entry in objects)


def _namespace(name: str) -> dict[str, object]:
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": NAMESPACE.kind, "metadata": {"name": name, "labels": labels}}


def _registry(kubeconfig: Path | None, kubevirt: str) -> Registry:
    if kubeconfig is not None and not kubevirt:
        cluster = Cluster.connect(kubeconfig)
        try:
            return find_registry(cluster)
        finally:
            cluster.close()
    namespace, _, name = (kubevirt or DEFAULT_KUBEVIRT).partition("/")
    if not namespace or not name or "/" in name:
        raise typer.BadParameter(f"--kubevirt {kubevirt}: give NAMESPACE/NAME")
    ref = KUBEVIRT.ref(name, namespace)
    return Registry(ref, ref)
