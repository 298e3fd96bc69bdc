"""virt-controller's evacuation: VMIs that are to leave their node get a migration each.

A VMI is to leave when an eviction of its pod has marked it (`status.evacuationNodeName`), or when its node carries the
drain taint and its eviction strategy asks for migration. Source: KubeVirt `pkg/virt-controller/watch/drain`; the
migration's shape as recorded on v1.9.0.
"""

from __future__ import annotations

from typing import Final

from conformance.sandbox.client import MIGRATIONS, ApiClient, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.events import EventRecorder
from conformance.sandbox.kubevirt import conditions
from conformance.sandbox.kubevirt.facts import VersionFacts
from conformance.sandbox.kubevirt.migrations import CONFIGURATION, unfinished

STRATEGIES: Final = ("LiveMigrate", "LiveMigrateIfPossible")
_ANNOTATION: Final = "kubevirt.io/evacuationMigration"
_RETRY_SECONDS: Final = 1.0


class EvacuationController:
    """Empties nodes: a few migrations at a time, another one for a VMI only after the last has ended."""

    def __init__(
        self, client: ApiClient, nodes: Informer, vmis: Informer, migrations: Informer, facts: VersionFacts
    ) -> None:
        self._client, self._nodes, self._vmis, self._migrations = client, nodes, vmis, migrations
        self._facts = facts
        self._events = EventRecorder(client, "evacuation-controller")
        self.controller = Controller("virt-controller evacuation", self._reconcile)
        self.controller.watch(nodes)
        self.controller.watch(vmis, self._node_of)
        self.controller.watch(migrations, lambda _: [Key("", node["metadata"]["name"]) for node in self._nodes])

    def _node_of(self, vmi: Object) -> list[Key]:
        name = vmi.get("status", {}).get("nodeName")
        return [Key("", name)] if name else []

    async def _reconcile(self, key: Key) -> float | None:
        node = self._nodes.get(*key)
        if node is None:
            return None
        leaving = [vmi for vmi in self._vmis if _leaves(vmi, node)]
        waiting = [vmi for vmi in leaving if not unfinished(self._migrations, vmi)]
        free = int(CONFIGURATION["parallelOutboundMigrationsPerNode"]) - (len(leaving) - len(waiting))
        for vmi in waiting[: max(free, 0)]:
            await self._migrate(vmi, key.name)
        return _RETRY_SECONDS if len(waiting) > free else None

    async def _migrate(self, vmi: Object, node: str) -> None:
        meta, priority = vmi["metadata"], self._facts.evacuation_priority
        migration: Object = {
            "apiVersion": MIGRATIONS.api_version,
            "kind": MIGRATIONS.kind,
            "metadata": {
                "generateName": "kubevirt-evacuation-",
                "namespace": meta["namespace"],
                "annotations": {_ANNOTATION: node},
            },
            "spec": {"vmiName": meta["name"]} | ({"priority": priority} if priority else {}),
        }
        created = await self._client.create(MIGRATIONS, migration)
        self._migrations.remember(created)
        await self._events.normal(vmi, "SuccessfulCreate", f"Created Migration {created['metadata']['name']}")


def _leaves(vmi: Object, node: Object) -> bool:
    """Whether a running VMI is to be moved off the node, and can be."""
    name, status = node["metadata"]["name"], vmi.get("status", {})
    if status.get("nodeName") != name or status.get("phase") != "Running" or vmi["metadata"].get("deletionTimestamp"):
        return False
    drained = _tainted(node) and vmi["spec"].get("evictionStrategy") in STRATEGIES
    return (drained or status.get("evacuationNodeName") == name) and conditions.is_true(vmi, "LiveMigratable")


def _tainted(node: Object) -> bool:
    taints = node.get("spec", {}).get("taints") or []
    wanted = (CONFIGURATION["nodeDrainTaintKey"], "NoSchedule")
    return any((taint.get("key"), taint.get("effect")) == wanted for taint in taints)
