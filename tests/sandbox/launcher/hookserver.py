"""A hook sidecar for tests: serves KubeVirt's hook API on a UNIX socket in this process."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio

from conformance.hooks import messages as hookapi
from conformance.sandbox.launcher.unixsocket import short_address

VERSIONS = ("v1alpha1", "v1alpha2", "v1alpha3")
OnDefineDomain = Callable[[str, bytes], str]


@dataclass
class HookServer:
    """What the sidecar offers and what it was asked.

    `edit` gets the domain XML and the VMI's JSON and returns XML; an exception becomes a gRPC error of code Unknown.
    """

    edit: OnDefineDomain = lambda xml, _vmi: xml
    versions: tuple[str, ...] = ("v1alpha1", "v1alpha2", "v1alpha3")
    hook_points: tuple[str, ...] = (hookapi.ON_DEFINE_DOMAIN, hookapi.SHUTDOWN)
    info_delay: float = 0.0
    define_delay: float = 0.0
    cloud_init: Callable[[hookapi.CloudInitCall], hookapi.CloudInitCall] = lambda call: call
    calls: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self, socket: Path) -> AsyncIterator["HookServer"]:
        """Serve on a socket while the context lasts; its directory is created."""
        await asyncio.to_thread(lambda: socket.parent.mkdir(parents=True, exist_ok=True))
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(tuple(self._services()))
        with short_address(socket) as address:
            server.add_insecure_port(f"unix:{address}")
            await server.start()
        try:
            yield self
        finally:
            await server.stop(None)
            if socket.exists():
                os.unlink(socket)

    def _services(self) -> list[grpc.GenericRpcHandler]:
        """Info and the callbacks of every version, each method with its own full name."""

        def handler(method: str) -> grpc.RpcMethodHandler:
            async def handle(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
                return await self.answer(method, request, context)

            return grpc.unary_unary_rpc_method_handler(handle)

        points = (hookapi.ON_DEFINE_DOMAIN, hookapi.PRE_CLOUD_INIT_ISO, hookapi.SHUTDOWN)
        methods = [hookapi.callback_method(version, point) for version in VERSIONS for point in points]
        services: dict[str, dict[str, grpc.RpcMethodHandler]] = {}
        for method in (hookapi.INFO_METHOD, *methods):
            service, _, name = method.lstrip("/").partition("/")
            services.setdefault(service, {})[name] = handler(method)
        return [grpc.method_handlers_generic_handler(service, found) for service, found in services.items()]

    async def answer(self, method: str, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """One call of any method."""
        name = method.rpartition("/")[2]
        self.calls.append(method)
        if name == "Info":
            await asyncio.sleep(self.info_delay)
            points = tuple(hookapi.HookPoint(point) for point in self.hook_points)
            return hookapi.Info("test", points, self.versions).encode()
        if name == hookapi.ON_DEFINE_DOMAIN:
            return await self._define(hookapi.DomainCall.decode(request), context)
        if name == hookapi.PRE_CLOUD_INIT_ISO:
            return self.cloud_init(hookapi.CloudInitCall.decode(request)).encode()
        return b""

    async def _define(self, call: hookapi.DomainCall, context: grpc.aio.ServicerContext) -> bytes:
        await asyncio.sleep(self.define_delay)
        self.inputs.append(call.domain_xml.decode())
        try:
            edited = self.edit(call.domain_xml.decode(), call.vmi)
        except RuntimeError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return hookapi.DomainCall(edited.encode()).encode()
