"""The ServiceAccount admission of pods: the account has to be there, and its token is mounted unless somebody objects.

Source: Kubernetes documentation, "Configure Service Accounts for Pods" and "Managing Service Accounts".
"""

from __future__ import annotations

import random
from typing import Any, Final

from conformance.sandbox.apiserver.errors import KubeObject
from conformance.sandbox.apiserver.kinds import SERVICE_ACCOUNTS
from conformance.sandbox.apiserver.resources import Resource
from conformance.sandbox.apiserver.store import Store

MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS: Final = 3607
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
_PREFIX: Final = "kube-api-access-"


def admit_account(store: Store, resource: Resource, pod: KubeObject) -> None:
    """Mount the account's token into a new pod, in place. StatusError 403 where there is no such account.

    The account `default` may come later than the first pods of its namespace.
    """
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    name = spec.get("serviceAccountName") or "default"
    account = store.get(SERVICE_ACCOUNTS, namespace, name)
    if account is None and name != "default":
        text = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise resource.forbidden(pod["metadata"].get("name") or "", text)
    wanted = spec.get("automountServiceAccountToken", (account or {}).get("automountServiceAccountToken", True))
    if wanted:
        _mount(spec)


def _mount(spec: dict[str, Any]) -> None:
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    without = [c for c in containers if all(m.get("mountPath") != MOUNT_PATH for m in c.get("volumeMounts") or [])]
    if not without:
        return
    volumes = spec.get("volumes") or []
    volume = next((v for v in volumes if v["name"].startswith(_PREFIX) and "projected" in v), None)
    if volume is None:
        volume = {"name": _PREFIX + "".join(random.choices(_LETTERS, k=5)), "projected": _projection()}
        spec["volumes"] = [*volumes, volume]
    mount = {"name": volume["name"], "mountPath": MOUNT_PATH, "readOnly": True}
    for container in without:
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), dict(mount)]


def _projection() -> KubeObject:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"defaultMode": 0o644, "sources": sources}
