"""The kubeconfig to use where none is given: the user's, or that of the pod we run in."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from conformance.cluster.rundir import state_home

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the token and the certificate authority of its ServiceAccount."""


def default_kubeconfig(account: Path = ACCOUNT) -> Path:
    """``$KUBECONFIG``, else ``~/.kube/config``, else in a pod one made for its ServiceAccount."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    if named:
        return Path(named)
    own = Path.home() / ".kube" / "config"
    if not own.exists() and os.environ.get("KUBERNETES_SERVICE_HOST") and (account / "token").exists():
        return in_cluster_kubeconfig(account, state_home() / "in-cluster.kubeconfig")
    return own


def in_cluster_kubeconfig(account: Path, to: Path) -> Path:
    """Write a kubeconfig for the pod's ServiceAccount; the token is read from its file, which the kubelet renews."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    address = f"[{host}]" if ":" in host else host
    namespace = (account / "namespace").read_text(encoding="utf-8").strip() if (account / "namespace").exists() else ""
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "pod",
        "clusters": [
            {
                "name": "cluster",
                "cluster": {"server": f"https://{address}:{port}", "certificate-authority": str(account / "ca.crt")},
            }
        ],
        "users": [{"name": "account", "user": {"tokenFile": str(account / "token")}}],
        "contexts": [
            {"name": "pod", "context": {"cluster": "cluster", "user": "account", "namespace": namespace or "default"}}
        ],
    }
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(yaml.safe_dump(body), encoding="utf-8")
    return to
