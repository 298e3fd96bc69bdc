"""The ClusterRoles and bindings that every cluster starts with (`bootstrap.yaml`)."""

from __future__ import annotations

from pathlib import Path

import yaml

from conformance.sandbox.apiserver.errors import KubeObject

_FILE = Path(__file__).with_name("bootstrap.yaml")
_DEFAULTS = {"kubernetes.io/bootstrapping": "rbac-defaults"}


def bootstrap_objects() -> list[KubeObject]:
    """The objects, labelled as Kubernetes labels its own."""
    objects: list[KubeObject] = [doc for doc in yaml.safe_load_all(_FILE.read_text(encoding="utf-8")) if doc]
    for obj in objects:
        obj["metadata"]["labels"] = {**obj["metadata"].get("labels", {}), **_DEFAULTS}
    return objects
