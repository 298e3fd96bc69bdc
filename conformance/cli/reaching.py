"""``binding-conformance ssh`` and ``console``: a person's way into a VMI."""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko

from conformance.cluster.rundir import all_runs
from conformance.guest.image import GuestImage
from conformance.guest.keys import GuestKeys
from conformance.guest.ssh import SshShell
from conformance.kube.cluster import Cluster
from conformance.kube.errors import Unusable
from conformance.kube.portforward import portforward
from conformance.kube.streams import PLAIN, as_socket, open_websocket

_DETACH = b"\x1d"


def connect(kubeconfig: Path | None) -> Cluster:
    """The cluster of that kubeconfig, or the sandbox that is up."""
    if kubeconfig is not None:
        return Cluster.connect(kubeconfig)
    from conformance.cluster.sandbox import SandboxProvider

    provider = SandboxProvider()
    attached = SandboxProvider(provider.state_directory)
    return Cluster.connect(attached.up(lambda _: None))


def console_session(cluster: Cluster, vmi: str) -> int:
    """Copy between the terminal and the console until Ctrl-] or the end of the stream."""
    namespace, name = _split(vmi)
    stream = open_websocket(
        cluster.api_client,
        f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}/console",
        what=f"console of {vmi}",
        subprotocol=PLAIN,
    )
    with as_socket(stream, "console") as sock, _raw_terminal():
        sock.sendall(b"\n")
        _copy(sock.fileno(), lambda: sock.recv(65536), sock.sendall)
    return 0


def ssh_session(cluster: Cluster, vmi: str, user: str, command: str, run_id: str) -> int:
    """A shell or one command; the command's exit status."""
    namespace, name = _split(vmi)
    keys = _keys(run_id)
    with SshShell(portforward(cluster, namespace, name, 22), "ssh", vmi, GuestImage("", user, ""), keys) as shell:
        if command:
            result = shell.run(command, timeout=3600)
            sys.stdout.write(result.stdout)
            sys.stderr.write(result.stderr)
            return result.exit_status
        with shell.open_terminal(*shutil.get_terminal_size()) as channel, _raw_terminal():
            return _terminal(channel)


def _terminal(channel: paramiko.Channel) -> int:
    _copy(channel.fileno(), lambda: channel.recv(65536), channel.sendall)
    return channel.recv_exit_status() if channel.exit_status_ready() else 0


def _copy(remote: int, receive: Callable[[], bytes], send: Callable[[bytes], None]) -> None:
    while True:
        ready = select.select([remote, sys.stdin.fileno()], [], [])[0]
        if remote in ready:
            data = receive()
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if sys.stdin.fileno() in ready:
            typed = os.read(sys.stdin.fileno(), 4096)
            if not typed or _DETACH in typed:
                return
            send(typed)


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Keys go through as they are typed; without a terminal, nothing to do."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _keys(run_id: str) -> GuestKeys:
    found = [run for run in all_runs() if (run.path / "keys" / "host.pub").exists() and run_id in ("", run.id)]
    if not found:
        raise Unusable("no run is kept that has keys: use `run --keep-on-failure`, or the console")
    return max(found, key=lambda run: run.path.stat().st_mtime).keys()


def _split(vmi: str) -> tuple[str, str]:
    namespace, slash, name = vmi.partition("/")
    if not slash:
        namespace, name = "default", vmi
    return namespace, name
