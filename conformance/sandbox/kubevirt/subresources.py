"""subresources.kubevirt.io, as virt-api serves them: portforward, console, pause, start, stop, restart.

Codes and texts as recorded on v1.9.0; portforward dials before it upgrades.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import WSMsgType, web

from conformance.sandbox.client import VMIS, VMS, ApiClient, Object
from conformance.sandbox.kubernetes.status import StatusError
from conformance.sandbox.kubevirt import conditions
from conformance.sandbox.kubevirt.handler import VirtHandler
from conformance.sandbox.kubevirt.vmis import current_pod
from conformance.sandbox.launcher.console import ConsoleBroker
from conformance.sandbox.launcher.errors import LauncherError
from conformance.sandbox.launcher.launcher import Launcher
from conformance.sandbox.network.dialling import DialError, Sink, dial
from conformance.sandbox.network.node import Node

_PROTOCOL: Final = "plain.kubevirt.io"
_PING_SECONDS: Final = 1.0
_CHUNK: Final = 32768
_REASONS: Final = {400: "BadRequest", 404: "NotFound", 409: "Conflict", 500: "InternalError"}
_NO_WEBSOCKET: Final = (
    "websocket: the client is not using the websocket protocol: 'upgrade' token not found in 'Connection' header"
)
_PATH: Final = "/apis/subresources.kubevirt.io/{version}/namespaces/{namespace}"


def _error(code: int, message: str) -> StatusError:
    return StatusError(code, _REASONS[code], message)


def _internal(cause: str) -> StatusError:
    """virt-api's 500: the cause in the message and once more by itself."""
    return StatusError(500, _REASONS[500], f"Internal error occurred: {cause}", [cause])


