"""virt-controller's workload updates: a VMI that has to migrate to be what its VM asks for gets a migration.

Only where the KubeVirt resource lists LiveMigrate in `spec.workloadUpdateStrategy.workloadUpdateMethods`, which an
installation does not by itself. Source: KubeVirt `pkg/virt-controller/watch/workload-updater`.
"""

from __future__ import annotations

from typing import Final

from conformance.sandbox.client import MIGRATIONS, ApiClient, Object
from conformance.sandbox.controller import Controller, Informer, Key, key_of
from conformance.sandbox.events import EventRecorder
from conformance.sandbox.kubevirt import conditions
from conformance.sandbox.kubevirt.facts import VersionFacts
from conformance.sandbox.kubevirt.liveupdate import MIGRATION_REQUIRED
from conformance.sandbox.kubevirt.migrations import unfinished

_ANNOTATION: Final = "kubevirt.io/workloadUpdateMigration"


class WorkloadUpdateController:
    """One migration at a time for each VMI that needs one."""

    def __init__(
        self, client: ApiClient, vmis: Informer, migrations: Informer, kubevirts: Informer, facts: VersionFacts
    ) -> None:
        self._client, self._vmis, self._migrations, self._kubevirts = client, vmis, migrations, kubevirts
        self._facts = facts
        self._events = EventRecorder(client, "workload-update-controller")
        self.controller = Controller("virt-controller workload updates", self._reconcile)
        self.controller.watch(vmis)
        self.controller.watch(migrations, lambda m: [Key(m["metadata"]["namespace"], m["spec"]["vmiName"])])
        self.controller.watch(kubevirts, lambda _: [key_of(vmi) for vmi in self._vmis])

    async def _reconcile(self, key: Key) -> float | None:
        vmi = self._vmis.get(*key)
        if vmi is None or not self._migrates_by_itself() or not _waits(vmi) or unfinished(self._migrations, vmi):
            return None
        priority = self._facts.update_priority
        migration: Object = {
            "apiVersion": MIGRATIONS.api_version,
            "kind": MIGRATIONS.kind,
            "metadata": {
                "generateName": "kubevirt-workload-update-",
                "namespace": key.namespace,
                "annotations": {_ANNOTATION: ""},
            },
            "spec": {"vmiName": key.name} | ({"priority": priority} if priority else {}),
        }
        created = await self._client.create(MIGRATIONS, migration)
        self._migrations.remember(created)
        message = f"Created Migration {created['metadata']['name']} for automated workload update"
        await self._events.normal(vmi, "SuccessfulCreate", message)
        return None

    def _migrates_by_itself(self) -> bool:
        kubevirt = next(iter(self._kubevirts), {})
        strategy = kubevirt.get("spec", {}).get("workloadUpdateStrategy") or {}
        return "LiveMigrate" in (strategy.get("workloadUpdateMethods") or [])


def _waits(vmi: Object) -> bool:
    """Whether a running VMI that is to stay has to migrate, and can."""
    running = vmi.get("status", {}).get("phase") == "Running" and not vmi["metadata"].get("deletionTimestamp")
    return running and conditions.is_true(vmi, MIGRATION_REQUIRED) and conditions.is_true(vmi, "LiveMigratable")
