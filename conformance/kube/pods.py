"""Commands in pods (``pods/exec``) and their logs.

``pods/exec`` over a websocket needs the RBAC verbs ``get`` and ``create`` on ``pods/exec`` (observed on Kubernetes
1.36; kubectl falls back to SPDY and needs only ``create``).
"""

from __future__ import annotations

import contextlib
import json
import queue
import select
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

import websocket
from websocket import ABNF

from conformance.kube.cluster import Cluster
from conformance.kube.errors import ConnectionLost, KubeError
from conformance.kube.official import WebSocket
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.streams import CHANNELS, chosen_subprotocol, open_websocket, pending

_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_CHUNK = 16384


class ExecTimedOut(KubeError, EnvironmentFault):
    """The command did not end in time; ``stdout`` and ``stderr`` hold what it wrote."""

    def __init__(self, what: str, seconds: float, stdout: bytes, stderr: bytes) -> None:
        super().__init__(f"{what}: no end after {seconds:.0f} s; stderr: {stderr[-500:]!r} stdout: {stdout[-500:]!r}")
        self.stdout, self.stderr, self.seconds = stdout, stderr, seconds


@dataclass(frozen=True)
class ExecResult:
    """A finished command. ``exit_code`` is that of the process."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    def text(self) -> str:
        """stdout as UTF-8, undecodable bytes replaced."""
        return self.stdout.decode("utf-8", "replace")


class PodProcess:
    """A command running in a container, its streams read by a thread of ours as they come.

    ``lines`` yields complete stdout lines. Close it (or leave the ``with``) to end it: closing the connection ends the
    command, as the kubelet kills what has lost its client when stdin is attached.
    """

    def __init__(self, stream: WebSocket, what: str, argv: tuple[str, ...]) -> None:
        self.what, self.argv = what, argv
        self._stream, self._started = stream, time.monotonic()
        self._half_close = chosen_subprotocol(stream) == "v5.channel.k8s.io"
        self._outbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._wake, self._woken = socket.socketpair()
        self._changed = threading.Condition()
        self._received: dict[int, bytearray] = {_STDOUT: bytearray(), _STDERR: bytearray(), _ERROR: bytearray()}
        self._over = False
        threading.Thread(target=self._pump, daemon=True, name=f"exec-{argv[0]}").start()

    def write(self, data: bytes) -> None:
        """Send bytes to stdin."""
        for start in range(0, len(data), _CHUNK):
            self._send(bytes([_STDIN]) + data[start : start + _CHUNK])

    def close_stdin(self) -> bool:
        """End stdin; False when the server's protocol (v4) has no way to say so."""
        if self._half_close:
            self._send(bytes([_CLOSE, _STDIN]))
        return self._half_close

    @property
    def stdout(self) -> bytes:
        with self._changed:
            return bytes(self._received[_STDOUT])

    @property
    def stderr(self) -> bytes:
        with self._changed:
            return bytes(self._received[_STDERR])

    @property
    def over(self) -> bool:
        """Whether the connection has ended."""
        return self._over

    def line(self, index: int, seconds: float) -> str | None:
        """Line ``index`` of stdout as soon as it is complete; None when the command ended without it.

        Raises ExecTimedOut after ``seconds``.
        """
        until = time.monotonic() + seconds
        with self._changed:
            while True:
                lines = self._received[_STDOUT].split(b"\n")
                if index < len(lines) - 1:
                    return bytes(lines[index]).decode("utf-8", "replace")
                if self._over:
                    return None
                if not self._changed.wait(max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                    raise self._timed_out(seconds)

    def take(self) -> bytes:
        """Wait for stdout and take it off the buffer; empty when the command has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._received[_STDOUT])
            data = bytes(self._received[_STDOUT])
            self._received[_STDOUT].clear()
            return data

    def complaint(self, seconds: float = 2.0) -> str:
        """stderr, after giving a failing command ``seconds`` to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._over, seconds)
        return self.stderr.decode("utf-8", "replace").strip()

    def wait(self, seconds: float) -> ExecResult:
        """Wait for the end. Raises ExecTimedOut (and ends the command), ConnectionLost if there is no exit status."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._over, seconds):
                self.close()
                raise self._timed_out(seconds)
            stdout, stderr, status = (bytes(self._received[c]) for c in (_STDOUT, _STDERR, _ERROR))
        code = _exit_code(self.what, status)
        return ExecResult(self.argv, code, stdout, stderr, time.monotonic() - self._started)

    def close(self) -> None:
        """Drop the connection; the thread ends."""
        with contextlib.suppress(OSError):
            self._wake.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _send(self, frame: bytes) -> None:
        self._outbox.put(frame)
        try:
            self._wake.send(b".")
        except OSError as error:
            raise ConnectionLost(f"{self.what}: the command's connection is closed") from error

    def _pump(self) -> None:
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while self._step():
                pass
        with contextlib.suppress(websocket.WebSocketException, OSError):
            self._stream.close()
        self._woken.close()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _step(self) -> bool:
        waiting = pending(self._stream)
        readable, _, _ = select.select([self._stream.sock, self._woken], [], [], 0 if waiting else 20)
        if self._woken in readable:
            if not self._woken.recv(4096):
                return False
            while not self._outbox.empty():
                self._stream.send(self._outbox.get(), ABNF.OPCODE_BINARY)
        if waiting or self._stream.sock in readable:
            opcode, data = self._stream.recv_data(control_frame=True)
            if opcode == ABNF.OPCODE_CLOSE:
                return False
            if opcode in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT, ABNF.OPCODE_CONT) and data:
                with self._changed:
                    self._received.setdefault(data[0], bytearray()).extend(data[1:])
                    self._changed.notify_all()
        return True

    def _timed_out(self, seconds: float) -> ExecTimedOut:
        return ExecTimedOut(self.what, seconds, bytes(self._received[_STDOUT]), bytes(self._received[_STDERR]))


def start_in_pod(
    cluster: Cluster, namespace: str, pod: str, container: str, argv: Sequence[str], *, stdin: bool = True
) -> PodProcess:
    """Start a command in a container. Raises NotFound, or the ApiError with which the server refuses."""
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("stdin", "true")] if stdin else []
    query += [("command", word) for word in argv]
    what = f"exec {argv[0]} in {namespace}/{pod}/{container}"
    stream = open_websocket(
        cluster.api_client,
        f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urlencode(query)}",
        what=what,
        subprotocol=CHANNELS,
    )
    return PodProcess(stream, what, tuple(argv))


def pod_exec(
    cluster: Cluster,
    namespace: str,
    pod: str,
    container: str,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    timeout: float = 60.0,
) -> ExecResult:
    """Run a command in a container to its end; a non-zero exit code is a result, not an error. ``timeout`` in seconds.

    With ``stdin`` the bytes are sent and stdin is ended; a server that only speaks v4 cannot end it.
    """
    with start_in_pod(cluster, namespace, pod, container, argv, stdin=stdin is not None) as process:
        if stdin is not None:
            process.write(stdin)
            process.close_stdin()
        return process.wait(timeout)


def pod_logs(
    cluster: Cluster, namespace: str, pod: str, container: str, *, previous: bool = False, tail: int | None = None
) -> str:
    """The log of a container, as UTF-8; ``tail`` limits it to the last lines, ``previous`` asks for the ended one's."""
    query = {
        "container": container,
        **({"previous": "true"} if previous else {}),
        **({"tailLines": tail} if tail else {}),
    }
    return cluster.raw("get", f"/api/v1/namespaces/{namespace}/pods/{pod}/log?{urlencode(query)}").decode(
        "utf-8", "replace"
    )


def _exit_code(what: str, status: bytes) -> int:
    """The exit code in the Status object of the error channel (``v4.channel.k8s.io`` and later)."""
    try:
        body = json.loads(status)
    except ValueError as error:
        raise ConnectionLost(f"{what}: the connection ended without an exit status") from error
    if body.get("status") == "Success":
        return 0
    causes = body.get("details", {}).get("causes", [])
    code = next((cause.get("message") for cause in causes if cause.get("reason") == "ExitCode"), None)
    if code is None:
        raise ConnectionLost(f"{what}: {body.get('message', status)!r}")
    return int(code)
