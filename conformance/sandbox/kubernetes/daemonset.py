"""The DaemonSet controller: one pod per node, status counted, pods of a removed set collected by their owner."""

from __future__ import annotations

from conformance.sandbox.client import DAEMON_SETS, PODS, ApiClient, ApiError, Object
from conformance.sandbox.controller import Controller, Informer, Key


class DaemonSets:
    """Creates what is missing and reports; an update of the template takes effect on new pods only."""

    def __init__(self, client: ApiClient, daemon_sets: Informer, pods: Informer, nodes: Informer) -> None:
        self._client, self._sets, self._pods, self._nodes = client, daemon_sets, pods, nodes
        self.controller = Controller("daemonset", self._reconcile)
        self.controller.watch(daemon_sets)
        self.controller.watch(pods, _owner_key)

    async def _reconcile(self, key: Key) -> float | None:
        daemon_set = self._sets.get(*key)
        if daemon_set is None or daemon_set["metadata"].get("deletionTimestamp"):
            return None
        mine = [pod for pod in self._pods if _owned_by(pod, daemon_set)]
        placed = {pod["spec"].get("nodeName") for pod in mine if not pod["metadata"].get("deletionTimestamp")}
        nodes = [node["metadata"]["name"] for node in self._nodes if _selected(daemon_set, node)]
        for node in nodes:
            if node not in placed:
                await self._create(daemon_set, node)
        await self._report(daemon_set, mine, len(nodes))
        return None

    async def _create(self, daemon_set: Object, node: str) -> None:
        meta, template = daemon_set["metadata"], daemon_set["spec"]["template"]
        owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": meta["name"], "uid": meta["uid"]}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template.get("metadata", {}),
                "name": f"{meta['name']}-{node}",
                "namespace": meta["namespace"],
                "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
            },
            "spec": {**template["spec"], "nodeName": node},
        }
        try:
            await self._client.create(PODS, pod)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise

    async def _report(self, daemon_set: Object, pods: list[Object], wanted: int) -> None:
        ready = sum(1 for pod in pods if _ready(pod))
        status = {
            "desiredNumberScheduled": wanted,
            "currentNumberScheduled": len(pods),
            "updatedNumberScheduled": len(pods),
            "numberReady": ready,
            "numberAvailable": ready,
            "numberMisscheduled": 0,
            "observedGeneration": daemon_set["metadata"]["generation"],
        }
        if daemon_set.get("status") != status:
            meta = daemon_set["metadata"]
            await self._client.merge(DAEMON_SETS, meta["namespace"], meta["name"], {"status": status}, "status")


def _owner_key(pod: Object) -> list[Key]:
    owners = pod["metadata"].get("ownerReferences", [])
    return [Key(pod["metadata"]["namespace"], owner["name"]) for owner in owners if owner["kind"] == "DaemonSet"]


def _owned_by(pod: Object, owner: Object) -> bool:
    return any(ref["uid"] == owner["metadata"]["uid"] for ref in pod["metadata"].get("ownerReferences", []))


def _selected(daemon_set: Object, node: Object) -> bool:
    selector = daemon_set["spec"]["template"]["spec"].get("nodeSelector") or {}
    labels = node["metadata"].get("labels", {})
    return all(labels.get(name) == value for name, value in selector.items())


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
