"""The sandbox's virt-controller against an API server that has nothing else, whole or with one part of it changed.

No node is there: `Pods` stands for kubelet and Multus, as far as a VMI that waits for a network sees of them.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from conformance.sandbox.client import KUBEVIRTS, NADS, PODS, VMIS, ApiClient, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.events import EventRecorder
from conformance.sandbox.kubevirt import conditions, spec
from conformance.sandbox.kubevirt.facts import NEWEST, facts_for
from conformance.sandbox.kubevirt.template import NETWORKS_ANNOTATION, RenderError, TemplateService
from conformance.sandbox.kubevirt.vmis import VmiController

_NODE: Final = "node-1"
_INSTALLED: Final = ("cni-passt-binding-plugin",)
_RETRY_SECONDS: Final = 0.2
_FAULT: Final = "FailedCreatePodSandBox"


class Template(TemplateService):
    """Renders launcher pods as the sandbox does."""


class GuessesBindings(Template):
    """Makes the pod though nobody registered the binding."""

    async def render(self, vmi: Object, registered: spec.Registrations) -> Object:
        return await super().render(vmi, {**{name: {} for _, name in spec.plugin_interfaces(vmi)}, **registered})


class Mumbles(Template):
    """Says that something is missing, and not what."""

    async def render(self, vmi: Object, registered: spec.Registrations) -> Object:
        try:
            return await super().render(vmi, registered)
        except RenderError as error:
            raise RenderError("something is missing") from error


class GuessesNetworks(Template):
    """Makes the pod though its network is not there."""

    async def _network_resources(self, vmi: Object) -> Counter[str]:
        return Counter()


class LooksInDefault(Template):
    """Asks for every network in namespace default."""

    async def render(self, vmi: Object, registered: spec.Registrations) -> Object:
        pod = await super().render(vmi, registered)
        annotations = pod["metadata"]["annotations"]
        asked = [{**element, "namespace": "default"} for element in json.loads(annotations[NETWORKS_ANNOTATION])]
        annotations[NETWORKS_ANNOTATION] = json.dumps(asked)
        return pod


class Silent(VmiController):
    """Does not say why there is no pod."""

    async def _say_failed_create(self, vmi: Object, message: str) -> float:
        return _RETRY_SECONDS


class MakesAPodAllTheSame(VmiController):
    """Says that it can make no pod, and makes one that runs nothing."""

    async def _say_failed_create(self, vmi: Object, message: str) -> float:
        meta = vmi["metadata"]
        labels = {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": meta["uid"]}
        head = {"generateName": f"virt-launcher-{meta['name']}-", "namespace": meta["namespace"], "labels": labels}
        containers = [{"name": "compute", "image": "registry.local/none:1"}]
        await self._client.create(PODS, {"apiVersion": "v1", "metadata": head, "spec": {"containers": containers}})
        return await super()._say_failed_create(vmi, message)


class Deaf(VmiController):
    """Hears of no registration, and does not try again."""

    def _pending(self) -> list[Key]:
        return []

    async def _say_failed_create(self, vmi: Object, message: str) -> float:
        await super()._say_failed_create(vmi, message)
        return 3600.0


class Resentful(VmiController):
    """Leaves the complaint where it is though it makes the pod."""

    async def _create_pod(self, vmi: Object) -> float | None:
        meta = vmi["metadata"]
        try:
            pod = await self._template.render(vmi, spec.registrations(next(iter(self._kubevirts), None)))
        except RenderError as error:
            return await self._say_failed_create(vmi, str(error))
        await self._client.create(PODS, pod)
        going = partial(conditions.enter_phase, phase="Scheduling")
        await self._client.mutate(VMIS, meta["namespace"], meta["name"], going)
        return None


class Pods:
    """Stands for scheduler, kubelet and Multus: a pod is ready once all networks it asks for are there."""

    def __init__(self, client: ApiClient, pods: Informer) -> None:
        self._client, self._pods = client, pods
        self._events = EventRecorder(client, "kubelet", _NODE)
        self.controller = Controller("kubelet", self._reconcile)
        self.controller.watch(pods)

    async def _reconcile(self, key: Key) -> float | None:
        pod = self._pods.get(*key)
        if pod is None:
            return None
        if pod["metadata"].get("deletionTimestamp"):
            await self._client.delete(PODS, *key, uid=pod["metadata"]["uid"], grace=0)
            return None
        if not pod["spec"].get("nodeName"):
            await self._client.merge(PODS, *key, {"spec": {"nodeName": _NODE}})
            return None
        if missing := await self._missing(pod):
            return await self.without(pod, missing)
        if not conditions.is_true(pod, "Ready"):
            ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
            started = {"ready": True, "started": True, "state": {"running": {}}}
            containers = [{"name": container["name"], **started} for container in pod["spec"]["containers"]]
            status = {"phase": "Running", "conditions": ready, "containerStatuses": containers}
            await self._client.strategic_merge(PODS, *key, {"status": status}, "status")
        return None

    async def _missing(self, pod: Object) -> str:
        for element in json.loads((pod["metadata"].get("annotations") or {}).get(NETWORKS_ANNOTATION, "[]")):
            namespace, name = element["namespace"], element["name"]
            definition = await self._client.find(NADS, namespace, name)
            if definition is None:
                return f"cannot find a network-attachment-definition ({name}) in namespace ({namespace})"
            for plugin in json.loads(definition["spec"]["config"])["plugins"]:
                if plugin["type"] not in _INSTALLED:
                    return f'failed to find plugin "{plugin["type"]}" in path [/opt/cni/bin]'
        return ""

    async def without(self, pod: Object, words: str) -> float:
        """What becomes of a pod that lacks a network, or its plugin: seconds until the next attempt."""
        await self._events.warning(pod, _FAULT, f"Failed to create pod sandbox: {words}")
        return _RETRY_SECONDS


class QuietPods(Pods):
    """Says nothing of a network that is missing."""

    async def without(self, pod: Object, words: str) -> float:
        return _RETRY_SECONDS


class VaguePods(Pods):
    """Says that a network is missing, and not which."""

    async def without(self, pod: Object, words: str) -> float:
        await self._events.warning(pod, _FAULT, "Failed to create pod sandbox: a network is missing")
        return _RETRY_SECONDS


class OncePods(Pods):
    """Tries only once."""

    async def without(self, pod: Object, words: str) -> float:
        await super().without(pod, words)
        return 3600.0


class CarelessPods(Pods):
    """Has every network there."""

    async def _missing(self, pod: Object) -> str:
        return ""


class Cast:
    """Who plays which part."""

    template: type[Template] = Template
    controller: type[VmiController] = VmiController
    pods: type[Pods] = Pods


@contextmanager
def controllers(kubeconfig: Path, **changed: type) -> Iterator[None]:
    """They run until the block ends; `changed` has other players for the parts of a `Cast`."""
    cast = Cast()
    for part, player in changed.items():
        setattr(cast, part, player)
    loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(_play(kubeconfig, cast, ready, end),), daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the controllers have not come up"
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


async def _play(kubeconfig: Path, cast: Cast, ready: threading.Event, end: asyncio.Event) -> None:
    async with ApiClient.connect(kubeconfig, "virt-controller") as client:
        vmis, pods, kubevirts = (Informer(client, resource) for resource in (VMIS, PODS, KUBEVIRTS))
        template = cast.template(facts_for(NEWEST), "virt-launcher:1", lambda *place: client.find(NADS, *place))
        running = [cast.controller(client, vmis, pods, kubevirts, template).controller]
        running.append(cast.pods(client, pods).controller)
        tasks = [asyncio.create_task(informer.run()) for informer in (vmis, pods, kubevirts)]
        await asyncio.gather(*(informer.synced.wait() for informer in (vmis, pods, kubevirts)))
        ready.set()
        await end.wait()
        for controller in running:
            await controller.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
