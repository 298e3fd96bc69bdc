"""Kubeconfigs of service accounts that an administrator's connection can make."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from conformance.kube.cluster import Cluster
from conformance.kube.errors import Unusable
from conformance.kube.manifest import dig

TOKEN_SECONDS = 24 * 3600
"""Longer than any run; a cluster may grant less."""


def account_kubeconfig(cluster: Cluster, admin: Path, context: str | None, namespace: str, name: str, to: Path) -> Path:
    """Write a kubeconfig (mode 0600) that speaks as a ServiceAccount to the cluster of ``admin``; returns ``to``."""
    token = _token(cluster, namespace, name)
    user = f"{namespace}-{name}"
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": user,
        "clusters": [{"name": "cluster", "cluster": _cluster_entry(admin, context)}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user, "context": {"cluster": "cluster", "user": user, "namespace": namespace}}],
    }
    return _write_private(to, body)


def _token(cluster: Cluster, namespace: str, name: str) -> str:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    spec = {"expirationSeconds": TOKEN_SECONDS}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = json.loads(cluster.raw("POST", path, accept="application/json", body=request))
    return str(dig(answer, "status", "token"))


def _cluster_entry(kubeconfig: Path, context: str | None) -> dict[str, Any]:
    """The cluster that a context of a kubeconfig names, its certificate authority included."""
    loaded = yaml.safe_load(kubeconfig.read_text(encoding="utf-8")) or {}
    name = context or loaded.get("current-context")
    entry: dict[str, Any] = next((c["context"] for c in loaded.get("contexts") or [] if c.get("name") == name), {})
    found = next((c["cluster"] for c in loaded.get("clusters") or [] if c.get("name") == entry.get("cluster")), None)
    if found is None:
        raise Unusable(f"kubeconfig {kubeconfig}: context {name!r} names no cluster of the file")
    return _absolute(dict(found), kubeconfig.parent)


def proxied_kubeconfig(kubeconfig: Path, proxy: str, to: Path) -> Path:
    """Write a copy of a kubeconfig (mode 0600) whose clusters are reached through a proxy; returns ``to``."""
    try:
        loaded = yaml.safe_load(kubeconfig.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise Unusable(f"kubeconfig {kubeconfig}: {error}") from error
    for entry in loaded.get("clusters") or []:
        entry["cluster"] = {**_absolute(entry["cluster"], kubeconfig.parent), "proxy-url": proxy}
    for entry in loaded.get("users") or []:
        entry["user"] = _absolute(entry.get("user") or {}, kubeconfig.parent)
    return _write_private(to, loaded)


def _absolute(entry: dict[str, Any], base: Path) -> dict[str, Any]:
    """The entry with the files it names spelled so that it can stand in another directory."""
    files = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
    return {k: str((base / v).absolute()) if k in files and v else v for k, v in entry.items()}


def _write_private(to: Path, body: dict[str, Any]) -> Path:
    descriptor = os.open(to, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump(body, file)
    return to
