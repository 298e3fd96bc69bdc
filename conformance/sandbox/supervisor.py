"""Inside the sandbox: brings the nodes up, runs the control plane, and sees that everything ends.

It runs below a small init (PID 1) in PID and mount namespaces of its own; the network namespace stays the machine's, so
that the API server can be reached on 127.0.0.1. When this process ends, the init ends, and with it the PID namespace:
the kernel kills whatever is left, and the mounts and network namespaces go with their last user.
"""

import argparse
import asyncio
import importlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance.sandbox import descriptors
from conformance.sandbox.images import ImageStore
from conformance.sandbox.launcher.container import ContainerRuntime
from conformance.sandbox.network import syscalls
from conformance.sandbox.network.addresses import ROUTED, STICKY
from conformance.sandbox.network.fabric import Fabric
from conformance.sandbox.network.node import Node
from conformance.sandbox.network.podnet import write_default_network
from conformance.sandbox.network.segments import Segments
from conformance.sandbox.network.sticky import StickyNetwork
from conformance.sandbox.state import DEFAULT_ENTRY, GRACE_SECONDS, HARD_STOP_SECONDS, StateDir

__all__ = ["SandboxContext", "main"]

logger = logging.getLogger(__name__)

Entry = Callable[["SandboxContext"], Awaitable[None]]


@dataclass(frozen=True)
class SandboxContext:
    """What the control plane is given. The nodes are up and joined, their default network is configured.

    `runtimes` are keyed by node name. `shutdown` is set when the sandbox is asked to end: the entry should then finish
    what it must, within the grace (10 s), and return. `ready(kubeconfig)` tells whoever started the sandbox that the
    API is usable; `progress(stage, fraction)` says on the way how far it is. `options` are the starter's;
    `shared_network` is the pod network where the IP provider is `sticky`.
    """

    state: StateDir
    nodes: tuple[Node, ...]
    fabric: Fabric
    images: ImageStore
    runtimes: Mapping[str, ContainerRuntime]
    root: Path
    cache: Path
    shutdown: asyncio.Event
    ready: Callable[[Path], None]
    progress: Callable[[str, float], None]
    options: Mapping[str, str] = field(default_factory=dict)
    shared_network: StickyNetwork | None = None


