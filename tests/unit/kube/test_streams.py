"""Streams against a real API server that proxies to a stream backend: sockets, commands, logs, refusals."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.errors import ConnectionLost, NotFound
from conformance.kube.outcome import EnvironmentFault
from conformance.kube.pods import ExecTimedOut, pod_exec, pod_logs, start_in_pod
from conformance.kube.portforward import DialFailed, NoInterfaces, VmiPaused, portforward
from conformance.kube.relay import DIAL, process_as_socket
from tests.unit.kube.backend import Backend


@contextmanager
def echo_server() -> Iterator[int]:
    """A TCP echo server on loopback; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(peer,), daemon=True).start()

    def echo(peer: socket.socket) -> None:
        while data := peer.recv(65536):
            peer.sendall(data)
        peer.close()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def exchange(sock: socket.socket, size: int) -> bool:
    """Send ``size`` random bytes and compare what comes back."""
    data, seen = os.urandom(size), hashlib.sha256()
    sender = threading.Thread(target=sock.sendall, args=(data,))
    sender.start()
    received = 0
    while received < size:
        piece = sock.recv(65536)
        assert piece
        seen.update(piece)
        received += len(piece)
    sender.join()
    return seen.digest() == hashlib.sha256(data).digest()


def test_portforward_is_a_socket_that_survives_pings(cluster: Cluster, backend: Backend) -> None:
    with echo_server() as port, portforward(cluster, "default", "vm", port) as sock:
        sock.settimeout(20)
        assert exchange(sock, 1 << 20)
        time.sleep(2.2)  # two pings of the server go by
        assert exchange(sock, 100)


@pytest.mark.parametrize(("vmi", "error"), [("paused", VmiPaused), ("gone", NotFound), ("bare", NoInterfaces)])
def test_portforward_refusals_are_typed(cluster: Cluster, backend: Backend, vmi: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        portforward(cluster, "default", vmi, 22)


def test_a_failed_dial_carries_kubevirts_text_and_blames_nobody(cluster: Cluster, backend: Backend) -> None:
    with pytest.raises(DialFailed) as failed:
        portforward(cluster, "default", "vm", 9)
    assert failed.value.refused
    assert "dialing VM: dial tcp 127.0.0.1:9" in failed.value.message
    assert not isinstance(failed.value, EnvironmentFault)


def test_exec_has_exit_code_streams_and_stdin(cluster: Cluster, backend: Backend) -> None:
    script = "cat; echo problem >&2; exit 7"
    result = pod_exec(cluster, "default", "pod", "c", ("sh", "-c", script), stdin=b"x" * 100_000)
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"x" * 100_000, b"problem\n")
    assert pod_exec(cluster, "default", "pod", "c", ("true",)).ok


def test_exec_of_a_missing_program_is_no_exit_code(cluster: Cluster, backend: Backend) -> None:
    with pytest.raises(ConnectionLost, match="no-such-program"):
        pod_exec(cluster, "default", "pod", "c", ("no-such-program",))


def test_exec_ends_at_its_timeout(cluster: Cluster, backend: Backend) -> None:
    started = time.monotonic()
    with pytest.raises(ExecTimedOut) as over:
        pod_exec(cluster, "default", "pod", "c", ("sh", "-c", "echo half; sleep 60"), timeout=1)
    assert over.value.stdout == b"half\n"
    assert time.monotonic() - started < 5


def test_a_process_talks_line_by_line(cluster: Cluster, backend: Backend) -> None:
    with start_in_pod(
        cluster, "default", "pod", "c", ("sh", "-c", 'while read -r l; do echo "got $l"; done')
    ) as process:
        process.write(b"one\n")
        assert process.line(0, 10) == "got one"
        process.write(b"two\n")
        assert process.line(1, 10) == "got two"
        process.close_stdin()
        assert process.wait(10).ok
        assert process.line(2, 10) is None


def test_a_relay_dials_from_inside_the_pod(cluster: Cluster, backend: Backend) -> None:
    with echo_server() as port:
        argv = ("python3", "-u", "-c", DIAL, "127.0.0.1", str(port))
        process = start_in_pod(cluster, "default", "pod", "c", argv)
        with process_as_socket(process) as sock:
            sock.settimeout(20)
            assert exchange(sock, 200_000)


def test_a_relay_that_cannot_dial_says_why(cluster: Cluster, backend: Backend) -> None:
    process = start_in_pod(cluster, "default", "pod", "c", ("python3", "-u", "-c", DIAL, "127.0.0.1", "9"))
    with process_as_socket(process) as sock:
        assert sock.recv(100) == b""
    assert "Connection refused" in process.complaint()


def test_logs(cluster: Cluster, backend: Backend) -> None:
    assert pod_logs(cluster, "default", "pod", "compute", tail=5) == "log of pod/compute\n"
