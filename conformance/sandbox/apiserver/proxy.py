"""API aggregation: requests that another process answers, over a UNIX socket.

A request is forwarded with the same method, path, query and body; who sent it goes along in `X-Remote-User`,
`X-Remote-Uid` and `X-Remote-Group` (one header a group), as the Kubernetes aggregation layer does. The client's own
credentials do not. After a 101 answer both connections become one byte pipe, so frames, pings, subprotocols and close
codes pass untouched; any other answer comes back as an ordinary response.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web
from multidict import CIMultiDict
from yarl import URL

from conformance.sandbox.apiserver.admission import User
from conformance.sandbox.apiserver.errors import StatusError, bad_request

if TYPE_CHECKING:
    from aiohttp.http_websocket import WebSocketReader

_CHUNK = 64 * 1024
_MAX_HEAD = 64 * 1024
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
_IDENTITY = ("authorization", "x-remote-user", "x-remote-uid", "x-remote-group")


class StreamProxy:
    """Forwards requests to the backend. `path` is its UNIX socket; it may appear after the server has started."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._session: ClientSession | None = None

    async def forward(self, request: web.Request, user: User) -> web.StreamResponse:
        """Answer a request by the backend's answer; StatusError 503 when it cannot be reached."""
        try:
            if request.headers.get("Upgrade"):
                if request.can_read_body:
                    raise bad_request("an upgrade request carries no body")
                return await self._upgrade(request, user)
            return await self._exchange(request, user)
        except (ClientError, ConnectionError, FileNotFoundError, EOFError) as error:
            if request.transport is None or request.transport.is_closing():
                raise
            text = f"error trying to reach service: {type(error).__name__}: {error}"
            raise StatusError(503, "ServiceUnavailable", text) from error

    async def close(self) -> None:
        """Give up the connections to the backend."""
        if self._session:
            await self._session.close()

    # ------------------------------------------------------------------------------------------ ordinary requests

    async def _exchange(self, request: web.Request, user: User) -> web.StreamResponse:
        if self._session is None:
            self._session = ClientSession(
                connector=UnixConnector(self._path, limit=0), timeout=ClientTimeout(total=None), auto_decompress=False
            )
        headers = _forwarded(request, user, upgrade=False)
        url = URL(f"http://backend{request.raw_path}", encoded=True)
        body = request.content if request.can_read_body else None
        async with self._session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    # ------------------------------------------------------------------------------------------ upgrades

    async def _upgrade(self, request: web.Request, user: User) -> web.StreamResponse:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=_MAX_HEAD)
        try:
            writer.write(_head(request, user))
            await writer.drain()
            status, reason, headers = _parse_head(await reader.readuntil(b"\r\n\r\n"))
            if status != 101:
                body = await _read_body(reader, headers)
                return web.Response(status=status, reason=reason, headers=_end_to_end(headers), body=body)
            return await self._pipe(request, headers, reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise ConnectionError(f"the backend's answer cannot be understood: {error}") from error
        finally:
            writer.close()

    async def _pipe(
        self,
        request: web.Request,
        headers: CIMultiDict[str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> web.StreamResponse:
        """Join the client's connection and the backend's; either end closing ends both."""
        response = web.StreamResponse(status=101, headers=headers)
        response.force_close()
        await response.prepare(request)
        inbound = _Inbound(request)
        tasks = [
            asyncio.create_task(_copy(inbound.reader, writer)),
            asyncio.create_task(_copy_to_client(reader, response)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done() and not tasks[1].done():
                # The client ended: what the backend still says (a close frame) may follow for a moment.
                await asyncio.wait(tasks[1:], timeout=1)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return response


class _Inbound:
    """What the client sends after the upgrade, as a stream with flow control.

    aiohttp hands the bytes of an upgraded connection to a parser; this one keeps them as they are.
    """

    def __init__(self, request: web.Request) -> None:
        self.reader = asyncio.StreamReader(limit=_CHUNK)
        if request.transport is None:
            raise ConnectionResetError("the client has gone")
        self.reader.set_transport(request.transport)
        request.protocol.set_parser(cast("WebSocketReader", self))

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp with every piece that arrives."""
        self.reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        """Called by aiohttp when the connection is lost."""
        self.reader.feed_eof()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _copy_to_client(reader: asyncio.StreamReader, response: web.StreamResponse) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            await response.write(data)


# ---------------------------------------------------------------------------------------------- HTTP/1.1 heads


def _forwarded(request: web.Request, user: User, *, upgrade: bool) -> CIMultiDict[str]:
    """The request's headers for the backend."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in request.headers.items():
        lowered = name.lower()
        if lowered not in _IDENTITY and (upgrade or lowered not in _HOP_BY_HOP):
            headers.add(name, value)
    headers["X-Remote-User"] = user.name
    if user.uid:
        headers["X-Remote-Uid"] = user.uid
    for group in user.groups:
        headers.add("X-Remote-Group", group)
    return headers


def _head(request: web.Request, user: User) -> bytes:
    lines = [f"{request.method} {request.raw_path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in _forwarded(request, user, upgrade=True).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _parse_head(data: bytes) -> tuple[int, str, CIMultiDict[str]]:
    """Status, reason and headers of an answer; ValueError when it is none."""
    first, *lines = data.decode("utf-8", "surrogateescape").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"not an HTTP/1.1 answer: {first[:80]!r}")
    code, _, reason = rest.partition(" ")
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in _header_pairs(lines):
        headers.add(name, value)
    return int(code), reason, headers


def _header_pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _end_to_end(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    dropped = (*_HOP_BY_HOP, "content-length")
    return CIMultiDict([(name, value) for name, value in headers.items() if name.lower() not in dropped])


async def _read_body(reader: asyncio.StreamReader, headers: CIMultiDict[str]) -> bytes:
    """The whole body of a refusal: by length, chunked, or up to the end of the connection."""
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        pieces = []
        while size := int((await reader.readline()).split(b";")[0], 16):
            pieces.append(await reader.readexactly(size))
            await reader.readline()
        return b"".join(pieces)
    if "Content-Length" in headers:
        return await reader.readexactly(int(headers["Content-Length"]))
    return await reader.read(_MAX_HEAD)
