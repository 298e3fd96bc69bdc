"""Readiness and liveness probes of a container, run from its pod's node as a kubelet does.

Sources: Kubernetes `pkg/kubelet/prober` (worker.go, prober.go), `pkg/probe`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.sandbox.client import Object
from conformance.sandbox.launcher.container import Container
from conformance.sandbox.network.dialling import DialError, dial
from conformance.sandbox.network.node import Node

READINESS: Final = "readinessProbe"
LIVENESS: Final = "livenessProbe"
_WORDS: Final = {READINESS: "Readiness", LIVENESS: "Liveness"}

Verdict = Callable[[bool], Awaitable[None]]
Report = Callable[[str], Awaitable[None]]


class ProbeFailed(Exception):
    """One attempt failed; the text is what the event says after `probe failed: `."""


@dataclass(frozen=True)
class Target:
    """What is probed: a container of a pod, reached from `node` at `address`."""

    node: Node
    address: str
    container: Object
    running: Container


@dataclass
class Probe:
    """One probe of the Pod API (`kind` is its field). `verdict` hears each change of its result, `report` each failure.

    A readiness probe holds from its first success on, a liveness probe until it fails.
    """

    kind: str
    target: Target
    verdict: Verdict
    report: Report
    holds: bool = field(init=False)
    _spec: Object = field(init=False)

    def __post_init__(self) -> None:
        self._spec = self.target.container[self.kind]
        self.holds = self.kind == LIVENESS

    async def run(self) -> None:
        """Probe until cancelled."""
        await asyncio.sleep(self._seconds("initialDelaySeconds", 0))
        run = 0
        outcome: bool | None = None
        while True:
            succeeded = await self._attempt()
            run = run + 1 if succeeded == outcome else 1
            outcome = succeeded
            needed = self._spec.get("successThreshold") or 1 if succeeded else self._spec.get("failureThreshold") or 3
            if run >= needed and succeeded != self.holds:
                self.holds = succeeded
                await self.verdict(succeeded)
            await asyncio.sleep(self._seconds("periodSeconds", 10))

    async def _attempt(self) -> bool:
        try:
            await attempt(self.target, self._spec, self._seconds("timeoutSeconds", 1))
        except ProbeFailed as failure:
            await self.report(f"{_WORDS[self.kind]} probe failed: {failure}")
            return False
        return True

    def _seconds(self, name: str, default: int) -> float:
        return float(self._spec.get(name) or default)


async def attempt(target: Target, spec: Object, seconds: float) -> None:
    """Probe once, for at most so many seconds. Raises ProbeFailed."""
    if "tcpSocket" in spec:
        await _tcp(target, spec["tcpSocket"], seconds)
    elif "httpGet" in spec:
        await _http(target, spec["httpGet"], seconds)
    elif "exec" in spec:
        await _exec(target, tuple(spec["exec"].get("command") or ()), seconds)
    else:
        raise ProbeFailed(f"missing probe handler for {target.container['name']}")


async def _tcp(target: Target, spec: Object, seconds: float) -> None:
    try:
        _, sink = await dial(target.node, "tcp", spec.get("host") or target.address, _port(target, spec), seconds)
    except DialError as error:
        raise ProbeFailed(str(error)) from error
    sink.close()


async def _http(target: Target, spec: Object, seconds: float) -> None:
    host, port = spec.get("host") or target.address, _port(target, spec)
    scheme = spec.get("scheme", "HTTP").lower()
    path = "/" + spec.get("path", "/").lstrip("/")
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"
    try:
        reader, sink = await dial(target.node, "tcp", host, port, seconds)
    except DialError as error:
        raise ProbeFailed(f'Get "{url}": {error}') from error
    try:
        async with asyncio.timeout(seconds):
            if scheme == "https":
                await _start_tls(sink)
            headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.36", "Connection": "close"}
            headers |= {header["name"]: header["value"] for header in spec.get("httpHeaders") or []}
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            sink.write(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
            status = (await reader.readline()).split(b" ", 2)
    except TimeoutError:
        text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        raise ProbeFailed(f'Get "{url}": {text}') from None
    except OSError as error:
        raise ProbeFailed(f'Get "{url}": {error.strerror or error}') from error
    finally:
        sink.close()
    if len(status) < 2 or not status[1].isdigit():
        raise ProbeFailed(f'Get "{url}": EOF')
    if not 200 <= int(status[1]) < 400:
        raise ProbeFailed(f"HTTP probe failed with statuscode: {int(status[1])}")


async def _start_tls(sink: Any) -> None:
    """A kubelet does not verify whom it probes."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    await sink.start_tls(context)


async def _exec(target: Target, command: tuple[str, ...], seconds: float) -> None:
    process = await target.running.exec(command)
    try:
        output, errors = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ProbeFailed(f'command timed out: "{" ".join(command)}" timed out after {seconds:g}s') from None
    if process.returncode:
        raise ProbeFailed((output + errors).decode(errors="replace"))


def _port(target: Target, spec: Object) -> str:
    """The port as a number: a name is one of the container's ports."""
    wanted = spec["port"]
    for port in target.container.get("ports") or []:
        if port.get("name") == wanted:
            return str(port["containerPort"])
    return str(wanted)
