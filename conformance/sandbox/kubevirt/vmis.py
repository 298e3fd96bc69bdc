"""virt-controller's part of a VMI: its launcher pods, its phases up to Scheduled, Ready, and its end."""

from __future__ import annotations

from typing import Final

from conformance.sandbox.client import PODS, VMIS, ApiClient, ApiError, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.events import EventRecorder, timestamp
from conformance.sandbox.kubevirt import conditions, networkinfo, spec
from conformance.sandbox.kubevirt.clusterconfig import ClusterConfig
from conformance.sandbox.kubevirt.facts import VersionFacts
from conformance.sandbox.kubevirt.liveupdate import note_migration_required
from conformance.sandbox.kubevirt.template import RenderError, TemplateService
from conformance.sandbox.kubevirt.vmistatus import served_fields

FINALIZER: Final = "kubevirt.io/foregroundDeleteVirtualMachine"
UNPAUSED: Final = "kubevirt.io/virtual-machine-unpaused"
_IMAGE_REASONS: Final = ("ErrImagePull", "ImagePullBackOff")
_POD_RETRY_SECONDS: Final = 3.0
_NO_POD: Final = "virt-launcher pod has not yet been scheduled"
_NODE_LABEL: Final = "kubevirt.io/nodeName"
_FINAL: Final = ("Succeeded", "Failed")
_EVICTION: Final = "EvictionRequested"


def pods_of(pods: Informer, vmi: Object) -> list[Object]:
    """Launcher pods of the VMI: source and targets."""
    uid = vmi["metadata"]["uid"]
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get("kubevirt.io/created-by") == uid]


def current_pod(pods: Informer, vmi: Object) -> Object | None:
    """The pod the VMI lives in: on its node once it has one, else the one that is no migration target.

    A node that the VMI has come back to still has the finished pod of its earlier stay: a living pod goes first.
    """
    node = vmi.get("status", {}).get("nodeName")
    fitting = [pod for pod in pods_of(pods, vmi) if _lives_in(pod, node)]
    return min(fitting, key=_is_over, default=None)


def _lives_in(pod: Object, node: str | None) -> bool:
    migrating = "kubevirt.io/migrationJobUID" in pod["metadata"].get("labels", {})
    return bool(pod["spec"].get("nodeName") == node) if node else not migrating


