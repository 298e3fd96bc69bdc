"""virt-controller's part of a VirtualMachine: its VMI, run strategy, restart, and status."""

from __future__ import annotations

import copy
from typing import Final

from conformance.sandbox.client import VMIS, VMS, ApiClient, ApiError, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.events import EventRecorder
from conformance.sandbox.kubevirt import conditions, spec, startfailure
from conformance.sandbox.kubevirt.clusterconfig import ClusterConfig
from conformance.sandbox.kubevirt.facts import VersionFacts
from conformance.sandbox.kubevirt.liveupdate import restart_required, update_networks
from conformance.sandbox.kubevirt.template import VM_GENERATION

FINALIZER: Final = "kubevirt.io/virtualMachineControllerFinalize"
_FINAL: Final = ("Succeeded", "Failed")
_COPIED_CONDITIONS: Final = (
    "Ready",
    "LiveMigratable",
    "StorageLiveMigratable",
    "Synchronized",
    "Paused",
    "AgentConnected",
)


class VmController:
    """Keeps one VMI per running VirtualMachine."""

    def __init__(
        self, client: ApiClient, vms: Informer, vmis: Informer, kubevirts: Informer, facts: VersionFacts
    ) -> None:
        self._client, self._vms, self._vmis = client, vms, vmis
        self._kubevirts, self._facts = kubevirts, facts
        self._started_as: dict[str, tuple[str, Object]] = {}
        self._events = EventRecorder(client, "virtualmachine-controller")
        self.controller = Controller("virt-controller vm", self._reconcile)
        self.controller.watch(vms)
        self.controller.watch(vmis)

    def _config(self) -> ClusterConfig:
        return ClusterConfig(next(iter(self._kubevirts), {}), self._facts)

    async def _reconcile(self, key: Key) -> float | None:
        vm = self._vms.get(*key)
        if vm is None:
            return None
        vmi = self._vmis.get(*key)
        if vmi is not None and not _owned(vmi, vm):
            vmi = None
        if vm["metadata"].get("deletionTimestamp"):
            return await self._delete(vm, vmi)
        if FINALIZER not in (vm["metadata"].get("finalizers") or []):
            await self._client.mutate(VMS, *key, _add_finalizer)
        wanted = _runs(vm)
        if vmi is not None and (not wanted or _asked_to_stop(vm, vmi) or vmi.get("status", {}).get("phase") in _FINAL):
            await self._stop(vm, vmi)
        elif vmi is None and wanted:
            await self._report(vm, None)
            if (pause := startfailure.pause(vm)) > 0:
                return pause
            vmi = await self._start(vm)
        elif vmi is not None:
            await self._update_live(vm, vmi)
            await self._follow_generation(vm, vmi)
        await self._report(vm, vmi)
        return None

    async def _start(self, vm: Object) -> Object | None:
        meta, template = vm["metadata"], copy.deepcopy(vm["spec"]["template"])
        annotations = (template.get("metadata") or {}).get("annotations") or {}
        owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": meta["name"], "uid": meta["uid"]}
        body = {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstance",
            "metadata": {
                "name": meta["name"],
                "namespace": meta["namespace"],
                "labels": (template.get("metadata") or {}).get("labels") or {},
                "annotations": annotations | {VM_GENERATION: str(meta["generation"])},
                "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
            },
            "spec": template["spec"],
        }
        try:
            vmi = await self._client.create(VMIS, body)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return None
            raise
        self._vmis.remember(vmi)
        self._started_as[meta["uid"]] = (vmi["metadata"]["uid"], copy.deepcopy(vm["spec"]["template"]))
        message = f"Started the virtual machine by creating the new virtual machine instance {meta['name']}"
        await self._events.normal(vm, "SuccessfulCreate", message)
        return vmi

    async def _stop(self, vm: Object, vmi: Object) -> None:
        meta = vmi["metadata"]
        if meta.get("deletionTimestamp"):
            return
        await self._client.delete(VMIS, meta["namespace"], meta["name"], uid=meta["uid"])
        message = f"Stopped the virtual machine by deleting the virtual machine instance {meta['uid']}"
        await self._events.normal(vm, "SuccessfulDelete", message)

    async def _delete(self, vm: Object, vmi: Object | None) -> float | None:
        if vmi is not None:
            await self._stop(vm, vmi)
            await self._report(vm, vmi)
            return None

        self._started_as.pop(vm["metadata"]["uid"], None)

        def release(obj: Object) -> None:
            kept = [f for f in obj["metadata"].get("finalizers") or [] if f != FINALIZER]
            obj["metadata"]["finalizers"] = kept

        await self._client.mutate(VMS, vm["metadata"]["namespace"], vm["metadata"]["name"], release)
        return None

    async def _update_live(self, vm: Object, vmi: Object) -> None:
        """Copy what reaches a running VMI: the link state of an interface, and a secondary network's name."""
        template, config = vm["spec"]["template"], self._config()
        wanted = {i["name"]: i.get("state") for i in spec.interfaces({"spec": template["spec"]})}
        same = all(wanted.get(i["name"]) == i.get("state") for i in spec.interfaces(vmi) if i["name"] in wanted)
        if same and not update_networks(copy.deepcopy(vmi), template, config):
            return

        def change(obj: Object) -> None:
            update_networks(obj, template, config)
            for interface in spec.interfaces(obj):
                state = wanted.get(interface["name"])
                if state is None:
                    interface.pop("state", None)
                else:
                    interface["state"] = state

        await self._client.mutate(VMIS, vmi["metadata"]["namespace"], vmi["metadata"]["name"], change)

    async def _follow_generation(self, vm: Object, vmi: Object) -> None:
        """The VMI carries the newest generation of its VM that describes it as it was started."""
        meta, generation = vmi["metadata"], str(vm["metadata"]["generation"])
        known = (meta.get("annotations") or {}).get(VM_GENERATION)
        as_now = (meta["uid"], vm["spec"]["template"])
        if known != generation and self._started_as.get(vm["metadata"]["uid"]) == as_now:
            patch = {"metadata": {"annotations": {VM_GENERATION: generation}}}
            await self._client.merge(VMIS, meta["namespace"], meta["name"], patch)

    async def _report(self, vm: Object, vmi: Object | None) -> None:
        def change(obj: Object) -> None:
            status = obj.setdefault("status", {})
            status["printableStatus"] = _printable(obj, vmi)
            status["runStrategy"] = _strategy(obj)
            status["desiredGeneration"] = obj["metadata"]["generation"]
            if generation := _generation_of(vmi):
                status["observedGeneration"] = generation
            startfailure.note(status, vmi)
            for name, holds in (("created", vmi is not None), ("ready", _ready(vmi))):
                if holds:
                    status[name] = True
                else:
                    status.pop(name, None)
            _drop_done_requests(status, vmi)
            _copy_conditions(obj, vmi)
            if vmi is None or vmi["metadata"].get("deletionTimestamp"):
                conditions.drop(obj, "RestartRequired")
            elif not conditions.is_true(obj, "RestartRequired") and restart_required(
                obj["spec"]["template"], vmi, self._config()
            ):
                message = "a non-live-updatable field was changed in the template spec"
                conditions.put(obj, "RestartRequired", True, "", message)

        meta = vm["metadata"]
        self._vms.remember(await self._client.mutate(VMS, meta["namespace"], meta["name"], change, "status"))


