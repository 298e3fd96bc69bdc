"""The kubelet's device manager: plugins register at kubelet.sock, their devices become resources of the node, and a pod
that asks for one is given it.

Source: Kubernetes' documentation of device plugins (v1beta1) and `pkg/kubelet/cm/devicemanager`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import grpc
import grpc.aio

from conformance.sandbox.client import NODES, ApiClient, Object
from conformance.sandbox.kubernetes import deviceapi
from conformance.sandbox.kubernetes.deviceapi import Allocation, Registration
from conformance.sandbox.launcher.unixsocket import OWN_CONNECTION
from conformance.sandbox.network.node import Node

log = logging.getLogger(__name__)

DIRECTORY: Final = "/var/lib/kubelet/device-plugins"
KUBELET_SOCKET: Final = "kubelet.sock"
_ALLOCATE_SECONDS: Final = 10.0


class DeviceError(Exception):
    """A pod cannot have its devices; the text is the kubelet's, for the event `UnexpectedAdmissionError`."""


@dataclass
class _Plugin:
    """A registered plugin: its channel, the devices it has, and which of them a pod holds (id to pod UID)."""

    channel: grpc.aio.Channel
    devices: tuple[str, ...] = ()
    holders: dict[str, str] = field(default_factory=dict)

    def free(self) -> list[str]:
        return [device for device in self.devices if device not in self.holders]


@dataclass(frozen=True)
class PodDevices:
    """What a pod was given: per container, and the device ids per resource in the order of allocation."""

    containers: Mapping[str, Allocation] = field(default_factory=dict)
    ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class DevicePlugins:
    """The device manager of one node."""

    def __init__(self, client: ApiClient, node: Node) -> None:
        self._client, self._node = client, node
        self._plugins: dict[str, _Plugin] = {}
        self._held: dict[str, dict[str, str]] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._server: grpc.aio.Server | None = None
        self._descriptor = -1

    async def start(self) -> None:
        """Serve the registration socket. Sockets that plugins had for the kubelet before are removed, as it does."""
        directory = self._node.path(DIRECTORY)
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.iterdir():
            if not path.is_dir():
                path.unlink()
        # The path of a state directory would not fit into a socket address; one that begins at a descriptor does.
        self._descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(self._register)
        handlers = {deviceapi.REGISTER: method}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(deviceapi.REGISTRATION_SERVICE, handlers),)
        )
        self._server.add_insecure_port(self._address(KUBELET_SOCKET))
        for resource in self._held:  # until its plugin has registered anew, which it cannot as yet
            await self._advertise(resource, 0)
        await self._server.start()

    async def stop(self) -> None:
        """Stop serving and leave the plugins. What pods hold is kept, as in the kubelet's checkpoint."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        self._held |= {resource: plugin.holders for resource, plugin in self._plugins.items()}
        self._plugins = {}
        if self._server is not None:
            await self._server.stop(None)
            os.close(self._descriptor)
            self._server = None

    async def allocate(self, pod: Object) -> PodDevices:
        """Give a pod the devices its containers ask for. Raises DeviceError; nothing is held then.

        A resource without a plugin is none of ours: whoever advertised it on the node answers for it.
        """
        uid = pod["metadata"]["uid"]
        containers: dict[str, Allocation] = {}
        ids: dict[str, tuple[str, ...]] = {}
        try:
            for container in pod["spec"]["containers"]:
                wanted = (container.get("resources") or {}).get("limits") or {}
                for resource in sorted(wanted.keys() & self._plugins.keys()):
                    chosen = self._take(resource, int(wanted[resource]), uid)
                    given = await self._ask(resource, chosen)
                    containers[container["name"]] = containers.get(container["name"], Allocation()) + given
                    ids[resource] = ids.get(resource, ()) + chosen
        except BaseException:
            self.release(uid)
            raise
        return PodDevices(containers, ids)

    def release(self, uid: str) -> None:
        """Take back whatever a pod held. Idempotent."""
        for resource, holders in self._held.items():
            self._held[resource] = {device: holder for device, holder in holders.items() if holder != uid}
        for plugin in self._plugins.values():
            plugin.holders = {device: holder for device, holder in plugin.holders.items() if holder != uid}

    def _take(self, resource: str, count: int, uid: str) -> tuple[str, ...]:
        plugin = self._plugins[resource]
        free = plugin.free()
        if len(free) < count:
            raise DeviceError(
                "Allocate failed due to requested number of devices unavailable for "
                f"{resource}. Requested: {count}, Available: {len(free)}, which is unexpected"
            )
        chosen = tuple(free[:count])
        plugin.holders |= dict.fromkeys(chosen, uid)
        return chosen

    async def _ask(self, resource: str, chosen: tuple[str, ...]) -> Allocation:
        call = self._plugins[resource].channel.unary_unary(deviceapi.ALLOCATE)
        try:
            answer = await call(deviceapi.allocate_request(chosen), timeout=_ALLOCATE_SECONDS)
        except grpc.aio.AioRpcError as error:
            code, details = error.code().name.title().replace("_", ""), error.details()
            raise DeviceError(f"Allocate failed due to rpc error: code = {code} desc = {details}") from error
        return deviceapi.decode_allocation(answer)

    async def _register(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        found = Registration.decode(request)
        if found.version != deviceapi.VERSION:
            text = f"requested API version {found.version!r} is not supported by kubelet. Supported version is"
            await context.abort(grpc.StatusCode.UNKNOWN, f'{text} ["{deviceapi.VERSION}"]')
        plugin = _Plugin(grpc.aio.insecure_channel(self._address(found.endpoint), options=[OWN_CONNECTION]))
        before = self._plugins.get(found.resource)
        plugin.holders = before.holders if before is not None else self._held.get(found.resource, {})
        self._plugins[found.resource] = plugin
        watch = asyncio.create_task(self._watch(found.resource, plugin))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        log.info("%s: device plugin %s registered", self._node.name, found.resource)
        return b""

    async def _watch(self, resource: str, plugin: _Plugin) -> None:
        """Follow a plugin's devices until it ends; its resource then has none."""
        try:
            async for message in plugin.channel.unary_stream(deviceapi.LIST_AND_WATCH)(b"", wait_for_ready=True):
                plugin.devices = deviceapi.healthy_devices(message)
                await self._advertise(resource, len(plugin.devices))
        except grpc.aio.AioRpcError as error:
            log.info("%s: device plugin %s ended: %s", self._node.name, resource, error.details())
        finally:
            plugin.devices = ()
            await plugin.channel.close()
        if self._plugins.get(resource) is plugin:
            with contextlib.suppress(Exception):
                await self._advertise(resource, 0)

    async def _advertise(self, resource: str, count: int) -> None:
        counts = {resource: str(count)}
        status = {"status": {"capacity": counts, "allocatable": counts}}
        await self._client.merge(NODES, None, self._node.name, status, "status")

    def _address(self, socket: str) -> str:
        return f"unix:/proc/self/fd/{self._descriptor}/{socket}"