def _is_over(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in _FINAL


class VmiController:
    """Creates the launcher pod, follows it, hands over to virt-handler, and cleans up."""

    def __init__(
        self, client: ApiClient, vmis: Informer, pods: Informer, kubevirts: Informer, template: TemplateService
    ) -> None:
        self._client, self._vmis, self._pods, self._kubevirts = client, vmis, pods, kubevirts
        self._template = template
        self._events = EventRecorder(client, "virtualmachine-controller")
        self.controller = Controller("virt-controller vmi", self._reconcile)
        self.controller.watch(vmis)
        self.controller.watch(pods, self._vmi_of)
        self.controller.watch(kubevirts, lambda _: self._pending())

    def _vmi_of(self, pod: Object) -> list[Key]:
        owners = pod["metadata"].get("ownerReferences") or []
        kind = "VirtualMachineInstance"
        return [Key(pod["metadata"]["namespace"], owner["name"]) for owner in owners if owner["kind"] == kind]

    def _pending(self) -> list[Key]:
        waiting = [vmi["metadata"] for vmi in self._vmis if vmi.get("status", {}).get("phase") in (None, "Pending")]
        return [Key(meta["namespace"], meta["name"]) for meta in waiting]

    async def _reconcile(self, key: Key) -> float | None:
        vmi = self._vmis.get(*key)
        if vmi is None:
            return None
        if vmi["metadata"].get("deletionTimestamp"):
            return await self._delete(vmi)
        phase = vmi.get("status", {}).get("phase") or "Pending"
        if phase in _FINAL:
            await self._delete_pods(vmi)
            return None
        pod = current_pod(self._pods, vmi)
        if pod is None:
            return await self._create_pod(vmi) if phase == "Pending" else await self._lost(vmi)
        await self._unpause_gate(vmi, pod)
        for launcher in pods_of(self._pods, vmi):
            if launcher is pod or self._template.facts.network_info_on_target:
                await self._tell_networks(vmi, launcher)
        followed = await self._client.mutate(VMIS, *key, lambda obj: self._follow(obj, pod))
        await self._label_pod(followed, pod)
        return None

    async def _label_pod(self, vmi: Object, pod: Object) -> None:
        """The pod that the VMI lives in carries its node's name, as the VMI does."""
        node, meta = vmi["metadata"].get("labels", {}).get(_NODE_LABEL), pod["metadata"]
        if node and pod["spec"].get("nodeName") == node and meta.get("labels", {}).get(_NODE_LABEL) != node:
            patch = {"metadata": {"labels": {_NODE_LABEL: node}}}
            await self._client.merge(PODS, meta["namespace"], meta["name"], patch)

    async def _tell_networks(self, vmi: Object, pod: Object) -> None:
        """Annotate a launcher pod, a migration target's too, with what a binding wants to know of its networks."""
        meta, registered = pod["metadata"], spec.registrations(next(iter(self._kubevirts), None))
        if networkinfo.ANNOTATION in (meta.get("annotations") or {}):
            return
        if told := networkinfo.annotation_of(pod, vmi, registered, self._template.facts):
            patch = {"metadata": {"annotations": {networkinfo.ANNOTATION: told}}}
            await self._client.merge(PODS, meta["namespace"], meta["name"], patch)

    async def _create_pod(self, vmi: Object) -> float | None:
        meta = vmi["metadata"]
        kubevirt = next(iter(self._kubevirts), None)
        try:
            pod = await self._template.render(vmi, spec.registrations(kubevirt))
        except RenderError as error:
            return await self._say_failed_create(vmi, f"failed to render launch manifest: {error}")
        try:
            created = await self._client.create(PODS, pod)
        except ApiError as error:
            await self._events.warning(vmi, "FailedCreate", f"Error creating pod: {error.message}")
            return await self._say_failed_create(vmi, f"failed to create virtual machine pod: {error.message}")
        self._pods.remember(created)
        name = created["metadata"]["name"]
        await self._events.normal(vmi, "SuccessfulCreate", f"Created virtual machine pod {name}")
        await self._client.mutate(
            VMIS, meta["namespace"], meta["name"], lambda obj: _scheduling(obj, self._template.launcher_image)
        )
        return None

    async def _say_failed_create(self, vmi: Object, message: str) -> float:
        """Note why there is no pod, and when to try again. The text of a failure of the same kind stays: every refused
        pod has another name, and each new text would be a change that calls for another pod at once.
        """

        def fail(obj: Object) -> None:
            conditions.enter_phase(obj, "Pending")
            conditions.put(obj, "Ready", False, "PodNotExists", _NO_POD)
            said = conditions.find(obj, "Synchronized") or {}
            if said.get("message", "").partition(":")[0] != message.partition(":")[0]:
                conditions.put(obj, "Synchronized", False, "FailedCreate", message)

        await self._client.mutate(VMIS, vmi["metadata"]["namespace"], vmi["metadata"]["name"], fail)
        return _POD_RETRY_SECONDS

    async def _lost(self, vmi: Object) -> float | None:
        """The launcher pod is gone although the VMI is not being deleted."""
        meta = vmi["metadata"]

        def fail(obj: Object) -> None:
            conditions.put(obj, "Ready", False, "PodNotExists", _NO_POD)
            conditions.enter_phase(obj, "Failed")

        await self._client.mutate(VMIS, meta["namespace"], meta["name"], fail)
        return None

    def _follow(self, vmi: Object, pod: Object) -> None:
        """What the pod's state means for the VMI."""
        status = vmi.setdefault("status", {})
        phase = status.get("phase") or "Pending"
        for launcher in pods_of(self._pods, vmi):
            uid = launcher["metadata"]["uid"]
            status.setdefault("activePods", {})[uid] = launcher["spec"].get("nodeName", "")
        if phase == "Pending":
            _scheduling(vmi, self._template.launcher_image)
        if status["phase"] == "Scheduling":
            self._schedule(vmi, pod)
        elif pod.get("status", {}).get("phase") in _FINAL and not _migrated_away(vmi, pod):
            conditions.enter_phase(vmi, "Failed" if status["phase"] != "Running" else "Succeeded")
        elif status["phase"] == "Running":
            kubevirt = next(iter(self._kubevirts), {})
            note_migration_required(vmi, pod, ClusterConfig(kubevirt, self._template.facts))
        _mirror_readiness(vmi, pod)
        if status.get("evacuationNodeName"):
            conditions.put(vmi, _EVICTION, True, _EVICTION, "VMI is marked for eviction")
        else:
            conditions.drop(vmi, _EVICTION)

    def _schedule(self, vmi: Object, pod: Object) -> None:
        status, pod_status = vmi["status"], pod.get("status", {})
        if pod_status.get("phase") in _FINAL:
            conditions.enter_phase(vmi, "Failed")
        elif image_problem := _image_problem(pod):
            conditions.put(vmi, "Synchronized", False, *image_problem)
        elif conditions.is_started(pod) and conditions.is_true(pod, UNPAUSED):
            conditions.drop(vmi, "Synchronized")
            status["nodeName"] = pod["spec"]["nodeName"]
            status["qosClass"] = pod_status.get("qosClass", "Burstable")
            status["migrationTransport"] = "Unix"
            status["interfaces"] = _scheduled_interfaces(vmi, pod, self._template.facts)
            vmi["metadata"].setdefault("labels", {})[_NODE_LABEL] = pod["spec"]["nodeName"]
            conditions.enter_phase(vmi, "Scheduled")

    async def _unpause_gate(self, vmi: Object, pod: Object) -> None:
        """Keep the pod's readiness gate in step with the VMI's Paused condition."""
        paused = conditions.is_true(vmi, "Paused")
        gate = conditions.find(pod, UNPAUSED)
        wanted = "False" if paused else "True"
        if gate is not None and gate["status"] == wanted:
            return
        condition = {
            "type": UNPAUSED,
            "status": wanted,
            "reason": "Paused" if paused else "NotPaused",
            "message": "the virtual machine is paused" if paused else "the virtual machine is not paused",
            "lastProbeTime": timestamp(),
            "lastTransitionTime": timestamp(),
        }
        meta = pod["metadata"]
        patch = {"status": {"conditions": [condition]}}
        await self._client.strategic_merge(PODS, meta["namespace"], meta["name"], patch, "status")

    async def _delete_pods(self, vmi: Object) -> None:
        for pod in pods_of(self._pods, vmi):
            meta = pod["metadata"]
            if not meta.get("deletionTimestamp") or _is_over(pod):
                await self._client.delete(PODS, meta["namespace"], meta["name"], uid=meta["uid"])
                message = f"Deleted virtual machine pod {meta['name']}"
                await self._events.normal(vmi, "SuccessfulDelete", message)

    async def _delete(self, vmi: Object) -> float | None:
        meta = vmi["metadata"]
        await self._delete_pods(vmi)
        if pods_of(self._pods, vmi):
            if (pod := current_pod(self._pods, vmi)) is not None:
                await self._client.mutate(VMIS, meta["namespace"], meta["name"], lambda obj: _go_down(obj, pod))
            return None
        await self._client.mutate(VMIS, meta["namespace"], meta["name"], _bury)
        await self._client.mutate(VMIS, meta["namespace"], meta["name"], _release)
        return None


def _go_down(vmi: Object, pod: Object) -> None:
    """A VMI whose pod is going has failed, unless virt-handler has it and will say how it ended."""
    if (vmi["status"].get("phase") or "Pending") in ("Pending", "Scheduling"):
        conditions.enter_phase(vmi, "Failed")
    _mirror_readiness(vmi, pod)


def _bury(vmi: Object) -> None:
    """The last word on a VMI without a pod: one that never ran and so had not ended counts as failed."""
    conditions.drop(vmi, "Synchronized")
    if vmi["status"].get("phase") not in _FINAL:
        conditions.put(vmi, "Ready", False, "PodNotExists", _NO_POD)
        conditions.enter_phase(vmi, "Failed")


def _release(vmi: Object) -> None:
    kept = [finalizer for finalizer in vmi["metadata"].get("finalizers") or [] if finalizer != FINALIZER]
    vmi["metadata"]["finalizers"] = kept
    if not kept:
        del vmi["metadata"]["finalizers"]


def _scheduling(vmi: Object, image: str) -> None:
    if (vmi.get("status", {}).get("phase") or "Pending") != "Pending":
        return
    conditions.drop(vmi, "Synchronized")
    conditions.enter_phase(vmi, "Pending")
    conditions.enter_phase(vmi, "Scheduling")
    vmi["status"]["launcherContainerImageVersion"] = image
    conditions.put(vmi, "Ready", False, "GuestNotRunning", "Guest VM is not reported as running")


def _image_problem(pod: Object) -> tuple[str, str] | None:
    """(reason, message) of a container that waits for its image."""
    status = pod.get("status", {})
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _IMAGE_REASONS:
            return waiting["reason"], waiting.get("message", "")
    return None


def _scheduled_interfaces(vmi: Object, pod: Object, facts: VersionFacts) -> list[Object]:
    """status.interfaces before the domain exists: names, and who reported secondary ones."""
    networks, reported, found = spec.networks(vmi), spec.reported_interfaces(pod), []
    names = spec.pod_interface_names(vmi, reported)
    for interface in spec.interfaces(vmi):
        if (network := networks.get(interface["name"])) is None:
            continue
        entry: Object = {"name": interface["name"], "podInterfaceName": names[interface["name"]]}
        if not spec.is_primary(network) and entry["podInterfaceName"] in reported:
            entry["infoSource"] = "multus-status"
        found.append(entry)
    found.sort(key=lambda entry: entry["podInterfaceName"] != "eth0")
    return [served_fields(entry, facts) for entry in found]


def _migrated_away(vmi: Object, pod: Object) -> bool:
    state = vmi["status"].get("migrationState") or {}
    return state.get("sourcePod") == pod["metadata"]["name"] and bool(state.get("endTimestamp"))


def _mirror_readiness(vmi: Object, pod: Object) -> None:
    """The VMI's Ready condition follows its pod's once the guest runs."""
    if pod["metadata"].get("deletionTimestamp"):
        conditions.put(vmi, "Ready", False, "PodTerminating", "virt-launcher pod is terminating")
    elif vmi["status"].get("phase") != "Running":
        conditions.put(vmi, "Ready", False, "GuestNotRunning", "Guest VM is not reported as running")
    elif (ready := conditions.find(pod, "Ready")) is not None:
        holds = ready["status"] == "True"
        reason, message = ready.get("reason", ""), ready.get("message", "")
        conditions.put(vmi, "Ready", holds, "" if holds else reason, "" if holds else message)
