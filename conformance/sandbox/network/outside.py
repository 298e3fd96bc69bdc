"""The host outside the cluster: echoes on TCP and UDP port 7, and answers HTTP on port 80 with who has asked."""

import asyncio
import socket
from collections.abc import Callable

from aiohttp import web

from conformance.sandbox.network.datagrams import Responder

# Reserved names that in the real world, too, answer HTTP at addresses of both families (RFC 2606).
OUTSIDE_NAMES = ("example.com", "example.org", "www.example.com")
ECHO_PORT, HTTP_PORT = 7, 80

OpenSocket = Callable[[int, int], socket.socket]


class OutsideHost:
    """The services of the host, on sockets of its own namespace."""

    def __init__(self) -> None:
        self._runner: web.AppRunner | None = None
        self._servers: list[asyncio.Server] = []
        self._transports: list[asyncio.BaseTransport] = []

    async def start(self, open_socket: OpenSocket) -> None:
        """Listen, in both families; `open_socket(family, kind)` makes a socket there."""
        app = web.Application()
        app.router.add_get("/{path:.*}", _who_asks)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        for family in (socket.AF_INET, socket.AF_INET6):
            http, stream, datagrams = (
                _bound(open_socket(family, kind), family, port)
                for kind, port in (
                    (socket.SOCK_STREAM, HTTP_PORT),
                    (socket.SOCK_STREAM, ECHO_PORT),
                    (socket.SOCK_DGRAM, ECHO_PORT),
                )
            )
            await web.SockSite(self._runner, http).start()
            self._servers.append(await asyncio.start_server(_echo, sock=stream))
            transport, _ = await loop.create_datagram_endpoint(lambda: Responder(lambda data: data), sock=datagrams)
            self._transports.append(transport)

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        for transport in self._transports:
            transport.close()
        for server in self._servers:
            server.close()


def _bound(opened: socket.socket, family: int, port: int) -> socket.socket:
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    opened.bind(("", port))
    return opened


async def _who_asks(request: web.Request) -> web.Response:
    return web.json_response({"peer": request.remote, "host": request.host})


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the peer's end of the story is told by the peer
    finally:
        writer.close()
