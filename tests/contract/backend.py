"""A tiny stream backend on a UNIX socket: what the sandbox's stream server is to the API server, for the tests."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import WSMsgType, web

PING_SECONDS = 0.1
ENDED: set[str] = set()
"""The VMIs whose portforward has ended, as the backend saw it."""


_CONSOLES: dict[str, web.WebSocketResponse] = {}


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return web.json_response({**body, "reason": reason, "code": code}, status=code)


async def _portforward(request: web.Request) -> web.StreamResponse:
    """Echo what comes; the VMI's name says how it behaves."""
    name = request.match_info["name"]
    if name == "missing":
        return _status(404, "NotFound", 'virtualmachineinstance.kubevirt.io "missing" not found')
    if name == "refused":
        return _status(500, "InternalError", "Internal error occurred: dialing VM: connection refused")
    socket = web.WebSocketResponse(
        protocols=["plain.kubevirt.io"], heartbeat=None if name == "bulk" else PING_SECONDS, max_msg_size=0
    )
    await socket.prepare(request)
    if name == "closing":
        await socket.close(code=4001, message=b"enough")
        return socket
    if name == "dropping":
        assert request.transport
        request.transport.abort()
        return socket
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
    finally:
        ENDED.add(name)
    return socket


async def _console(request: web.Request) -> web.StreamResponse:
    """A serial console: a login prompt, then what is typed, in upper case. A second client ends the first."""
    socket = web.WebSocketResponse(protocols=["plain.kubevirt.io"])
    await socket.prepare(request)
    name = request.match_info["name"]
    if (before := _CONSOLES.get(name)) is not None:
        await before.close()
    _CONSOLES[name] = socket
    await socket.send_bytes(b"login: ")
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data.upper())
    return socket


async def _exec(request: web.Request) -> web.StreamResponse:
    """Print the command, echo one line of stdin, end with status 3."""
    socket = web.WebSocketResponse(protocols=["v5.channel.k8s.io", "v4.channel.k8s.io"])
    await socket.prepare(request)
    await socket.send_bytes(b"\x01" + " ".join(request.query.getall("command")).encode() + b"\n")
    await socket.send_bytes(b"\x02warning\n")
    if request.query.get("stdin") in ("1", "true", "True"):
        async for message in socket:
            data = message.data.encode() if isinstance(message.data, str) else message.data
            if len(data) > 1:
                await socket.send_bytes(b"\x01" + data[1:])
                break
    causes = [{"reason": "ExitCode", "message": "3"}]
    text = "command terminated with non-zero exit code: exit status 3"
    failure = {"reason": "NonZeroExitCode", "message": text, "details": {"causes": causes}}
    await socket.send_bytes(b"\x03" + json.dumps({"metadata": {}, "status": "Failure", **failure}).encode())
    await socket.close()
    return socket


async def _log(request: web.Request) -> web.StreamResponse:
    """Two lines, the second a moment later when following."""
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    await response.write(b"first\n")
    if request.query.get("follow") in ("true", "1"):
        await asyncio.sleep(0.1)
    await response.write(b"second\n")
    return response


async def _describe(request: web.Request) -> web.StreamResponse:
    """What arrived."""
    body = {
        "method": request.method,
        "path": request.path_qs,
        "user": request.headers.get("X-Remote-User"),
        "groups": request.headers.getall("X-Remote-Group", []),
        "authorization": request.headers.get("Authorization"),
        "body": (await request.read()).decode(),
    }
    return web.json_response(body, status=202)


def _application() -> web.Application:
    application = web.Application()
    vmi = "/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}"
    pod = "/api/v1/namespaces/{namespace}/pods/{name}"
    application.router.add_get(vmi + "/portforward/{port}", _portforward)
    application.router.add_get(vmi + "/console", _console)
    application.router.add_put(vmi + "/pause", _describe)
    application.router.add_get(pod + "/log", _log)
    application.router.add_get(pod + "/exec", _exec)
    return application


@contextmanager
def stream_backend(path: Path) -> Iterator[Path]:
    """Serve on a UNIX socket, in a thread of its own, until the block ends."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    started = threading.Event()

    async def serve() -> None:
        runner = web.AppRunner(_application(), shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="stream-backend")
    thread.start()
    assert started.wait(5)
    try:
        yield path
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()
