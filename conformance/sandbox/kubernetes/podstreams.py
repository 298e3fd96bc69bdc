"""pods/exec and pods/log, as a kubelet serves them: websockets in the channel.k8s.io framing, and plain text."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Final

import orjson
from aiohttp import WSMsgType, web

from conformance.sandbox.client import Object
from conformance.sandbox.controller import Informer
from conformance.sandbox.kubernetes.kubelet import Kubelet
from conformance.sandbox.kubernetes.runningpod import RunningPod
from conformance.sandbox.kubernetes.status import StatusError
from conformance.sandbox.launcher.container import Terminal

_PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR = 0, 1, 2, 3
_CLOSE_CHANNEL: Final = 255
_CHUNK: Final = 32768
_FOLLOW_SECONDS: Final = 0.2


class PodStreams:
    """Serves exec and log for pods on any node, each through the kubelet it runs under."""

    def __init__(self, pods: Informer, kubelets: dict[str, Kubelet]) -> None:
        self._pods, self._kubelets = pods, kubelets

    def routes(self) -> list[web.AbstractRouteDef]:
        root = "/api/v1/namespaces/{namespace}/pods/{name}"
        return [
            web.get(root + "/log", self.log),
            web.get(root + "/exec", self.exec),
            web.post(root + "/exec", self.exec),
        ]

    def _find(self, request: web.Request) -> tuple[Object, RunningPod, str]:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        pod = self._pods.get(namespace, name)
        if pod is None:
            raise StatusError(404, "NotFound", f'pods "{name}" not found')
        spec = pod["spec"]
        names = [container["name"] for container in (*spec["containers"], *(spec.get("initContainers") or ()))]
        default = pod["metadata"].get("annotations", {}).get("kubectl.kubernetes.io/default-container", names[0])
        container = request.query.get("container") or default
        if container not in names:
            raise StatusError(400, "BadRequest", f"container {container} is not valid for pod {name}")
        kubelet = self._kubelets.get(pod["spec"].get("nodeName", ""))
        running = kubelet.known(pod["metadata"]["uid"]) if kubelet else None
        if running is None:
            message = f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating'
            raise StatusError(400, "BadRequest", message)
        return pod, running, container

    async def log(self, request: web.Request) -> web.StreamResponse:
        """The container's log; `tailLines` and `follow` are honoured."""
        _, running, container = self._find(request)
        path = running.log_file(container)
        data = path.read_bytes() if path.exists() else b""
        if tail := request.query.get("tailLines"):
            data = b"".join(data.splitlines(keepends=True)[-int(tail) :] if int(tail) else [])
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(data)
        if request.query.get("follow") in ("true", "1"):
            await self._follow(response, path, running, container)
        await response.write_eof()
        return response

    async def _follow(self, response: web.StreamResponse, path: Path, running: RunningPod, container: str) -> None:
        offset = path.stat().st_size if path.exists() else 0
        while container in running.containers:
            await asyncio.sleep(_FOLLOW_SECONDS)
            if path.exists() and path.stat().st_size > offset:
                with path.open("rb") as stream:
                    stream.seek(offset)
                    data = stream.read()
                offset += len(data)
                await response.write(data)

    async def exec(self, request: web.Request) -> web.StreamResponse:
        """Run a command in a container; its exit status goes over the error channel as a Status."""
        _, running, name = self._find(request)
        container = running.containers.get(name)
        if container is None:
            raise StatusError(500, "InternalError", f'container not found ("{name}")')
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise StatusError(400, "BadRequest", "Upgrade request required")
        flags = {flag: request.query.get(flag) in ("true", "1") for flag in ("stdin", "tty")}
        process = await container.exec(request.query.getall("command"), stdin=flags["stdin"], tty=flags["tty"])
        socket = web.WebSocketResponse(protocols=_PROTOCOLS, max_msg_size=0)
        await socket.prepare(request)
        feeder = asyncio.create_task(_feed(socket, process))
        try:
            await asyncio.gather(
                _drain(socket, _STDOUT, process.stdout),
                _drain(socket, _STDERR, process.stderr),
            )
            code = await process.wait()
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(bytes([_ERROR]) + orjson.dumps(_exit_status(code)))
        finally:
            feeder.cancel()
            if process.returncode is None:
                process.kill()
            await socket.close()
        return socket


async def _drain(socket: web.WebSocketResponse, channel: int, stream: asyncio.StreamReader | None) -> None:
    while stream is not None and (data := await stream.read(_CHUNK)):
        await socket.send_bytes(bytes([channel]) + data)


async def _feed(socket: web.WebSocketResponse, process: asyncio.subprocess.Process | Terminal) -> None:
    """Client to process: stdin data, the v5 close of stdin, and a vanished client, which ends the process."""
    async for message in socket:
        if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
            continue
        data = message.data if isinstance(message.data, bytes) else message.data.encode()
        if process.stdin is None or not data:
            continue
        if data[0] == _STDIN and data[1:]:
            process.stdin.write(data[1:])
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
        elif data[0] == _CLOSE_CHANNEL:
            process.stdin.close()
    if process.returncode is None:
        process.kill()


def _exit_status(code: int) -> Object:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: error executing command, exit code {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
