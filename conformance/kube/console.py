"""The serial console of a VMI as a byte stream that comes back after another client took it.

KubeVirt serves one console client at a time: a second one is accepted and the first is closed (observed on v1.9). So
whoever reads here reconnects when the stream ends, and asks again for what it did not see.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections import deque

from conformance.kube.cluster import Cluster
from conformance.kube.errors import ConnectionLost, KubeError
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.streams import PLAIN, as_socket, open_websocket

_TAIL_BYTES = 64 * 1024
# terminal control sequences (CSI, OSC and single escapes) that shells and getty print
_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_=>78]")


class ConsoleSilent(KubeError, EnvironmentFault):
    """What was expected did not appear in time; ``tail`` is what the console showed last."""

    def __init__(self, console: str, wanted: str, seconds: float, tail: str) -> None:
        super().__init__(f"console of {console}: no {wanted} within {seconds:.0f} s; it showed last:\n{tail[-1500:]}")
        self.wanted, self.seconds, self.tail = wanted, seconds, tail


class ConsoleTaken(KubeError, EnvironmentFault):
    """The stream ended under us: another client took the console, or the VMI ended."""


class Console:
    """The console of one VMI. Not for several threads at once."""

    def __init__(self, cluster: Cluster, namespace: str, vmi: str) -> None:
        self.name = f"{namespace}/{vmi}"
        self._cluster, self._namespace, self._vmi = cluster, namespace, vmi
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0

    def connect(self) -> None:
        """Open the stream unless it is open. Closes whatever other client has the console."""
        if self._socket is None:
            stream = open_websocket(
                self._cluster.api_client,
                f"/apis/subresources.kubevirt.io/v1/namespaces/{self._namespace}"
                f"/virtualmachineinstances/{self._vmi}/console",
                what=f"console of {self.name}",
                subprotocol=PLAIN,
            )
            self._socket = as_socket(stream, f"console-{self._vmi}")
            self._buffer = b""

    def close(self) -> None:
        """Give the console back."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def send(self, text: str) -> None:
        """Type ``text``; a line needs its ``\\n``. Raises ConsoleTaken when the stream has ended."""
        self.connect()
        try:
            self._open().sendall(text.encode())
        except OSError as error:
            raise self._taken() from error

    def expect(self, pattern: str, seconds: float) -> re.Match[str]:
        """Read until ``pattern`` matches in what came since the last match; the match and all before it is consumed.

        Terminal control sequences and carriage returns are removed first. Raises ConsoleSilent or ConsoleTaken.
        """
        self.connect()
        wanted = re.compile(pattern, re.MULTILINE)
        until = time.monotonic() + seconds
        while True:
            text = self._text()
            match = wanted.search(text)
            if match:
                self._buffer = text[match.end() :].encode()
                return match
            left = until - time.monotonic()
            if left <= 0:
                raise ConsoleSilent(self.name, f"/{pattern}/", seconds, self.tail())
            self._read(left)

    def skip(self) -> None:
        """Forget what came so far and was not expected."""
        self._buffer = b""

    def drain(self, seconds: float) -> str:
        """Read for ``seconds``; returns all that was not expected yet, and keeps it for ``expect``."""
        self.connect()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._read(left)
        return self._text()

    def tail(self) -> str:
        """The last 64 KiB that came over this object, across reconnects."""
        return _plain(b"".join(self._tail))

    def _read(self, seconds: float) -> None:
        stream = self._open()
        stream.settimeout(max(0.01, seconds))
        try:
            data = stream.recv(65536)
        except TimeoutError:
            return
        except OSError as error:
            raise self._taken() from error
        if not data:
            raise self._taken()
        self._buffer += data
        self._tail.append(data)
        self._tail_bytes += len(data)
        while self._tail_bytes > _TAIL_BYTES and len(self._tail) > 1:
            self._tail_bytes -= len(self._tail.popleft())

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionLost(f"console of {self.name} is closed")
        return self._socket

    def _taken(self) -> ConsoleTaken:
        self.close()
        return ConsoleTaken(f"console of {self.name}: closed by the server; another client took it, or the VMI ended")

    def _text(self) -> str:
        return _plain(self._buffer)


def _plain(data: bytes) -> str:
    return _CONTROL.sub(b"", data).replace(b"\r", b"").decode("utf-8", "replace")
