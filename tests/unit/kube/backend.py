"""What stands behind the API server's stream subresources in tests: this machine plays pod and guest.

``pods/exec`` runs the command here, ``portforward`` dials 127.0.0.1, ``console`` is a real shell on a pseudo terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import WSMsgType, web

_VMI = "/apis/subresources.kubevirt.io/v1/namespaces/{ns}/virtualmachineinstances/{name}"
_POD = "/api/v1/namespaces/{ns}/pods/{name}"


class Backend:
    """The stream server. ``consoles`` counts the clients that a VMI's console has had."""

    def __init__(self) -> None:
        self.consoles: dict[str, int] = {}
        self.exec_protocols = ("v5.channel.k8s.io", "v4.channel.k8s.io")
        self._clients: dict[str, web.WebSocketResponse] = {}
        self._terminals: dict[str, int] = {}
        self._shells: list[int] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get(_VMI + "/portforward/{port}/{protocol}", self.portforward)
        app.router.add_get(_VMI + "/console", self.console)
        app.router.add_get(_POD + "/exec", self.execute)
        app.router.add_get(_POD + "/log", self.log)
        return app

    # -- portforward ----------------------------------------------------------------------------------------------

    async def portforward(self, request: web.Request) -> web.StreamResponse:
        """Dial before the upgrade, as virt-api does."""
        name, port = request.match_info["name"], int(request.match_info["port"])
        refusal = {
            "paused": (409, "VMI is paused"),
            "gone": (404, "not found"),
            "bare": (400, "no network interfaces are present"),
        }
        if name in refusal:
            code, text = refusal[name]
            return web.json_response({"kind": "Status", "code": code, "reason": "", "message": text}, status=code)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            text = f"Internal error occurred: dialing VM: dial tcp 127.0.0.1:{port}: connect: connection refused"
            return web.Response(status=500, text=text)
        socket = web.WebSocketResponse(protocols=("plain.kubevirt.io",), heartbeat=None, autoping=True)
        await socket.prepare(request)
        async with _pinged(socket):
            await _relay(socket, reader, writer)
        return socket

    # -- console --------------------------------------------------------------------------------------------------

    async def console(self, request: web.Request) -> web.StreamResponse:
        """One client at a time: a second one closes the first."""
        name = request.match_info["name"]
        self.consoles[name] = self.consoles.get(name, 0) + 1
        if name in self._clients:
            await self._clients[name].close()
        socket = web.WebSocketResponse(protocols=("plain.kubevirt.io",))
        await socket.prepare(request)
        self._clients[name] = socket
        terminal = self._terminal(name)
        loop = asyncio.get_running_loop()
        output: asyncio.Queue[bytes] = asyncio.Queue()
        loop.add_reader(terminal, lambda: output.put_nowait(_read(terminal)))
        sender = asyncio.create_task(_send_all(output, socket))
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                os.write(terminal, message.data)
        sender.cancel()
        if self._clients.get(name) is socket:
            del self._clients[name]
            loop.remove_reader(terminal)
        return socket

    def _terminal(self, name: str) -> int:
        """A pseudo terminal with a getty of sorts: it asks for a name and a password, then is a shell."""
        if name not in self._terminals:
            pid, terminal = pty.fork()
            if pid == 0:
                os.execv("/bin/sh", ["sh", "-c", _GETTY])
            self._terminals[name] = terminal
            self._shells.append(pid)
        return self._terminals[name]

    def hang_up(self) -> None:
        """End the shells of all consoles."""
        for terminal in self._terminals.values():
            os.close(terminal)
        for pid in self._shells:
            os.waitpid(pid, 0)

    # -- pods -----------------------------------------------------------------------------------------------------

    async def log(self, request: web.Request) -> web.Response:
        return web.Response(text=f"log of {request.match_info['name']}/{request.query['container']}\n")

    async def execute(self, request: web.Request) -> web.StreamResponse:
        """Run the command here, with the channels of the Kubernetes exec protocol."""
        argv = request.query.getall("command")
        socket = web.WebSocketResponse(protocols=self.exec_protocols)
        await socket.prepare(request)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            await socket.send_bytes(b"\x03" + _status(None, str(error)))
            return socket
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdin is not None
        outputs = asyncio.gather(_copy(process.stdout, 1, socket), _copy(process.stderr, 2, socket))
        stdin = asyncio.create_task(_feed(socket, process.stdin))
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({ended, stdin}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            os.killpg(process.pid, signal.SIGKILL)  # the client has gone
        await outputs
        with contextlib.suppress(ConnectionError):
            await socket.send_bytes(b"\x03" + _status(await ended, ""))
        stdin.cancel()
        await socket.close()
        return socket


_GETTY = """
echo boot message
while :; do
  printf 'host login: '; read -r user || exit; [ "$user" ] || continue
  stty -echo; printf 'Password: '; read -r password; stty echo; echo
  [ "$user:$password" = tester:word ] && break
  echo Login incorrect
done
# a guest may quieten its kernel, this machine's is not ours to change
bin=$(mktemp -d); printf '#!/bin/sh\n' > $bin/dmesg; chmod +x $bin/dmesg
export PS1='$ ' ENV= PATH=$bin:$PATH
trap 'rm -r $bin' EXIT HUP TERM
sh -i
"""


def _status(code: int | None, message: str) -> bytes:
    if code == 0:
        return json.dumps({"status": "Success"}).encode()
    causes = [] if code is None else [{"reason": "ExitCode", "message": str(code)}]
    return json.dumps({"status": "Failure", "message": message, "details": {"causes": causes}}).encode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


async def _send_all(output: asyncio.Queue[bytes], socket: web.WebSocketResponse) -> None:
    while True:
        with contextlib.suppress(ConnectionError):
            await socket.send_bytes(await output.get())


async def _copy(stream: asyncio.StreamReader, channel: int, socket: web.WebSocketResponse) -> None:
    while data := await stream.read(65536):
        with contextlib.suppress(ConnectionError):
            await socket.send_bytes(bytes([channel]) + data)


async def _feed(socket: web.WebSocketResponse, stdin: asyncio.StreamWriter) -> None:
    """stdin until the connection ends; ``255 0`` ends stdin alone (v5)."""
    async for message in socket:
        if message.type is not WSMsgType.BINARY:
            continue
        if message.data[:2] == b"\xff\x00":
            stdin.close()
        elif message.data[0] == 0:
            with contextlib.suppress(ConnectionError):
                stdin.write(message.data[1:])
                await stdin.drain()


@asynccontextmanager
async def _pinged(socket: web.WebSocketResponse) -> AsyncIterator[None]:
    """A ping a second, as virt-api sends."""

    async def ping() -> None:
        while True:
            await asyncio.sleep(1)
            await socket.ping()

    task = asyncio.create_task(ping())
    try:
        yield
    finally:
        task.cancel()


async def _relay(socket: web.WebSocketResponse, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def outwards() -> None:
        while data := await reader.read(65536):
            await socket.send_bytes(data)
        await socket.close()

    task = asyncio.create_task(outwards())
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            writer.write(message.data)
            await writer.drain()
    writer.close()
    task.cancel()


@contextmanager
def stream_backend(path: Path) -> Iterator[Backend]:
    """Serve on a UNIX socket, in a thread, for as long as the block lasts."""
    backend = Backend()
    loop = asyncio.new_event_loop()
    started = threading.Event()
    runner = web.AppRunner(backend.application(), shutdown_timeout=0.5)

    async def start() -> None:
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        started.set()

    def serve() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert started.wait(10)
    yield backend
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    backend.hang_up()
