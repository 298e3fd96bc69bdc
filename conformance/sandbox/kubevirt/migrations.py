"""virt-controller's part of a migration: the target pod and the phases of the VMIM.

Sequence and messages as recorded on v1.9.0: Pending, Scheduling, Scheduled, PreparingTarget, TargetReady, Running,
Succeeded; Failed with the VMI left on its source.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Final

from conformance.sandbox.client import MIGRATIONS, PODS, VMIS, ApiClient, ApiError, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.events import EventRecorder
from conformance.sandbox.kubevirt import conditions, spec
from conformance.sandbox.kubevirt.clusterconfig import ClusterConfig
from conformance.sandbox.kubevirt.resources import memory_overhead
from conformance.sandbox.kubevirt.template import RenderError, TemplateService
from conformance.sandbox.kubevirt.vmis import current_pod, pods_of

FINALIZER: Final = "kubevirt.io/migrationJobFinalize"
CONFIGURATION: Final[Object] = {
    "allowAutoConverge": False,
    "allowPostCopy": False,
    "allowWorkloadDisruption": False,
    "bandwidthPerMigration": "0",
    "completionTimeoutPerGiB": 150,
    "maxDowntimeMs": 900,
    "nodeDrainTaintKey": "kubevirt.io/drain",
    "parallelMigrationsPerCluster": 5,
    "parallelOutboundMigrationsPerNode": 2,
    "progressTimeout": 150,
    "unsafeMigrationOverride": False,
    "utilityVolumesTimeout": 150,
}
_FINAL: Final = ("Succeeded", "Failed")
_BEFORE_HAND_OVER: Final = ("", "Pending", "Scheduling", "Scheduled")
_RETRY_SECONDS: Final = 1.0
_NAMING_UPGRADE: Final = "PodSecondaryInterfaceNamingUpgrade"
_OVER_QUOTA: Final = "migrationRejectedByResourceQuota"
_TARGET_LOST: Final = "Migration failed because target pod shutdown during migration"
_ABORT_REQUESTED: Final = "migrationAbortRequested"


def unfinished(migrations: Iterable[Object], vmi: Object) -> bool:
    """Whether a migration of the VMI has not ended yet."""
    meta = vmi["metadata"]
    return any(
        migration["spec"]["vmiName"] == meta["name"]
        and migration["metadata"]["namespace"] == meta["namespace"]
        and migration.get("status", {}).get("phase") not in _FINAL
        for migration in migrations
    )


class MigrationController:
    """Drives VirtualMachineInstanceMigrations; the handlers on both nodes do the moving."""

    def __init__(
        self,
        client: ApiClient,
        migrations: Informer,
        vmis: Informer,
        pods: Informer,
        kubevirts: Informer,
        template: TemplateService,
    ) -> None:
        self._client, self._migrations, self._vmis = client, migrations, vmis
        self._pods, self._kubevirts, self._template = pods, kubevirts, template
        self._events = EventRecorder(client, "virtualmachine-controller")
        self.controller = Controller("virt-controller migration", self._reconcile)
        self.controller.watch(migrations)
        self.controller.watch(vmis, self._of_vmi)
        self.controller.watch(pods, self._of_pod)
        self.controller.watch(kubevirts, lambda _: self._unfinished())

    def _of_vmi(self, vmi: Object) -> list[Key]:
        name, namespace = vmi["metadata"]["name"], vmi["metadata"]["namespace"]
        return [k for k in self._unfinished() if k.namespace == namespace and self._vmi_name(k) == name]

    def _of_pod(self, pod: Object) -> list[Key]:
        name = pod["metadata"].get("annotations", {}).get("kubevirt.io/migrationJobName")
        return [Key(pod["metadata"]["namespace"], name)] if name else []

    def _unfinished(self) -> list[Key]:
        live = [m for m in self._migrations if FINALIZER in (m["metadata"].get("finalizers") or [])]
        return [Key(m["metadata"]["namespace"], m["metadata"]["name"]) for m in live]

    def _vmi_name(self, key: Key) -> str | None:
        migration = self._migrations.get(*key)
        return migration["spec"]["vmiName"] if migration else None

    async def _reconcile(self, key: Key) -> float | None:
        migration = self._migrations.get(*key)
        if migration is None or FINALIZER not in (migration["metadata"].get("finalizers") or []):
            return None
        vmi = self._vmis.get(key.namespace, migration["spec"]["vmiName"])
        phase = migration.get("status", {}).get("phase", "")
        if phase in _FINAL:
            return await self._finish(migration, vmi)
        if vmi is None:
            return await self._fail(migration, vmi, "Migration failed because vmi does not exist.")
        if vmi["status"].get("phase") in _FINAL:
            return await self._fail(migration, vmi, "Migration failed vmi shutdown during migration.")
        if migration["metadata"].get("deletionTimestamp") and phase in _BEFORE_HAND_OVER:
            return await self._cancel(migration, vmi)
        step = {"": self._start, "Pending": self._create_target, "Scheduling": self._await_target}.get(phase)
        if step is not None:
            return await step(migration, vmi)
        if phase == "Scheduled":
            return await self._hand_over(migration, vmi)
        return await self._follow(migration, vmi)

    async def _start(self, migration: Object, vmi: Object) -> float | None:
        source = current_pod(self._pods, vmi)
        state = {"sourcePod": source["metadata"]["name"]} if source else {}
        await self._enter(migration, "Pending", {"migrationState": state})
        return None

    async def _create_target(self, migration: Object, vmi: Object) -> float | None:
        target = self._target(migration)
        if target is None:
            if not await self._may_start(migration, vmi):
                return _RETRY_SECONDS
            vmi = await self._touch(vmi)
            kubevirt = next(iter(self._kubevirts), None)
            registered, source = spec.registrations(kubevirt), current_pod(self._pods, vmi)
            keep = not ClusterConfig(kubevirt or {}, self._template.facts).gate_enabled(_NAMING_UPGRADE)
            try:
                pod = await self._template.render_target(vmi, registered, migration, source, keep_names=keep)
            except RenderError:
                return _RETRY_SECONDS
            try:
                target = await self._client.create(PODS, pod)
            except ApiError as error:
                return await self._refused(migration, vmi, error)
            self._pods.remember(target)
            message = f"Created migration target pod {target['metadata']['name']}"
            await self._events.normal(migration, "SuccessfulCreate", message)
        await self._enter(migration, "Scheduling")
        return None

    async def _refused(self, migration: Object, vmi: Object, error: ApiError) -> float:
        """The API has no target pod for us: said on the VMI, and of a quota on the migration too."""
        await self._events.warning(vmi, "FailedCreate", f"Error creating pod: {error.message}")
        meta = migration["metadata"]
        if "exceeded quota" in error.message:

            def tell(obj: Object) -> None:
                conditions.put(obj, _OVER_QUOTA, True)

            await self._client.mutate(MIGRATIONS, meta["namespace"], meta["name"], tell, "status")
        return _RETRY_SECONDS

    async def _touch(self, vmi: Object) -> Object:
        """What virt-controller notes on the VMI before every target pod: that its launchers run without root.

        The VMI as it is now: without the label of a migration that has only just ended.
        """
        meta = vmi["metadata"]
        patch = {"metadata": {"annotations": {"kubevirt.io/nonroot": "true"}}}
        return await self._client.merge(VMIS, meta["namespace"], meta["name"], patch)

    async def _may_start(self, migration: Object, vmi: Object) -> bool:
        """No other migration of the VMI under way, no pod left of an earlier one, and the VMI there to stay."""
        mine = migration["metadata"]["uid"]
        state = vmi["status"].get("migrationState") or {}
        busy = state.get("migrationUid") not in (None, mine) and not (state.get("completed") or state.get("failed"))
        living = [p for p in pods_of(self._pods, vmi) if p.get("status", {}).get("phase") not in _FINAL]
        return not busy and len(living) <= 1 and not vmi["metadata"].get("deletionTimestamp")

    def _target(self, migration: Object) -> Object | None:
        uid = migration["metadata"]["uid"]
        labelled = (p for p in self._pods if p["metadata"].get("labels", {}).get("kubevirt.io/migrationJobUID") == uid)
        return next(labelled, None)

    async def _await_target(self, migration: Object, vmi: Object) -> float | None:
        target = self._target(migration)
        if target is None or target["metadata"].get("deletionTimestamp") or _ended(target):
            return await self._fail(migration, vmi, _TARGET_LOST)
        if conditions.is_started(target):
            await self._enter(migration, "Scheduled")
        return None

    async def _hand_over(self, migration: Object, vmi: Object) -> float | None:
        target = self._target(migration)
        if target is None or _ended(target):
            return await self._fail(migration, vmi, _TARGET_LOST)
        source = current_pod(self._pods, vmi)
        meta, overhead = vmi["metadata"], memory_overhead(target)

        def change(obj: Object) -> None:
            obj["metadata"].setdefault("labels", {})["kubevirt.io/migrationTargetNodeName"] = target["spec"]["nodeName"]
            obj["status"]["migrationState"] = {
                "migrationUid": migration["metadata"]["uid"],
                "migrationConfiguration": copy.deepcopy(CONFIGURATION),
                "sourceNode": obj["status"]["nodeName"],
                "sourcePod": source["metadata"]["name"] if source else "",
                "targetNode": target["spec"]["nodeName"],
                "targetPod": target["metadata"]["name"],
            } | ({"targetMemoryOverhead": overhead} if overhead else {})

        await self._client.mutate(VMIS, meta["namespace"], meta["name"], change)
        message = "Migration target pod is ready for preparation by virt-handler."
        await self._events.normal(migration, "SuccessfulHandOver", message)
        await self._enter(migration, "PreparingTarget")
        return None

    async def _follow(self, migration: Object, vmi: Object) -> float | None:
        """PreparingTarget, TargetReady and Running follow what the handlers write into the VMI."""
        state = vmi["status"].get("migrationState") or {}
        if state.get("migrationUid") != migration["metadata"]["uid"]:
            return await self._fail(migration, vmi, "Migration failed: superseded")
        phase = migration["status"]["phase"]
        if state.get("failed"):
            return await self._fail(migration, vmi, "source node reported migration failed")
        target = self._target(migration)
        if not state.get("endTimestamp") and (target is None or _ended(target)):
            # A real target's launcher takes longer to end than the deleted VM, so that the VM's end is what is told.
            leaving = vmi["metadata"].get("deletionTimestamp")
            return None if leaving else await self._fail(migration, vmi, _TARGET_LOST)
        if migration["metadata"].get("deletionTimestamp") and not state.get("abortRequested"):
            await self._request_abort(migration, vmi)
        if state.get("completed"):
            message = "Source node reported migration succeeded"
            await self._events.normal(migration, "SuccessfulMigration", message)
            await self._enter(migration, "Succeeded", {"migrationState": copy.deepcopy(state)})
        elif state.get("startTimestamp") and phase != "Running":
            await self._enter(migration, "Running")
        elif state.get("targetNodeAddress") and phase == "PreparingTarget":
            await self._enter(migration, "TargetReady")
        return None

    async def _request_abort(self, migration: Object, vmi: Object) -> None:
        """Leave the word to virt-handler: the domain may be on its way already."""
        meta = vmi["metadata"]
        patch = {"status": {"migrationState": {"abortRequested": True}}}
        await self._client.merge(VMIS, meta["namespace"], meta["name"], patch)
        message = "Migration is ready to be canceled by virt-handler."
        await self._events.normal(migration, "SuccessfulAbortMigration", message)
        await self._note_abort(migration)

    async def _note_abort(self, migration: Object) -> None:
        meta = migration["metadata"]
        noted = await self._client.mutate(
            MIGRATIONS,
            meta["namespace"],
            meta["name"],
            lambda obj: conditions.put(obj, _ABORT_REQUESTED, True),
            "status",
        )
        self._migrations.remember(noted)

    async def _cancel(self, migration: Object, vmi: Object) -> float | None:
        """A migration deleted before virt-handler knows of it ends with its target pod."""
        if (target := self._target(migration)) is not None:
            meta = target["metadata"]
            await self._client.delete(PODS, meta["namespace"], meta["name"], uid=meta["uid"])
            message = f"migration canceled and pod {meta['namespace']}/{meta['name']} is deleted"
            await self._events.normal(migration, "SuccessfulDelete", message)
        await self._note_abort(migration)
        return await self._fail(migration, vmi, "Migration failed due to being canceled")

    async def _fail(self, migration: Object, vmi: Object | None, message: str) -> float | None:
        """Enter Failed. The target's pod is left to its virt-handler, which ends the launcher."""
        await self._events.warning(migration, "FailedMigration", message)
        if vmi is not None and not vmi["metadata"].get("deletionTimestamp"):
            await self._mark_failed(migration, vmi, message)
        state = copy.deepcopy((vmi or {}).get("status", {}).get("migrationState") or {})
        own = state.get("migrationUid") == migration["metadata"]["uid"]
        await self._enter(migration, "Failed", {"migrationState": state} if own else None)
        return None

    async def _mark_failed(self, migration: Object, vmi: Object, message: str) -> None:
        meta = vmi["metadata"]

        def change(obj: Object) -> None:
            state = obj["status"].get("migrationState") or {}
            if state.get("migrationUid") == migration["metadata"]["uid"]:
                state.update(failed=True, completed=True)
                state.setdefault("failureReason", message)
            obj["metadata"].get("labels", {}).pop("kubevirt.io/migrationTargetNodeName", None)

        await self._client.mutate(VMIS, meta["namespace"], meta["name"], change)

    async def _finish(self, migration: Object, vmi: Object | None) -> float | None:
        """Drop the finalizer once the VMI no longer points at the target."""
        meta = migration["metadata"]
        if vmi is not None and "kubevirt.io/migrationTargetNodeName" in vmi["metadata"].get("labels", {}):

            def unlabel(obj: Object) -> None:
                obj["metadata"].get("labels", {}).pop("kubevirt.io/migrationTargetNodeName", None)

            await self._client.mutate(VMIS, meta["namespace"], vmi["metadata"]["name"], unlabel)

        def release(obj: Object) -> None:
            kept = [finalizer for finalizer in obj["metadata"].get("finalizers") or [] if finalizer != FINALIZER]
            obj["metadata"]["finalizers"] = kept

        await self._client.mutate(MIGRATIONS, meta["namespace"], meta["name"], release)
        return None

    async def _enter(self, migration: Object, phase: str, extra: Object | None = None) -> None:
        meta = migration["metadata"]

        def change(obj: Object) -> None:
            conditions.enter_phase(obj, phase)
            conditions.drop(obj, _OVER_QUOTA)
            obj["status"].update(extra or {})

        changed = await self._client.mutate(MIGRATIONS, meta["namespace"], meta["name"], change, "status")
        self._migrations.remember(changed)
        self.controller.enqueue(Key(meta["namespace"], meta["name"]))


def _ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in _FINAL