class _Report:
    """Lines of JSON to the starter, until it stops listening."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def progress(self, stage: str, fraction: float) -> None:
        self._send({"stage": stage, "fraction": fraction})

    def ready(self, kubeconfig: Path) -> None:
        self._send({"ready": str(kubeconfig)})

    def error(self, text: str) -> None:
        self._send({"error": text})

    def _send(self, message: Mapping[str, object]) -> None:
        try:
            os.write(self._descriptor, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            logger.debug("the starter no longer listens: %s", message)


def main(argv: Sequence[str] | None = None) -> int:
    """The process `python -m conformance.sandbox`: exit status 0 after an orderly end, 1 after a failure."""
    arguments = _parse(argv)
    logging.basicConfig(
        level=logging.DEBUG if arguments.debug else logging.INFO,
        format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )
    # A reader that has gone away is an error to handle where it happens, never a reason to die.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    report = _Report(arguments.ready_fd)
    try:
        prepare_mounts()
        allowed = descriptors.raise_limit()
        logger.info("a process may open %d files", allowed)
        asyncio.run(_supervise(arguments, report))
    except Exception as error:
        logger.exception("the sandbox failed")
        report.error(f"{type(error).__name__}: {error}")
        return 1
    return 0


def prepare_mounts() -> None:
    """Give the new mount namespace what the processes in it need: its own /proc, and one cgroup hierarchy."""
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    cgroup = Path("/sys/fs/cgroup")
    # crun refuses a machine with both cgroup versions; it is told to manage neither, but looks all the same.
    if cgroup.is_dir() and syscalls.filesystem_magic(cgroup) != syscalls.CGROUP2_MAGIC:
        syscalls.mount("cgroup2", cgroup, "cgroup2")


async def _supervise(arguments: argparse.Namespace, report: _Report) -> None:
    shutdown = asyncio.Event()
    stopper = _Stopper(shutdown, arguments.grace)
    stopper.watch(arguments.owner_fd)
    begun = time.monotonic()
    report.progress("nodes", 0.0)
    context = await _build(arguments, report, shutdown)
    logger.info("%d nodes up in %.2f s", len(context.nodes), time.monotonic() - begun)
    report.progress("nodes", 1.0)
    work = asyncio.ensure_future(_resolve(arguments.entry)(context))
    stopping = asyncio.ensure_future(shutdown.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not work.done():
        _done, pending = await asyncio.wait({work}, timeout=arguments.grace)
        if pending:
            logger.warning("the control plane did not end within %s s", arguments.grace)
            work.cancel()
            await asyncio.wait({work}, timeout=1)
    if work.done() and not work.cancelled():
        work.result()


async def _build(arguments: argparse.Namespace, report: _Report, shutdown: asyncio.Event) -> SandboxContext:
    state = StateDir(arguments.state)
    nodes = tuple(
        Node(name, index, state.node(name), arguments.root, arguments.mtu)
        for index, name in enumerate(arguments.nodes, start=1)
    )
    for node in nodes:
        _prepare_layers(node.layers)
    await asyncio.gather(*(node.start() for node in nodes))
    fabric = Fabric(state.run / "netns")
    await fabric.join(nodes)
    await Segments(state.run / "netns").join(nodes)
    shared = StickyNetwork(state.run / "netns", nodes) if arguments.ip_provider == STICKY else None
    if shared is not None:
        await shared.join()
    for node in nodes:
        write_default_network(node, lent=shared is not None)
    images = ImageStore(state.images, arguments.root)
    return SandboxContext(
        state=state,
        nodes=nodes,
        fabric=fabric,
        images=images,
        runtimes={node.name: ContainerRuntime(node, images, node.layers / "containers") for node in nodes},
        root=arguments.root,
        cache=arguments.cache,
        shutdown=shutdown,
        ready=report.ready,
        progress=report.progress,
        options=json.loads(arguments.options),
        shared_network=shared,
    )


def _prepare_layers(layers: Path) -> None:
    layers.mkdir(parents=True)
    # The writable layer of an overlay cannot itself lie on an overlay, as /run does inside many containers.
    if syscalls.filesystem_magic(layers) == syscalls.OVERLAYFS_MAGIC:
        syscalls.mount("tmpfs", layers, "tmpfs", 0, "mode=755")


class _Stopper:
    """Turns the ends of others into our own: a signal, or the death of the owner.

    The owner is watched from a thread, so that an event loop that hangs cannot keep the sandbox alive.
    """

    def __init__(self, shutdown: asyncio.Event, grace: float) -> None:
        self._shutdown = shutdown
        self._grace = grace
        self._loop = asyncio.get_running_loop()
        self._timer: threading.Timer | None = None

    def watch(self, owner: int | None) -> None:
        """Listen for SIGTERM and SIGINT, and for the end of file on the descriptor `owner`."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop, signal.Signals(number).name)
        if owner is not None:
            threading.Thread(target=self._await_owner, args=(owner,), name="owner", daemon=True).start()

    def _await_owner(self, descriptor: int) -> None:
        while os.read(descriptor, 1024):
            pass
        self._arm()
        self._loop.call_soon_threadsafe(self._stop, "the owner is gone")

    def _stop(self, reason: str) -> None:
        if not self._shutdown.is_set():
            logger.info("ending: %s", reason)
        self._arm()
        self._shutdown.set()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._grace + HARD_STOP_SECONDS, os._exit, (70,))
            self._timer.daemon = True
            self._timer.start()


def _resolve(entry: str) -> Entry:
    module, _colon, function = entry.partition(":")
    resolved = getattr(importlib.import_module(module), function)
    if not callable(resolved):
        raise TypeError(f"entry {entry} is not a function")
    run: Entry = resolved
    return run


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance.sandbox", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state directory")
    parser.add_argument("--root", type=Path, required=True, help="node root, only read")
    parser.add_argument("--cache", type=Path, required=True, help="cache directory")
    parser.add_argument("--nodes", nargs="+", required=True, help="node names")
    parser.add_argument("--mtu", type=int, default=1500, help="of the pods' network, bytes")
    parser.add_argument("--ip-provider", choices=(ROUTED, STICKY), default=ROUTED, help="of the pods' addresses")
    parser.add_argument("--entry", default=DEFAULT_ENTRY, help="the control plane, module:function")
    parser.add_argument("--options", default="{}", help="JSON object of strings, handed to the entry")
    parser.add_argument("--grace", type=float, default=GRACE_SECONDS, help="seconds the entry gets to end")
    parser.add_argument("--ready-fd", type=int, required=True, help="where to report progress and readiness")
    parser.add_argument("--owner-fd", type=int, help="end when this descriptor reaches its end of file")
    parser.add_argument("--debug", action="store_true", help="log more")
    return parser.parse_args(argv)