def _generation_of(vmi: Object | None) -> int | None:
    """The generation of its VM that a VMI says it runs."""
    annotation = ((vmi or {}).get("metadata", {}).get("annotations") or {}).get(VM_GENERATION)
    return int(annotation) if annotation else None


def _owned(vmi: Object, vm: Object) -> bool:
    return any(ref["uid"] == vm["metadata"]["uid"] for ref in vmi["metadata"].get("ownerReferences") or [])


def _add_finalizer(vm: Object) -> None:
    finalizers = vm["metadata"].setdefault("finalizers", [])
    if FINALIZER not in finalizers:
        finalizers.append(FINALIZER)


def _strategy(vm: Object) -> str:
    """`runStrategy`, or what the older `running` means."""
    if "running" in vm["spec"]:
        return "Always" if vm["spec"]["running"] else "Halted"
    return str(vm["spec"].get("runStrategy", "Halted"))


def _runs(vm: Object) -> bool:
    requests = vm.get("status", {}).get("stateChangeRequests") or []
    starting = any(request["action"] == "Start" for request in requests)
    return _strategy(vm) in ("Always", "RerunOnFailure") or (_strategy(vm) == "Manual" and starting)


def _asked_to_stop(vm: Object, vmi: Object) -> bool:
    """Whether a stop or restart request names this very VMI."""
    requests = vm.get("status", {}).get("stateChangeRequests") or []
    return any(r["action"] == "Stop" and r.get("uid") == vmi["metadata"]["uid"] for r in requests)


def _drop_done_requests(status: Object, vmi: Object | None) -> None:
    requests = status.get("stateChangeRequests") or []
    if not requests:
        return
    uid = vmi["metadata"]["uid"] if vmi is not None else None
    left = [r for r in requests if (r["action"] == "Stop" and r.get("uid") == uid)]
    left += [r for r in requests if r["action"] == "Start" and (left or vmi is None)]
    if left:
        status["stateChangeRequests"] = left
    else:
        status.pop("stateChangeRequests")


def _ready(vmi: Object | None) -> bool:
    return vmi is not None and conditions.is_true(vmi, "Ready")


def _copy_conditions(vm: Object, vmi: Object | None) -> None:
    if vmi is None:
        conditions.put(vm, "Ready", False, "VMINotExists", "VMI does not exist")
        return
    if conditions.find(vmi, "Ready") is None:
        conditions.put(vm, "Ready", False, "VMIConditionMissing", "VMI is missing the Ready condition")
    for kind in _COPIED_CONDITIONS:
        if (condition := conditions.find(vmi, kind)) is not None:
            holds = condition["status"] == "True"
            conditions.put(vm, kind, holds, condition.get("reason", ""), condition.get("message", ""))
        elif kind != "Ready":
            conditions.drop(vm, kind)


def _printable(vm: Object, vmi: Object | None) -> str:
    if vm["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if vmi is None:
        return "CrashLoopBackOff" if _runs(vm) and startfailure.pause(vm) > 0 else "Stopped"
    if vmi["metadata"].get("deletionTimestamp"):
        return "Stopped" if vmi["status"].get("phase") in _FINAL else "Stopping"
    state = vmi["status"].get("migrationState") or {}
    if state.get("startTimestamp") and not state.get("endTimestamp"):
        return "Migrating"
    if conditions.is_true(vmi, "Paused"):
        return "Paused"
    phases = {"Running": "Running", "Succeeded": "Stopped", "Failed": "Stopped"}
    return phases.get(vmi["status"].get("phase", ""), "Starting")
