"""A hook sidecar in a pod, called as virt-launcher calls it: gRPC over its socket, reached by a command in the pod."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import grpc

from conformance.hooks.messages import (
    INFO_METHOD,
    ON_DEFINE_DOMAIN,
    SHUTDOWN,
    SUPPORTED_VERSIONS,
    DomainCall,
    Info,
    callback_method,
)
from conformance.kube.outcome import NonConformant
from conformance.kube.pods import ExecTimedOut, PodProcess
from conformance.kube.relay import COPY_BOTH_WAYS, process_as_socket

CALLBACK_SECONDS = 60.0
"""How long KubeVirt waits for a callback (``pkg/hooks/manager.go``)."""
INFO_SECONDS = 1.0
"""How long KubeVirt waits for Info, from the connection on."""
_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 1.0

# Looks for the first socket that takes a connection, tells its name in a line, then copies both ways, the client
# first: what an HTTP/2 server says unasked must not mix with the name. Standard library only; runs in the pod.
RELAY = (
    """
import os, select, socket, sys, time
end = time.monotonic() + float(sys.argv[2])
def connected():
    while time.monotonic() < end:
        for name in sorted(os.listdir(sys.argv[1]) if os.path.isdir(sys.argv[1]) else ()):
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.connect(os.path.join(sys.argv[1], name))
                return name, peer
            except OSError:
                peer.close()
        time.sleep(0.05)
    seen = [os.path.join(place, name) for place, _, names in os.walk(sys.argv[1]) for name in names]
    sys.exit("no socket in " + sys.argv[1] + " that takes a connection: " + repr(seen))
name, peer = connected()
os.write(1, name.encode() + b"\\n")
peer.sendall(os.read(0, 65536))
"""
    + COPY_BOTH_WAYS
)


def relay_argv(directory: str, seconds: float) -> tuple[str, ...]:
    """The command that connects to the socket in ``directory``; ``seconds`` is how long it looks for one."""
    return ("python3", "-c", RELAY, directory, str(seconds))


class HookRefused(NonConformant):
    """The sidecar answered a hook with an error, whose own words are ``text``, or not in time."""

    def __init__(self, method: str, code: grpc.StatusCode, text: str) -> None:
        super().__init__(f"{method} ends with {code.name}: {text}")
        self.text = text


class SidecarClient:
    """One connection to a sidecar. ``socket_name`` is the file name of its socket; leave the ``with`` to hang up.

    ``ended`` says how the sidecar has ended, with an empty text while it runs: one that has ended is not waited for.
    """

    def __init__(self, process: PodProcess, seconds: float, ended: Callable[[], str] = str) -> None:
        name = _socket_name(process, seconds, ended)
        self.accepted = time.monotonic()
        self.socket_name = name
        process.take()
        self._process = process
        self._directory = tempfile.TemporaryDirectory(prefix="kbc-hook-")
        address = Path(self._directory.name) / "s"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address))
        self._listener.listen(1)
        threading.Thread(target=self._serve, daemon=True, name="hook-relay").start()
        options = [("grpc.max_receive_message_length", 16 << 20), ("grpc.enable_http_proxy", 0)]
        self._channel = grpc.insecure_channel(f"unix:{address}", options=options)
        self._version = ""

    def info(self) -> tuple[Info, float]:
        """What the sidecar says of itself, and the seconds from its accepting the connection to the answer.

        Raises HookRefused.
        """
        answer = Info.decode(self._call(INFO_METHOD, b"", _PATIENCE_SECONDS))
        self._version = next((version for version in SUPPORTED_VERSIONS if version in answer.versions), "")
        return answer, time.monotonic() - self.accepted

    def define_domain(self, domain_xml: bytes, vmi: bytes, version: str = "") -> bytes:
        """The domain that the sidecar makes of one, for a VMI as JSON, called in a version of the API: without one, in
        the version that KubeVirt chooses after Info. Raises HookRefused.
        """
        message = DomainCall(domain_xml, vmi).encode()
        answer = self._call(callback_method(version or self._version, ON_DEFINE_DOMAIN), message, CALLBACK_SECONDS)
        return DomainCall.decode(answer).domain_xml

    def shutdown(self) -> None:
        """Tell the sidecar to end. Raises HookRefused."""
        self._call(callback_method("v1alpha3", SHUTDOWN), b"", CALLBACK_SECONDS)

    def _call(self, method: str, message: bytes, seconds: float) -> bytes:
        try:
            return bytes(self._channel.unary_unary(method)(message, timeout=seconds))
        except grpc.RpcError as error:
            raise HookRefused(method, error.code(), error.details() or "") from error

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, process_as_socket(self._process) as remote:
            ends = {connection: remote, remote: connection}
            threads = [threading.Thread(target=_copy, args=pair, daemon=True) for pair in ends.items()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._listener.close()
        self._process.close()
        self._directory.cleanup()


def _socket_name(process: PodProcess, seconds: float, ended: Callable[[], str]) -> str:
    """What the relay says first: the name of the socket that took its connection."""
    until = time.monotonic() + seconds + _PATIENCE_SECONDS
    while True:
        end = ended()
        try:
            name = process.line(0, _LOOK_SECONDS)
        except ExecTimedOut:
            if end:
                raise NonConformant(f"the sidecar takes no connection: {end}") from None
            if time.monotonic() > until:
                raise
            continue
        if name is None:
            raise NonConformant(f"the sidecar takes no connection within {seconds:.0f} s: {process.complaint()}")
        return name


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(32768):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
