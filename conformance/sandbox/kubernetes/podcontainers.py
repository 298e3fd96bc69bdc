"""Containers of a pod as a kubelet starts them: the image, the environment, the rights, the events."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from conformance.sandbox.client import ApiClient, Object
from conformance.sandbox.events import EventRecorder
from conformance.sandbox.images import Image, ImageStore, UnknownUserError, user_of
from conformance.sandbox.kubernetes.deviceapi import Allocation
from conformance.sandbox.kubernetes.environment import ContainerEnvironmentError, environment, expanded
from conformance.sandbox.kubernetes.podstatus import ContainerState
from conformance.sandbox.kubernetes.probes import LIVENESS, READINESS, Probe, Target
from conformance.sandbox.kubernetes.runningpod import RunningPod
from conformance.sandbox.kubernetes.security import security_of
from conformance.sandbox.kubernetes.volumes import cluster_dns
from conformance.sandbox.launcher.container import Container, ContainerConfig, ContainerError, ContainerRuntime, Mount
from conformance.sandbox.network.node import Node
from conformance.sandbox.network.podnet import PodRef


@dataclass(frozen=True)
class Injected:
    """What a node adds to a container beyond its pod's wishes, as device plugins and runtime hooks do.

    `scratch` are directories that were made for it and end with the pod.
    """

    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    scratch: tuple[Path, ...] = ()


Injector = Callable[[PodRef, Image], Injected]


class PodContainers:
    """Starts the containers of one node's pods. `changed` hears of each pod one of whose containers has ended."""

    def __init__(
        self,
        client: ApiClient,
        node: Node,
        runtime: ContainerRuntime,
        images: ImageStore,
        events: EventRecorder,
        inject: Injector,
        changed: Callable[[PodRef], None],
    ) -> None:
        self._client, self._node, self._runtime, self._images = client, node, runtime, images
        self._events, self._inject, self._changed = events, inject, changed

    async def start(
        self, pod: Object, running: RunningPod, container: Object, state: ContainerState, group: str
    ) -> bool:
        """Pull, create and start one container. False when its image or its program cannot be had."""
        path = f"spec.{group}{{{container['name']}}}"
        reference = container["image"]
        image = self._images.resolve(reference)
        if image is None:
            await self._image_missing(pod, state, reference, path)
            return False
        message = f'Container image "{reference}" already present on machine and can be accessed by the pod'
        await self._events.normal(pod, "Pulled", message, path)
        if image.guest is not None:  # a containerDisk holds a disk and no program that anybody here needs
            state.run()
            running.inert.add(container["name"])
            await self._events.normal(pod, "Created", "Container created", path)
            await self._events.normal(pod, "Started", "Container started", path)
            if group == "initContainers":
                state.end(0)
                self._changed(running.ref)
            return True
        try:
            env = await environment(self._client, pod, container)
        except ContainerEnvironmentError as error:
            state.wait("CreateContainerConfigError", str(error))
            await self._events.warning(pod, "Failed", f"Error: {error}", path)
            return False
        try:
            started = await self._runtime.start(self._config(pod, running, container, image, env))
        except (ContainerError, UnknownUserError) as error:
            state.wait("RunContainerError", str(error))
            await self._events.warning(pod, "Failed", f"Error: {error}", path)
            return False
        await self._events.normal(pod, "Created", "Container created", path)
        state.run()
        running.containers[container["name"]] = started
        probes = self._probe(pod, running, container, started, state) if group == "containers" else []
        watcher = asyncio.create_task(self._watch_exit(running, container["name"], started, state, probes))
        running.watchers.add(watcher)
        watcher.add_done_callback(running.watchers.discard)
        await self._events.normal(pod, "Started", "Container started", path)
        return True

    async def _image_missing(self, pod: Object, state: ContainerState, reference: str, path: str) -> None:
        first = state.reason not in ("ErrImagePull", "ImagePullBackOff")
        detail = f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": not found'
        await self._events.normal(pod, "Pulling", f'Pulling image "{reference}"', path)
        if first:
            await self._events.warning(pod, "Failed", f'Failed to pull image "{reference}": {detail}', path)
            await self._events.warning(pod, "Failed", "Error: ErrImagePull", path)
        if state.reason == "ErrImagePull":
            state.wait("ImagePullBackOff", f'Back-off pulling image "{reference}": ErrImagePull: {detail}')
            await self._events.normal(pod, "BackOff", f'Back-off pulling image "{reference}"', path)
            await self._events.warning(pod, "Failed", "Error: ImagePullBackOff", path)
        else:
            state.wait("ErrImagePull", detail)

    def _config(
        self, pod: Object, running: RunningPod, container: Object, image: Image, env: Mapping[str, str]
    ) -> ContainerConfig:
        spec, security = pod["spec"], security_of(pod, container, user_of(image))
        extra = self._inject(running.ref, image)
        running.scratch.update(extra.scratch)
        given = running.devices.containers.get(container["name"], Allocation())
        device_mounts = (Mount(str(self._node.path(m.host_path)), m.container_path, m.read_only) for m in given.mounts)
        root = image.privileged  # the sandbox's own: its stand-in for a program that needs no rights in a real cluster
        return ContainerConfig(
            pod=running.ref,
            name=container["name"],
            image=replace(image, privileged=True) if security.privileged else image,
            argv=tuple(expanded(word, env) for word in _argv(container, image)),
            env={**env, **extra.env, **dict(given.env)},
            uid=0 if root else security.uid,
            gid=0 if root else security.gid,
            capabilities=security.capabilities,
            no_new_privileges=security.no_new_privileges and not root,
            read_only_root=security.read_only_root,
            netns=running.netns,
            host_pid=bool(spec.get("hostPID")),
            mounts=(*running.volumes.mounts(container), *extra.mounts, *device_mounts),
            devices=running.device_nodes.get(container["name"], ()),
            working_directory=container.get("workingDir") or image.working_directory,
            log=running.log_file(container["name"]),
            hostname=self._node.name if spec.get("hostNetwork") else spec.get("hostname") or running.ref.name,
            addresses=running.states.pod_ips,
            dns=cluster_dns(running.ref.namespace),
        )

    def _probe(
        self, pod: Object, running: RunningPod, container: Object, started: Container, state: ContainerState
    ) -> list[asyncio.Task[None]]:
        """Start the probes of a container that runs."""
        path = f"spec.containers{{{container['name']}}}"
        target = Target(self._node, next(iter(running.states.pod_ips), ""), container, started)

        async def unhealthy(message: str) -> None:
            await self._events.warning(pod, "Unhealthy", message, path)

        async def ready(holds: bool) -> None:
            state.probed = holds
            self._changed(running.ref)

        async def alive(_holds: bool) -> None:
            message = f"Container {container['name']} failed liveness probe, will be restarted"
            await self._events.normal(pod, "Killing", message, path)
            await started.kill(signal.SIGTERM)
            await asyncio.sleep(float(pod["spec"].get("terminationGracePeriodSeconds", 30)))
            await started.kill(signal.SIGKILL)

        verdicts = {READINESS: ready, LIVENESS: alive}
        wanted = [Probe(kind, target, verdicts[kind], unhealthy) for kind in verdicts if container.get(kind)]
        state.probed = READINESS not in {probe.kind for probe in wanted}
        return [asyncio.create_task(probe.run()) for probe in wanted]

    async def _watch_exit(
        self,
        running: RunningPod,
        name: str,
        container: Container,
        state: ContainerState,
        probes: list[asyncio.Task[None]],
    ) -> None:
        code = await container.wait()
        for probe in probes:
            probe.cancel()
        state.end(code)
        await container.delete()
        running.containers.pop(name, None)
        self._changed(running.ref)


def _argv(container: Object, image: Image) -> tuple[str, ...]:
    """What is started: the pod's command replaces the image's entry point and arguments, its args the latter alone."""
    command, args = tuple(container.get("command") or ()), tuple(container.get("args") or ())
    return (command or image.command) + (args or (() if command else image.args))
