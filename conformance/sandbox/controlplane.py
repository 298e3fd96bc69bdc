"""The control plane of the sandbox: the API server as a child process, everything else as its clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import yaml
from aiohttp import web

from conformance.sandbox.client import (
    CLAIMS,
    DAEMON_SETS,
    ENDPOINT_SLICES,
    JOBS,
    KUBEVIRTS,
    MIGRATIONS,
    NADS,
    NAMESPACES,
    NETWORK_POLICIES,
    NODES,
    PODS,
    SERVICES,
    VMIS,
    VMS,
    ApiClient,
    Object,
    Resource,
)
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.guestlibrary import GuestLibrary
from conformance.sandbox.images import Image
from conformance.sandbox.kubernetes.claims import VolumeClaims
from conformance.sandbox.kubernetes.clusternetwork import API_PORT, ClusterNetwork, cluster_services
from conformance.sandbox.kubernetes.daemons import NodeDaemon
from conformance.sandbox.kubernetes.daemonset import DaemonSets
from conformance.sandbox.kubernetes.deviceplugins import DevicePlugins
from conformance.sandbox.kubernetes.endpoints import EndpointSlices
from conformance.sandbox.kubernetes.jobs import Jobs
from conformance.sandbox.kubernetes.kubelet import Kubelet
from conformance.sandbox.kubernetes.nodes import register_node
from conformance.sandbox.kubernetes.podcontainers import Injected
from conformance.sandbox.kubernetes.podstreams import PodStreams
from conformance.sandbox.kubernetes.scheduler import Scheduler
from conformance.sandbox.kubernetes.status import answer_status_errors
from conformance.sandbox.kubevirt.admission import KUBEVIRT_VARIABLE, VERSION_VARIABLE
from conformance.sandbox.kubevirt.agent import HandlerContext
from conformance.sandbox.kubevirt.clusterconfig import needed_gates
from conformance.sandbox.kubevirt.definitions import write_definitions
from conformance.sandbox.kubevirt.evacuation import EvacuationController
from conformance.sandbox.kubevirt.facts import NEWEST, VersionFacts, facts_for
from conformance.sandbox.kubevirt.handler import VirtHandler
from conformance.sandbox.kubevirt.hco import (
    HYPERCONVERGEDS,
    KUBEVIRT_NAME,
    HyperConvergedController,
    hyperconverged,
    owned_kubevirt,
)
from conformance.sandbox.kubevirt.hco import NAMESPACE as HCO_NAMESPACE
from conformance.sandbox.kubevirt.migrations import MigrationController
from conformance.sandbox.kubevirt.subresources import Subresources
from conformance.sandbox.kubevirt.template import TemplateService
from conformance.sandbox.kubevirt.vmis import VmiController
from conformance.sandbox.kubevirt.vms import VmController
from conformance.sandbox.kubevirt.workloadupdates import WorkloadUpdateController
from conformance.sandbox.launcher.compute import compute_environment, compute_mounts, pod_directory, write_compute_layer
from conformance.sandbox.launcher.container import Mount
from conformance.sandbox.network import syscalls
from conformance.sandbox.network.node import Node
from conformance.sandbox.network.podnet import PodNetwork, PodRef
from conformance.sandbox.supervisor import SandboxContext

log = logging.getLogger(__name__)

KUBERNETES_VERSION: Final = "v1.36.2"
LAUNCHER_IMAGE: Final = "quay.io/kubevirt/virt-launcher"
_ADMISSION: Final = "conformance.sandbox.kubevirt.admission:admit"
_WATCHED: Final = (
    *(PODS, NODES, NAMESPACES, SERVICES, ENDPOINT_SLICES, NETWORK_POLICIES, DAEMON_SETS, JOBS, CLAIMS),
    *(KUBEVIRTS, VMS, VMIS, MIGRATIONS),
)
_NETWORKS: Final = Path(__file__).parent / "network" / "networks.yaml"
_HCO: Final = Path(__file__).parent / "kubevirt" / "hco.yaml"
_ROLES: Final = (Path(__file__).parent / "roles.yaml", Path(__file__).parent / "kubevirt" / "roles.yaml")
_COMPONENT: Final = "kubevirt-sandbox"


class ApiServerFailedError(RuntimeError):
    """The API server ended before it was ready."""


async def run(context: SandboxContext) -> None:
    """Serve until `context.shutdown` is set."""
    backend = context.state.run / "streams.sock"
    async with contextlib.AsyncExitStack() as stack:
        guests = GuestLibrary(context.images, context.cache / "guests", lambda stage: context.progress(stage, 0.0))
        await asyncio.to_thread(guests.prepare)
        kubeconfig = await stack.enter_async_context(_api_server(context, backend))
        own = kubeconfig.with_name(f"{_COMPONENT}.kubeconfig")
        client = await stack.enter_async_context(ApiClient.connect(own, _COMPONENT))
        plane = ControlPlane(context, client, guests)
        await plane.bootstrap()
        stack.push_async_callback(plane.stop)
        await plane.start(backend)
        context.ready(kubeconfig)
        await context.shutdown.wait()


@contextlib.asynccontextmanager
async def _api_server(context: SandboxContext, backend: Path) -> AsyncIterator[Path]:
    """The API server's kubeconfig, while it runs."""
    command = [sys.executable, "-m", "conformance.sandbox.apiserver"]
    command += ["--directory", str(context.state.api), "--backend", str(backend), "--admission", _ADMISSION]
    definitions = context.state.api / "definitions.yaml"
    write_definitions(facts_for(_version(context)), definitions)
    listener = syscalls.open_socket(context.fabric.control, socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("", API_PORT))
    command += ["--listener", str(listener.fileno())]
    command += ["--server-version", KUBERNETES_VERSION, "--component", _COMPONENT]
    command += ["--crds", *(str(path) for path in (definitions, *_ROLES))]
    command += [str(_HCO)] if _has_hco(context) else []
    audit = context.options.get("audit-log-path", "")
    command += ["--audit-log-path", audit] if audit else []
    server = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, VERSION_VARIABLE: _version(context), KUBEVIRT_VARIABLE: "/".join(_place(context))},
        pass_fds=(listener.fileno(),),
    )
    listener.close()
    try:
        assert server.stdout is not None
        if not (line := await server.stdout.readline()).startswith(b"ready "):
            raise ApiServerFailedError(f"the API server ended with status {await server.wait()}: {line.decode()!r}")
        yield context.state.api / "admin.kubeconfig"
    finally:
        if server.returncode is None:
            server.send_signal(signal.SIGTERM)
        await server.wait()