class Subresources:
    """virt-api's side of the subresources; `node` is where virt-api lives in the cluster network."""

    def __init__(self, client: ApiClient, handlers: dict[str, VirtHandler], node: Node) -> None:
        self._client, self._handlers, self._node = client, handlers, node
        self._brokers: WeakKeyDictionary[Launcher, ConsoleBroker] = WeakKeyDictionary()

    def routes(self) -> list[web.AbstractRouteDef]:
        vmi, vm = f"{_PATH}/virtualmachineinstances/{{name}}", f"{_PATH}/virtualmachines/{{name}}"
        return [
            web.get(f"{vmi}/portforward/{{port}}", self.portforward),
            web.get(f"{vmi}/portforward/{{port}}/{{protocol}}", self.portforward),
            web.get(f"{vmi}/console", self.console),
            web.put(f"{vmi}/pause", self.pause),
            web.put(f"{vmi}/unpause", self.pause),
            web.put(f"{vm}/{{action:start|stop|restart}}", self.change_state),
        ]

    async def _vmi(self, request: web.Request) -> Object:
        _require_acceptable(request)
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        vmi = await self._client.find(VMIS, namespace, name)
        if vmi is None:
            raise _error(404, f'virtualmachineinstance.kubevirt.io "{name}" not found')
        return vmi

    def _handler(self, vmi: Object) -> VirtHandler:
        handler = self._handlers.get(vmi.get("status", {}).get("nodeName", ""))
        if handler is None:
            raise _error(409, f"Unable to connect to VirtualMachineInstance: {vmi['metadata']['name']} is not running")
        return handler

    async def portforward(self, request: web.Request) -> web.StreamResponse:
        """Dial the VMI's first interface, then carry bytes both ways in binary frames."""
        vmi = await self._vmi(request)
        if conditions.is_true(vmi, "Paused"):
            name = vmi["metadata"]["name"]
            message = f'Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "{name}": VMI is paused'
            raise _error(409, message)
        interfaces = vmi.get("status", {}).get("interfaces") or []
        if not interfaces:
            raise _error(400, "no network interfaces are present")
        protocol = request.match_info.get("protocol", "tcp")
        address, port = interfaces[0].get("ipAddress", ""), request.match_info["port"]
        try:
            reader, writer = await dial(self._node, protocol, address, port)
        except DialError as error:
            raise _internal(f"dialing VM: {error}") from error
        try:
            return await _relay(request, reader, writer)
        finally:
            writer.close()

    async def console(self, request: web.Request) -> web.StreamResponse:
        """The serial console. A new client takes it over; the former one is closed."""
        vmi = await self._vmi(request)
        handler = self._handler(vmi)
        pod = current_pod(handler.context.pods, vmi)
        launcher = handler.context.launchers.get(pod["metadata"]["uid"]) if pod else None
        if launcher is None:
            raise _internal("unable to connect to the serial console")
        broker = self._brokers.setdefault(launcher, ConsoleBroker(launcher.console))
        try:
            connection = await broker.open()
        except (OSError, TimeoutError) as error:
            raise _internal(f"serial console: {error}") from error
        try:
            return await _relay(request, connection.reader, connection.writer)
        finally:
            connection.close()

    async def pause(self, request: web.Request) -> web.StreamResponse:
        vmi = await self._vmi(request)
        pausing = request.path.endswith("/pause")
        if conditions.is_true(vmi, "Paused") == pausing:
            raise _error(409, "VMI is already paused" if pausing else "VMI is not paused")
        handler = self._handler(vmi)
        pod = current_pod(handler.context.pods, vmi)
        try:
            await handler.set_paused(vmi, pod or {}, pausing)
        except LauncherError as error:
            raise _internal(str(error)) from error
        return web.Response(status=200)

    async def change_state(self, request: web.Request) -> web.StreamResponse:
        """start, stop and restart of a VirtualMachine, through its run strategy or a state change request."""
        _require_acceptable(request)
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        vm = await self._client.find(VMS, namespace, name)
        if vm is None:
            raise _error(404, f'virtualmachine.kubevirt.io "{name}" not found')
        action = request.match_info["action"]
        if action == "restart":
            vmi = await self._client.find(VMIS, namespace, name)
            if vmi is None:
                raise _error(
                    409, f"Operation cannot be fulfilled on virtualmachine.kubevirt.io {name!r}: VM is not running"
                )
            requests = [{"action": "Stop", "uid": vmi["metadata"]["uid"]}, {"action": "Start"}]
            await self._client.merge(VMS, namespace, name, {"status": {"stateChangeRequests": requests}}, "status")
        else:
            strategy = "Always" if action == "start" else "Halted"
            await self._client.merge(VMS, namespace, name, {"spec": {"runStrategy": strategy, "running": None}})
        return web.Response(status=202)


def _require_acceptable(request: web.Request) -> None:
    """virt-api answers 406 to a client that accepts JSON alone."""
    accept = request.headers.get("Accept", "*/*")
    if (
        request.path.startswith("/apis/subresources.kubevirt.io")
        and "application/json" in accept
        and "*/*" not in accept
    ):
        raise web.HTTPNotAcceptable(text="406: Not Acceptable\n\nAvailable representations:")


async def _relay(request: web.Request, reader: asyncio.StreamReader, writer: Sink) -> web.StreamResponse:
    """Carry bytes between a websocket and a stream until either side ends."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise _error(400, _NO_WEBSOCKET)
    ws = web.WebSocketResponse(protocols=(_PROTOCOL,), heartbeat=_PING_SECONDS * 60, max_msg_size=0)
    await ws.prepare(request)

    async def upstream() -> None:
        async for message in ws:
            if message.type == WSMsgType.BINARY:
                writer.write(message.data)
                await writer.drain()

    async def downstream() -> None:
        while data := await reader.read(_CHUNK):
            await ws.send_bytes(data)

    async def pings() -> None:
        while True:
            await asyncio.sleep(_PING_SECONDS)
            await ws.ping()

    jobs: list[Awaitable[None]] = [upstream(), downstream(), pings()]
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(ConnectionError):
            await ws.close()
        await asyncio.gather(*tasks, return_exceptions=True)
    return ws
