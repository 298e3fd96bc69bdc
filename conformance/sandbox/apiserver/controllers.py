"""The control loops that belong to the API itself: namespaces, definitions, garbage collection, token Secrets.

They react to changes in the store, one at a time and in order, and write through the same operations as clients.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import Any

from conformance.sandbox.apiserver.authorization.aggregation import Aggregation
from conformance.sandbox.apiserver.authorization.policy import CLUSTER_ROLES
from conformance.sandbox.apiserver.crds import established, resources_of
from conformance.sandbox.apiserver.errors import KubeObject, StatusError
from conformance.sandbox.apiserver.kinds import CRD_FINALIZER, CRDS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS
from conformance.sandbox.apiserver.operations import Operations
from conformance.sandbox.apiserver.options import FOREGROUND, INTERNAL, DeleteOptions, private_copy
from conformance.sandbox.apiserver.resources import Resource, ResourceKey
from conformance.sandbox.apiserver.store import Change
from conformance.sandbox.apiserver.tokens import TokenIssuer

log = logging.getLogger(__name__)

_ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"
_TOKEN_TYPE = "kubernetes.io/service-account-token"


class Controllers:
    """Runs the loops. `authority` is the CA certificate (PEM) that namespaces and token Secrets publish."""

    def __init__(self, operations: Operations, issuer: TokenIssuer, authority: str) -> None:
        self._operations = operations
        self._store = operations.store
        self._registry = operations.registry
        self._issuer = issuer
        self._aggregation = Aggregation(operations)
        self._authority = authority
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._uids: set[str] = set()
        self._dependents: dict[str, set[tuple[ResourceKey, str, str]]] = {}
        self._served: dict[str, int] = {}
        operations.orphan = self._orphan_dependents
        self._store.listen(self._observe)

    def _observe(self, change: Change) -> None:
        """Keep the owner index exact at every moment; everything else is done in the loop."""
        metadata = change.object["metadata"]
        if change.type == "DELETED":
            self._uids.discard(metadata["uid"])
        else:
            self._uids.add(metadata["uid"])
            for owner in metadata.get("ownerReferences") or []:
                at = (change.key, metadata.get("namespace", ""), metadata["name"])
                self._dependents.setdefault(owner["uid"], set()).add(at)
        self._changes.put_nowait(change)

    async def run(self) -> None:
        """Handle changes for ever. A failure is logged and does not end the loop."""
        while True:
            self.handle(await self._changes.get())

    def handle_pending(self) -> None:
        """Handle everything queued by now, without waiting (used while starting)."""
        while not self._changes.empty():
            self.handle(self._changes.get_nowait())

    def handle(self, change: Change) -> None:
        """React to one change."""
        try:
            if change.key == NAMESPACES:
                self._sync_namespace(change)
            elif change.key == CRDS:
                self._sync_definition(change)
            elif change.key == SECRETS and change.type == "ADDED":
                self._fill_token(change.object)
            elif change.key == CLUSTER_ROLES:
                self._aggregation.sync()
            if change.type == "DELETED":
                self._after_removal(change)
            else:
                self._collect(change)
        except StatusError as error:
            log.warning("controller: %s of %s: %s", change.type, change.key, error)

    # ------------------------------------------------------------------------------------------ namespaces

    def _sync_namespace(self, change: Change) -> None:
        name = change.object["metadata"]["name"]
        if change.type == "ADDED":
            self._create(SERVICE_ACCOUNTS, name, {"metadata": {"name": "default"}})
            root = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": self._authority}}
            self._create(("", "configmaps"), name, root)
        elif change.type == "MODIFIED":
            self._empty_namespace(name)

    def _empty_namespace(self, name: str) -> None:
        """Delete what is left in a terminating namespace; release the namespace when nothing is."""
        namespace = self._store.get(NAMESPACES, "", name)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return
        for resource in self._registry.stored():
            if resource.namespaced:
                for obj in self._store.list(resource.key, name):
                    self._delete(resource, obj)
        left = any(self._store.list(resource.key, name) for resource in self._registry.stored() if resource.namespaced)
        if not left:
            released = private_copy(namespace)
            released["spec"] = {}
            self._write(NAMESPACES, namespace, released, "finalize")

    # ------------------------------------------------------------------------------------------ definitions

    def _sync_definition(self, change: Change) -> None:
        name = change.object["metadata"]["name"]
        crd = self._store.get(CRDS, "", name)
        if crd is None:
            self._served.pop(name, None)
            self._registry.remove(_defined(change.object))
        elif crd["metadata"].get("deletionTimestamp"):
            self._empty_definition(crd)
        elif self._served.get(name) != crd["metadata"]["generation"]:
            self._serve(crd)

    def _serve(self, crd: KubeObject) -> None:
        self._registry.remove(_defined(crd))
        for resource in resources_of(crd):
            self._registry.add(resource)
        self._served[crd["metadata"]["name"]] = crd["metadata"]["generation"]
        updated = private_copy(crd)
        updated["status"] = established(updated)
        self._write(CRDS, crd, updated, "status")

    def _empty_definition(self, crd: KubeObject) -> None:
        """Delete the custom resources of a definition that is being deleted, then let it go."""
        key = _defined(crd)
        resource = self._registry.by_key(key)
        if resource:
            for obj in self._store.list(key):
                self._delete(resource, obj)
        if not self._store.list(key):
            released = private_copy(crd)
            finalizers = released["metadata"].get("finalizers", [])
            released["metadata"]["finalizers"] = [entry for entry in finalizers if entry != CRD_FINALIZER]
            self._write(CRDS, crd, released)

    # ------------------------------------------------------------------------------------------ owners

    def _collect(self, change: Change) -> None:
        """Delete an object whose owners are all gone, and the dependents of one deleted in the foreground."""
        obj = self._current(change)
        if obj is None:
            return
        owners = obj["metadata"].get("ownerReferences") or []
        if owners and not any(self._exists(owner) for owner in owners):
            resource = self._registry.by_key(change.key)
            if resource:
                self._delete(resource, obj)
        if obj["metadata"].get("deletionTimestamp") and FOREGROUND in (obj["metadata"].get("finalizers") or []):
            self._finish_foreground(change.key, obj)

    def _after_removal(self, change: Change) -> None:
        metadata = change.object["metadata"]
        for key, namespace, name in self._dependents.pop(metadata["uid"], ()):
            dependent = self._store.get(key, namespace, name)
            if dependent:
                self._collect(Change(0, key, "MODIFIED", dependent, None))
        for owner in metadata.get("ownerReferences") or []:
            found = self._owner(owner, metadata.get("namespace", ""))
            if found and FOREGROUND in (found[1]["metadata"].get("finalizers") or []):
                self._finish_foreground(found[0].key, found[1])
        if metadata.get("namespace"):
            self._empty_namespace(metadata["namespace"])
        definition = self._store.get(CRDS, "", f"{change.key[1]}.{change.key[0]}")
        if definition and definition["metadata"].get("deletionTimestamp"):
            self._empty_definition(definition)

    def _exists(self, owner: dict[str, Any]) -> bool:
        """Whether an owner is there; one of a kind that nobody serves gets the benefit of the doubt."""
        return owner["uid"] in self._uids or self._registry.by_kind(owner["apiVersion"], owner["kind"]) is None

    def _owner(self, owner: dict[str, Any], namespace: str) -> tuple[Resource, KubeObject] | None:
        resource = self._registry.by_kind(owner["apiVersion"], owner["kind"])
        if resource is None:
            return None
        found = self._store.get(resource.key, namespace if resource.namespaced else "", owner["name"])
        return (resource, found) if found and found["metadata"]["uid"] == owner["uid"] else None

    def _living_dependents(self, uid: str) -> list[tuple[Resource, KubeObject]]:
        living = []
        for key, namespace, name in sorted(self._dependents.get(uid, ())):
            resource, obj = self._registry.by_key(key), self._store.get(key, namespace, name)
            owners = (obj or {"metadata": {}})["metadata"].get("ownerReferences") or []
            if resource and obj and any(owner["uid"] == uid for owner in owners):
                living.append((resource, obj))
        return living

    def _finish_foreground(self, key: ResourceKey, owner: KubeObject) -> None:
        """Delete the dependents of an owner; release the owner when none is left."""
        for resource, dependent in self._living_dependents(owner["metadata"]["uid"]):
            self._delete(resource, dependent)
        current = self._store.get(key, owner["metadata"].get("namespace", ""), owner["metadata"]["name"])
        if current is None or self._living_dependents(owner["metadata"]["uid"]):
            return
        released = private_copy(current)
        finalizers = released["metadata"].get("finalizers") or []
        released["metadata"]["finalizers"] = [entry for entry in finalizers if entry != FOREGROUND]
        self._write(key, current, released)

    def _orphan_dependents(self, owner: KubeObject) -> None:
        """Take an owner's reference off its dependents, so that they outlive it."""
        uid = owner["metadata"]["uid"]
        for resource, dependent in self._living_dependents(uid):
            freed = private_copy(dependent)
            references = freed["metadata"]["ownerReferences"]
            freed["metadata"]["ownerReferences"] = [entry for entry in references if entry["uid"] != uid]
            self._write(resource.key, dependent, freed)
        self._dependents.pop(uid, None)

    # ------------------------------------------------------------------------------------------ token Secrets

    def _fill_token(self, secret: KubeObject) -> None:
        """Put a token into a Secret of type service-account-token."""
        metadata = secret["metadata"]
        account_name = (metadata.get("annotations") or {}).get(_ACCOUNT_ANNOTATION)
        if secret.get("type") != _TOKEN_TYPE or not account_name or (secret.get("data") or {}).get("token"):
            return
        namespace = metadata["namespace"]
        account = self._store.get(SERVICE_ACCOUNTS, namespace, account_name)
        if account is None:
            return
        uid = account["metadata"]["uid"]
        values = {
            "token": self._issuer.issue(namespace, account_name, uid, seconds=None),
            "ca.crt": self._authority,
            "namespace": namespace,
        }
        filled = private_copy(secret)
        filled["data"] = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        filled["metadata"]["annotations"]["kubernetes.io/service-account.uid"] = uid
        self._write(SECRETS, secret, filled)

    # ------------------------------------------------------------------------------------------ writes

    def _current(self, change: Change) -> KubeObject | None:
        metadata = change.object["metadata"]
        current = self._store.get(change.key, metadata.get("namespace", ""), metadata["name"])
        return current if current and current["metadata"]["uid"] == metadata["uid"] else None

    def _resource(self, key: ResourceKey) -> Resource:
        resource = self._registry.by_key(key)
        if resource is None:
            raise StatusError(404, "NotFound", f"{key} is not served")
        return resource

    def _create(self, key: ResourceKey, namespace: str, body: KubeObject) -> None:
        if self._store.get(key, namespace, body["metadata"]["name"]) is None:
            self._operations.create(self._resource(key), namespace, body, INTERNAL)

    def _write(self, key: ResourceKey, old: KubeObject, new: KubeObject, subresource: str = "") -> None:
        self._operations.update(self._resource(key), old, new, INTERNAL.on(subresource))

    def _delete(self, resource: Resource, obj: KubeObject) -> None:
        if not obj["metadata"].get("deletionTimestamp"):
            self._operations.delete(resource, obj, DeleteOptions(), INTERNAL)


def _defined(crd: KubeObject) -> ResourceKey:
    return crd["spec"]["group"], crd["spec"]["names"]["plural"]