class ControlPlane:
    """Informers, controllers, node agents and the stream server of one sandbox."""

    def __init__(self, context: SandboxContext, client: ApiClient, guests: GuestLibrary) -> None:
        self._context, self._client, self._guests = context, client, guests
        self._shared = context.state.run / "vm"
        self._network = ClusterNetwork(context.nodes, context.fabric)
        self._facts = facts_for(_version(context))
        self._informers: dict[Resource, Informer] = {}
        self._controllers: list[Controller] = []
        self._daemons: list[NodeDaemon] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._devices = {node.name: DevicePlugins(client, node) for node in context.nodes}
        self._runner: web.AppRunner | None = None

    def _informer(self, resource: Resource) -> Informer:
        return self._informers.setdefault(resource, Informer(self._client, resource))

    async def bootstrap(self) -> None:
        """What an installed cluster holds: namespaces, nodes, the KubeVirt CR, virt-launcher's image."""
        layer = write_compute_layer(self._context.state.run / "virt-launcher")
        self._context.images.provide(Image(f"{LAUNCHER_IMAGE}:*", layers=(layer,), privileged=True))
        kubevirt = _kubevirt(_place(self._context), self._facts)
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kubevirt["metadata"]["namespace"]}}
        await self._client.create(NAMESPACES, body)
        for node in self._context.nodes:
            await register_node(self._client, node, KUBERNETES_VERSION)
            await self._devices[node.name].start()
        for network in yaml.safe_load_all(_NETWORKS.read_text(encoding="utf-8")):
            await self._client.create(NADS, network)
        for resource, body in cluster_services():
            await self._client.create(resource, body)
        if _has_hco(self._context):
            owner = await self._client.create(HYPERCONVERGEDS, hyperconverged())
            kubevirt = owned_kubevirt(owner, kubevirt["spec"])
        await self._client.create(KUBEVIRTS, kubevirt)
        version = self._facts.version
        status = {
            "phase": "Deployed",
            "observedKubeVirtVersion": version,
            "targetKubeVirtVersion": version,
            "operatorVersion": version,
            "conditions": [_true("Available", "AllComponentsReady"), _true("Created", "AllResourcesCreated")],
        }
        await self._client.merge(KUBEVIRTS, *_place(self._context), {"status": status}, "status")

    async def start(self, backend: Path) -> None:
        """Start every controller and agent, and serve the streams on the UNIX socket `backend`."""
        informers = {r: self._informer(r) for r in _WATCHED}
        pods, nodes, vmis = informers[PODS], informers[NODES], informers[VMIS]
        template = TemplateService(self._facts, f"{LAUNCHER_IMAGE}:{self._facts.version}", self._find_nad)
        kubelets = {node.name: self._kubelet(node.name, pods) for node in self._context.nodes}
        shared = HandlerContext(
            self._client, vmis, pods, informers[KUBEVIRTS], self._facts, self._guests.of, self._shared
        )
        handlers = {name: VirtHandler(shared, kubelet) for name, kubelet in kubelets.items()}
        self._controllers = [
            Scheduler(self._client, pods, nodes).controller,
            DaemonSets(self._client, informers[DAEMON_SETS], pods, nodes).controller,
            Jobs(self._client, informers[JOBS], pods).controller,
            VolumeClaims(self._client, informers[CLAIMS], self._context.state.pods.with_name("claims")).controller,
            EndpointSlices(self._client, informers[SERVICES], pods, informers[ENDPOINT_SLICES]).controller,
            *self._network.controllers(informers),
            VmController(self._client, informers[VMS], vmis, informers[KUBEVIRTS], self._facts).controller,
            VmiController(self._client, vmis, pods, informers[KUBEVIRTS], template).controller,
            MigrationController(
                self._client, informers[MIGRATIONS], vmis, pods, informers[KUBEVIRTS], template
            ).controller,
            EvacuationController(self._client, nodes, vmis, informers[MIGRATIONS], self._facts).controller,
            WorkloadUpdateController(
                self._client, vmis, informers[MIGRATIONS], informers[KUBEVIRTS], self._facts
            ).controller,
            *(kubelet.controller for kubelet in kubelets.values()),
            *(handler.controller for handler in handlers.values()),
        ]
        if _has_hco(self._context):
            informers[HYPERCONVERGEDS] = owners = self._informer(HYPERCONVERGEDS)
            base = _kubevirt(_place(self._context), self._facts)["spec"]
            hco = HyperConvergedController(self._client, owners, informers[KUBEVIRTS], base)
            self._controllers.append(hco.controller)
        self._tasks = [asyncio.create_task(informer.run()) for informer in informers.values()]
        await asyncio.gather(*(informer.synced.wait() for informer in informers.values()))
        await self._network.serve(informers)
        await self._serve_streams(backend, pods, kubelets, handlers)
        self._daemons = [
            daemon
            for node in self._context.nodes
            for daemon in self._daemons_of(node, kubelets[node.name].controller, handlers[node.name].controller)
        ]
        await asyncio.gather(*(daemon.start() for daemon in self._daemons))

    def _daemons_of(self, node: Node, kubelet: Controller, handler: Controller) -> Iterator[NodeDaemon]:
        devices = self._devices[node.name]

        async def down() -> None:
            await kubelet.pause()
            await devices.stop()

        async def up() -> None:
            await devices.start()
            await kubelet.resume()

        yield NodeDaemon(node, "kubelet", down=down, up=up)
        yield NodeDaemon(node, "virt-handler", down=handler.pause, up=handler.resume)

    def _kubelet(self, name: str, pods: Informer) -> Kubelet:
        node = next(node for node in self._context.nodes if node.name == name)
        runtime, network = self._context.runtimes[name], PodNetwork(node, self._find_nad, self._context.shared_network)
        images, directory = self._context.images, self._context.state.pods
        devices = self._devices[name]
        return Kubelet(self._client, pods, node, network, runtime, images, directory, devices, self._inject)

    def _inject(self, pod: PodRef, image: Image) -> Injected:
        """What the sandbox's stand-in for virt-launcher needs: libvirt's sockets, guest images, a place for disks."""
        if image.name.rpartition(":")[0] != LAUNCHER_IMAGE:
            return Injected()
        mounts = compute_mounts(self._shared, self._guests.cache, pod, self._guests.disks())
        bound = tuple(Mount(str(m.source), m.destination, m.read_only) for m in mounts)
        return Injected(bound, compute_environment(self._shared, pod), (pod_directory(self._shared, pod),))

    async def _find_nad(self, namespace: str, name: str) -> Object | None:
        return await self._client.find(NADS, namespace, name)

    async def _serve_streams(
        self, backend: Path, pods: Informer, kubelets: dict[str, Kubelet], handlers: dict[str, VirtHandler]
    ) -> None:
        app = web.Application(middlewares=[answer_status_errors])
        app.add_routes(PodStreams(pods, kubelets).routes())
        app.add_routes(Subresources(self._client, handlers, self._context.nodes[0]).routes())
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(backend)).start()

    async def stop(self) -> None:
        """Stop streams, controllers and informers. Pods end with the sandbox's namespaces."""
        if self._runner is not None:
            await self._runner.cleanup()
        for daemon in self._daemons:
            await daemon.stop()
        await self._network.stop()
        for controller in self._controllers:
            await controller.stop()
        for devices in self._devices.values():
            await devices.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _version(context: SandboxContext) -> str:
    return str(context.options.get("kubevirt-version", NEWEST))


def _has_hco(context: SandboxContext) -> bool:
    return str(context.options.get("hco", "")) == "true"


def _place(context: SandboxContext) -> Key:
    """Where the KubeVirt CR is."""
    return Key(HCO_NAMESPACE, KUBEVIRT_NAME) if _has_hco(context) else Key("kubevirt", "kubevirt")


def _kubevirt(place: Key, facts: VersionFacts) -> Object:
    """KubeVirt prepared for binding plugins, as a cluster has to be that is to run one."""
    developer: Object = {"useEmulation": True}
    if gates := needed_gates(facts):
        developer["featureGates"] = gates
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {"name": place.name, "namespace": place.namespace},
        "spec": {
            "configuration": {"developerConfiguration": developer},
            "imagePullPolicy": "IfNotPresent",
        },
    }


def _true(kind: str, reason: str) -> Object:
    return {"type": kind, "status": "True", "reason": reason}
