"""The part of the HyperConverged Cluster Operator that binding registrations meet.

It owns the KubeVirt CR: its spec is made from the HyperConverged, and whatever anybody else writes there is reverted.
Registrations go through ``HyperConverged.spec.networkBinding``; a binding called ``l2bridge`` is always added, over an
entry of that name. Source: hyperconverged-cluster-operator, PR 2603 and ``controllers/handlers/kubevirt.go``.
"""

from __future__ import annotations

import copy
import logging
from typing import Any, Final

from conformance.sandbox.client import KUBEVIRTS, ApiClient, Object, Resource
from conformance.sandbox.controller import Controller, Informer, Key, key_of

log = logging.getLogger(__name__)

HYPERCONVERGEDS: Final = Resource("hco.kubevirt.io", "v1beta1", "hyperconvergeds", "HyperConverged")
NAMESPACE: Final = "kubevirt-hyperconverged"
NAME: Final = "kubevirt-hyperconverged"
KUBEVIRT_NAME: Final = f"kubevirt-{NAME}"

_LABELS: Final = {
    "app": NAME,
    "app.kubernetes.io/component": "compute",
    "app.kubernetes.io/managed-by": "hco-operator",
    "app.kubernetes.io/part-of": "hyperconverged-cluster",
}
_L2_BRIDGE: Final = {"l2bridge": {"domainAttachmentType": "managedTap", "migration": {}}}


def hyperconverged() -> Object:
    """The one HyperConverged of a cluster."""
    return {
        "apiVersion": HYPERCONVERGEDS.api_version,
        "kind": HYPERCONVERGEDS.kind,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {},
    }


def owned_kubevirt(owner: Object, base: Object) -> Object:
    """The KubeVirt CR of a HyperConverged; ``base`` is the spec that does not depend on it."""
    reference = {
        "apiVersion": HYPERCONVERGEDS.api_version,
        "kind": HYPERCONVERGEDS.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {"name": KUBEVIRT_NAME, "namespace": NAMESPACE, "labels": _LABELS, "ownerReferences": [reference]}
    spec = _spec(owner, base)
    return {"apiVersion": KUBEVIRTS.api_version, "kind": KUBEVIRTS.kind, "metadata": metadata, "spec": spec}


class HyperConvergedController:
    """Keeps the KubeVirt CR as the HyperConverged says."""

    def __init__(self, client: ApiClient, owners: Informer, kubevirts: Informer, base: Object) -> None:
        self._client, self._owners, self._base = client, owners, base
        self.controller = Controller("hyperconverged", self._reconcile)
        self.controller.watch(owners)
        self.controller.watch(kubevirts, self._owner_of)

    def _owner_of(self, kubevirt: Object) -> list[Key]:
        return [Key(NAMESPACE, NAME)] if key_of(kubevirt) == Key(NAMESPACE, KUBEVIRT_NAME) else []

    async def _reconcile(self, key: Key) -> float | None:
        owner = self._owners.get(key.namespace, key.name)
        if owner is None:
            return None
        wanted = _spec(owner, self._base)

        def restore(kubevirt: Object) -> None:
            if kubevirt["spec"] != wanted:
                log.info("%s is not as %s says: written again", KUBEVIRT_NAME, NAME)
                kubevirt["spec"] = wanted

        current = await self._client.mutate(KUBEVIRTS, NAMESPACE, KUBEVIRT_NAME, restore)
        await self._client.mutate(
            HYPERCONVERGEDS, NAMESPACE, NAME, lambda seen: seen.update(status=_status(current)), "status"
        )
        return None


def _spec(owner: Object, base: Object) -> Object:
    spec: dict[str, Any] = copy.deepcopy(base)
    bindings = (owner.get("spec") or {}).get("networkBinding") or {}
    network = spec.setdefault("configuration", {}).setdefault("network", {})
    network["binding"] = {**copy.deepcopy(bindings), **copy.deepcopy(_L2_BRIDGE)}
    return spec


def _status(kubevirt: Object) -> Object:
    metadata = kubevirt["metadata"]
    related = {
        "apiVersion": KUBEVIRTS.api_version,
        "kind": KUBEVIRTS.kind,
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }
    available = {"type": "Available", "status": "True", "reason": "ReconcileCompleted", "message": ""}
    return {"relatedObjects": [related], "conditions": [available]}
