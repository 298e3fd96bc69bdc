"""The kubelet of one node: pod networks by Multus, containers by the runtime, status and events by the API."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from pathlib import Path
from typing import Final

from conformance.sandbox.client import PODS, ApiClient, ApiError, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.events import EventRecorder
from conformance.sandbox.images import ImageStore
from conformance.sandbox.kubernetes.deviceapi import Allocation
from conformance.sandbox.kubernetes.deviceplugins import DeviceError, DevicePlugins
from conformance.sandbox.kubernetes.podcontainers import Injected, Injector, PodContainers
from conformance.sandbox.kubernetes.podstatus import PodStates
from conformance.sandbox.kubernetes.runningpod import RunningPod
from conformance.sandbox.kubernetes.volumes import PodVolumes, VolumeError
from conformance.sandbox.launcher.container import ContainerRuntime
from conformance.sandbox.launcher.oci import DeviceNode
from conformance.sandbox.network.devices import device_number
from conformance.sandbox.network.node import Node
from conformance.sandbox.network.podnet import PodEvent, PodNetwork, PodNetworkError, PodRef, render_network_status

log = logging.getLogger(__name__)

_SANDBOX_RETRY_SECONDS: Final = 5.0
_IMAGE_RETRY_SECONDS: Final = 2.0
_RESTART_SECONDS: Final = 1.0
# By this label of KubeVirt a network provider knows the pods of one VM.
_MACHINE: Final = "vm.kubevirt.io/name"
_NETWORK_STATUS: Final = "k8s.v1.cni.cncf.io/network-status"


class Kubelet:
    """Runs the pods bound to its node."""

    def __init__(
        self,
        client: ApiClient,
        pods: Informer,
        node: Node,
        network: PodNetwork,
        runtime: ContainerRuntime,
        images: ImageStore,
        directory: Path,
        devices: DevicePlugins,
        inject: Injector = lambda _pod, _image: Injected(),
    ) -> None:
        self._client, self._pods, self.node = client, pods, node
        self._network, self._directory, self._devices = network, directory, devices
        self._events = EventRecorder(client, "kubelet", node.name)
        self._multus_events = EventRecorder(client, "multus")
        self._running: dict[str, RunningPod] = {}
        self._ended: dict[str, RunningPod] = {}
        self.controller = Controller(f"kubelet {node.name}", self._reconcile)
        self.controller.watch(pods, self._keys)
        self._containers = PodContainers(client, node, runtime, images, self._events, inject, self._container_ended)

    def _keys(self, pod: Object) -> list[Key]:
        mine = pod["spec"].get("nodeName") == self.node.name
        return [Key(pod["metadata"]["namespace"], pod["metadata"]["name"])] if mine else []

    def _container_ended(self, pod: PodRef) -> None:
        self.controller.enqueue(Key(pod.namespace, pod.name))

    def running(self, uid: str) -> RunningPod | None:
        """The pod with this UID if it runs here; what a node-local agent asks of the runtime."""
        return self._running.get(uid)

    def known(self, uid: str) -> RunningPod | None:
        """The same, and also one that has run to its end and is still there: it has logs."""
        return self._running.get(uid) or self._ended.get(uid)

    async def _reconcile(self, key: Key) -> float | None:
        pod = self._pods.get(*key)
        if pod is None:
            for gone in [r for r in self._running.values() if (r.ref.namespace, r.ref.name) == key]:
                await self._tear_down(gone)
                gone.volumes.remove_logs()
            for ended in [r for r in self._ended.values() if (r.ref.namespace, r.ref.name) == key]:
                self._forget(ended.ref.uid)
            return None
        uid = pod["metadata"]["uid"]
        running = self._running.get(uid)
        if pod["metadata"].get("deletionTimestamp"):
            return await self._terminate(pod, running)
        if uid in self._ended:
            return None
        if running is None:
            running = self._admit(pod)
        running.volumes.refresh(pod)
        delay = await self._advance(pod, running)
        await self._report(pod, running)
        if running.states.phase(pod) in ("Succeeded", "Failed"):
            await self._tear_down(running)
            self._ended[uid] = running
        return delay

    def _admit(self, pod: Object) -> RunningPod:
        meta = pod["metadata"]
        directory = self._directory / meta["uid"]
        logs = directory / "log"
        logs.mkdir(parents=True, exist_ok=True)
        ref = PodRef(meta["namespace"], meta["name"], meta["uid"])
        running = RunningPod(
            ref, PodStates.of(pod), PodVolumes(directory, pod, self.node, self._directory.with_name("claims")), logs
        )
        self._running[meta["uid"]] = running
        return running

    async def _advance(self, pod: Object, running: RunningPod) -> float | None:
        """Take the pod as far as it can go now; seconds until another attempt is due, or None."""
        if not running.set_up and not await self._set_up(pod, running):
            return _SANDBOX_RETRY_SECONDS
        if not running.initialised:
            delay = await self._initialise(pod, running)
            if not running.initialised:
                return delay
        delays = [await self._ensure(pod, running, container) for container in pod["spec"]["containers"]]
        running.end_inert()
        return min((delay for delay in delays if delay is not None), default=None)

    async def _set_up(self, pod: Object, running: RunningPod) -> bool:
        """Volumes and network. False when one failed; the reason is told by an event."""
        try:
            await running.volumes.setup(self._client)
        except VolumeError as error:
            await self._events.warning(pod, "FailedMount", str(error))
            return False
        try:
            running.devices = await self._devices.allocate(pod)
        except DeviceError as error:
            await self._events.warning(pod, "UnexpectedAdmissionError", str(error))
            return False
        if pod["spec"].get("hostNetwork"):
            running.states.pod_ips = (self.node.address,)
        elif not await self._set_up_network(pod, running):
            return False
        for name, allocation in running.devices.containers.items():
            running.device_nodes[name] = await self._nodes_of(running, allocation)
        running.set_up = running.states.sandbox_ready = True
        return True

    async def _nodes_of(self, running: RunningPod, allocation: Allocation) -> tuple[DeviceNode, ...]:
        """Device nodes as they are now, with the pod's network in place: a link that moved has another number."""
        nodes = []
        for spec in allocation.devices:
            number = await device_number(self.node, spec.host_path, running.netns)
            if number is not None:
                nodes.append(DeviceNode(spec.container_path, *number))
        return tuple(nodes)

    async def _set_up_network(self, pod: Object, running: RunningPod) -> bool:
        try:
            result = await self._network.setup(
                running.ref,
                pod["metadata"].get("annotations") or {},
                running.devices.ids,
                (pod["metadata"].get("labels") or {}).get(_MACHINE, ""),
            )
        except PodNetworkError as error:
            self._devices.release(running.ref.uid)
            await self._record(pod, error.events)
            return False
        await self._record(pod, result.events)
        running.netns, running.states.pod_ips = result.netns, result.pod_ips
        annotations = {_NETWORK_STATUS: render_network_status(result.network_status)}
        await self._client.merge(
            PODS, running.ref.namespace, running.ref.name, {"metadata": {"annotations": annotations}}
        )
        return True

    async def _record(self, pod: Object, events: tuple[PodEvent, ...]) -> None:
        for event in events:
            recorder = self._multus_events if event.component == "multus" else self._events
            record = recorder.warning if event.type == "Warning" else recorder.normal
            await record(pod, event.reason, event.message)

    async def _initialise(self, pod: Object, running: RunningPod) -> float | None:
        """Run the init containers in order; sets `initialised` when all have succeeded."""
        for container in pod["spec"].get("initContainers") or []:
            state = running.states.init[container["name"]]
            if state.phase == "terminated":
                if state.exit_code:
                    return None
                continue
            if state.phase == "waiting" and not await self._containers.start(
                pod, running, container, state, "initContainers"
            ):
                return _IMAGE_RETRY_SECONDS
            return None  # its end brings the next reconcile
        running.initialised = True
        return None

    async def _ensure(self, pod: Object, running: RunningPod, container: Object) -> float | None:
        state = running.states.main[container["name"]]
        if state.phase == "running" or running.terminating.is_set():
            return None
        if state.phase == "terminated":
            if pod["spec"].get("restartPolicy", "Always") != "Always":
                return None
            state.restarts += 1
            state.wait("CrashLoopBackOff", f"back-off restarting failed container {container['name']}")
            return _RESTART_SECONDS * state.restarts
        started = await self._containers.start(pod, running, container, state, "containers")
        return None if started else _IMAGE_RETRY_SECONDS

    async def _report(self, pod: Object, running: RunningPod) -> None:
        def change(current: Object) -> None:
            if current["metadata"]["uid"] == running.ref.uid:
                current["status"] = {
                    **current.get("status", {}),
                    **running.states.as_status(current, self.node.address),
                }

        try:
            await self._client.mutate(PODS, running.ref.namespace, running.ref.name, change, "status")
        except ApiError as error:
            if not error.not_found:
                raise

    async def _terminate(self, pod: Object, running: RunningPod | None) -> float | None:
        """SIGTERM, the grace period, SIGKILL, then the network and the object."""
        meta = pod["metadata"]
        if running is not None and not running.terminating.is_set():
            running.terminating.set()
            await self._stop_containers(pod, running, float(meta.get("deletionGracePeriodSeconds") or 0))
            await self._report(pod, running)
            await self._tear_down(running)
            running.volumes.remove_logs()
        await self._client.delete(PODS, meta["namespace"], meta["name"], uid=meta["uid"], grace=0)
        self._forget(meta["uid"])
        return None

    async def _stop_containers(self, pod: Object, running: RunningPod, grace: float) -> None:
        groups = (("initContainers", running.states.init), ("containers", running.states.main))
        living = [(g, name) for g, states in groups for name, state in states.items() if state.phase == "running"]
        for group, name in living:
            await self._events.normal(pod, "Killing", f"Stopping container {name}", f"spec.{group}{{{name}}}")
        for container in list(running.containers.values()):
            await container.kill(signal.SIGTERM)
        watchers = list(running.watchers)
        if watchers and grace > 0:
            await asyncio.wait(watchers, timeout=grace)
        for container in list(running.containers.values()):
            await container.kill(signal.SIGKILL)
        if watchers:
            await asyncio.wait(watchers)
        if running.containers_began():
            for state in running.states.main.values():
                state.give_up()
        running.end_inert()
        running.states.torn_down = True

    async def _tear_down(self, running: RunningPod) -> None:
        for container in list(running.containers.values()):
            await container.kill(signal.SIGKILL)
        if running.watchers:
            await asyncio.wait(list(running.watchers))
        if running.netns is not None:
            await self._network.teardown(running.ref)
        self._devices.release(running.ref.uid)
        running.volumes.remove()
        for directory in running.scratch:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        self._running.pop(running.ref.uid, None)

    def _forget(self, uid: str) -> None:
        if (ended := self._ended.pop(uid, None)) is not None:
            ended.volumes.remove_logs()

    async def stop(self) -> None:
        """Stop reconciling; what runs is ended with the sandbox."""
        await self.controller.stop()
