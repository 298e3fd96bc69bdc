"""Starting, finding and ending a sandbox, from outside.

A sandbox is one child process: `unshare` with a PID and a mount namespace of its own, in it a small init, in it the
supervisor. Killing that child kills everything, by the kernel's hand; a foreground sandbox also ends when its owner
does, whatever the owner died of. Nothing is ever created in the machine's own namespaces but the state directory.
"""

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import conformance
from conformance.sandbox.images import Image, ImageStore
from conformance.sandbox.network.addresses import ROUTED
from conformance.sandbox.network.node import CNI_BINARIES, private_directory
from conformance.sandbox.roots import ensure_node_root
from conformance.sandbox.state import (
    DEFAULT_ENTRY,
    GRACE_SECONDS,
    HARD_STOP_SECONDS,
    Record,
    SandboxBusyError,
    StateDir,
    StateError,
    default_cache_dir,
    default_state_dir,
    process_start_time,
    sweep,
)

__all__ = [
    "Options",
    "Progress",
    "RunningSandbox",
    "SandboxBusyError",
    "SandboxError",
    "StateError",
    "attach",
    "start",
    "sweep",
]

Progress = Callable[[str, float], None]
"""Called with a stage (`root`, `nodes`, ...) and the fraction of it that is done, from 0 to 1."""

_INIT = "usr/bin/tini-static"
_LOG_TAIL_LINES = 20


class SandboxError(Exception):
    """The sandbox could not be started, or is not there; `log` is the end of the supervisor's log, if there was one."""

    def __init__(self, reason: str, log: str = "") -> None:
        self.log = log
        super().__init__(reason)


def node_names(count: int) -> tuple[str, ...]:
    """What the nodes are called."""
    return tuple(f"node-{number}" for number in range(1, count + 1))


@dataclass(frozen=True)
class Options:
    """How to start a sandbox. Times are in seconds.

    `root` is a ready node root; without it, the cached one is used and built if need be. `mtu` is that of the pods'
    network in bytes, `ip_provider` `routed` or `sticky`. `detach` leaves the sandbox running when this process ends.
    `options` are handed to the control plane as they are; `grace` is what it gets to end.
    """

    state_dir: Path = field(default_factory=default_state_dir)
    cache_dir: Path = field(default_factory=default_cache_dir)
    root: Path | None = None
    nodes: tuple[str, ...] = node_names(2)
    mtu: int = 1500
    ip_provider: str = ROUTED
    detach: bool = False
    entry: str = DEFAULT_ENTRY
    options: Mapping[str, str] = field(default_factory=dict)
    start_timeout: float = 120.0
    grace: float = GRACE_SECONDS
    debug: bool = False


class RunningSandbox:
    """A sandbox that runs, seen from outside. As a context manager it is stopped at the end."""

    def __init__(
        self, state: StateDir, record: Record, process: subprocess.Popen[bytes] | None, owner: int | None
    ) -> None:
        self.state = state
        self.record = record
        self._process = process
        self._owner = owner

    def __enter__(self) -> "RunningSandbox":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def kubeconfig(self) -> Path:
        return Path(self.record.kubeconfig)

    @property
    def nodes(self) -> tuple[str, ...]:
        return self.record.nodes

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None if self._process is not None else self.record.alive()

    def load_image(self, image: Image) -> None:
        """Make an image available on every node, as if it could be pulled.

        Raises FileNotFoundError for a layer that is not a directory, ValueError for a bad reference.
        """
        ImageStore(self.state.images, Path("/")).load(image)

    def install_cni_plugin(self, name: str, path: Path) -> None:
        """Put an executable into /opt/cni/bin of every node, replacing one of that name at once.

        Raises FileNotFoundError if `path` is not a file, ValueError if `name` is not a plain file name.
        """
        if not name or "/" in name or name in (".", ".."):
            raise ValueError(f"CNI plugin name {name!r}: must be a plain file name")
        for node in self.nodes:
            directory = private_directory(self.state.node(node), CNI_BINARIES)
            temporary = directory / f".{name}.{os.getpid()}"
            shutil.copyfile(path, temporary)
            temporary.chmod(0o755)
            temporary.replace(directory / name)

    def stop(self) -> None:
        """End the sandbox and remove its state directory: asked first, forced after its grace. Idempotent."""
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None
        if self.alive() and process_start_time(self.record.init) == self.record.init_started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.record.init, signal.SIGTERM)
        if not self._await_end(self.record.grace + HARD_STOP_SECONDS + 1) and self.alive():
            # The init, not the outer process: that one ends by itself once everything in the sandbox is gone.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.record.init, signal.SIGKILL)
            self._await_end(5.0)
        self.state.remove()

    def _await_end(self, seconds: float) -> bool:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return self._process.poll() is not None
        return not self.alive() or _await_process(self.record.pid, seconds)


def start(options: Options, progress: Progress) -> RunningSandbox:
    """Start a sandbox and return once its control plane says that the API is usable.

    Raises SandboxBusyError if one runs on that state directory, RootError if the node root cannot be built, and
    SandboxError if the sandbox fails to come up or takes longer than `start_timeout`. Nothing is left behind then, nor
    on Ctrl-C or on an exception of the progress callback.
    """
    root = options.root or ensure_node_root(options.cache_dir, progress)
    state = StateDir(options.state_dir.absolute())
    lock = state.create()
    launch = _Launch(options, state, root)
    try:
        return launch.run(lock, progress)
    except BaseException:
        launch.abort()
        os.close(lock)
        lock = -1
        state.remove()
        raise
    finally:
        if lock >= 0:
            os.close(lock)


def attach(state_dir: Path) -> RunningSandbox:
    """The sandbox that runs on `state_dir`. Raises SandboxError if none does."""
    state = StateDir(state_dir.absolute())
    record = state.read_record()
    if record is None or not record.alive():
        raise SandboxError(f"no sandbox runs on {state.path}: start one with `binding-conformance up`")
    return RunningSandbox(state, record, None, None)


class _Launch:
    """One attempt to start a sandbox, and what must be undone if it fails."""

    def __init__(self, options: Options, state: StateDir, root: Path) -> None:
        self._options = options
        self._state = state
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._descriptors: list[int] = []

    def run(self, lock: int, progress: Progress) -> RunningSandbox:
        ready, ready_end = self._pipe()
        owner_end, owner = self._pipe()
        inherited = [lock, ready_end] + ([] if self._options.detach else [owner_end])
        with self._state.supervisor_log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(ready_end, None if self._options.detach else owner_end),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                # Ctrl-C is the owner's to handle, and the sandbox's to be told of in good order.
                start_new_session=True,
                env=_environment(),
                cwd="/",
            )
        self._close(ready_end, owner_end)
        kubeconfig = self._await_ready(ready, progress)
        record = self._record(self._process, kubeconfig)
        self._state.write_record(record)
        if self._options.detach:
            self._close(ready, owner)
            return RunningSandbox(self._state, record, None, None)
        self._close(ready)
        return RunningSandbox(self._state, record, self._process, owner)

    def abort(self) -> None:
        """End what was started."""
        self._close(*self._descriptors)
        if self._process is not None:
            for pid in [*_children(self._process.pid), self._process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    _await_process(pid)
            self._process.wait()

    def _command(self, ready: int, owner: int | None) -> list[str]:
        options = self._options
        namespaces = ("--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
        return [
            *("unshare", *namespaces, "--", str(self._root / _INIT), "--"),
            *(sys.executable, "-m", "conformance.sandbox"),
            *("--state", str(self._state.path)),
            *("--root", str(self._root)),
            *("--cache", str(options.cache_dir)),
            *("--mtu", str(options.mtu)),
            *("--ip-provider", options.ip_provider),
            *("--entry", options.entry),
            *("--grace", str(options.grace)),
            *("--options", json.dumps(dict(options.options))),
            *("--ready-fd", str(ready)),
            *(() if owner is None else ("--owner-fd", str(owner))),
            *(("--debug",) if options.debug else ()),
            *("--nodes", *options.nodes),
        ]

    def _await_ready(self, descriptor: int, progress: Progress) -> Path:
        deadline = time.monotonic() + self._options.start_timeout
        for line in _lines(descriptor, deadline):
            message = json.loads(line)
            if "ready" in message:
                return Path(message["ready"])
            if "error" in message:
                raise SandboxError(f"the sandbox failed to start: {message['error']}", self._log_tail())
            progress(message["stage"], message["fraction"])
        if time.monotonic() >= deadline:
            reason = f"the sandbox was not ready within {self._options.start_timeout:.0f} s"
        else:
            reason = "the sandbox ended while starting"
        raise SandboxError(reason, self._log_tail())

    def _record(self, process: subprocess.Popen[bytes], kubeconfig: Path) -> Record:
        children = _children(process.pid)
        started = process_start_time(process.pid)
        init_started = process_start_time(children[0]) if children else None
        if started is None or init_started is None:
            raise SandboxError("the sandbox ended while starting", self._log_tail())
        return Record(
            process.pid, started, children[0], init_started, str(kubeconfig), self._options.nodes, self._options.grace
        )

    def _log_tail(self) -> str:
        try:
            lines = self._state.supervisor_log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe2(os.O_CLOEXEC)
        self._descriptors += ends
        return ends

    def _close(self, *descriptors: int) -> None:
        for descriptor in descriptors:
            os.close(descriptor)
            self._descriptors = [kept for kept in self._descriptors if kept != descriptor]


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _await_process(pid: int, seconds: float = 5.0) -> bool:
    """Wait for a process, ours or not, to end; whether it did. Everything in a PID namespace ends before its init."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        ended = bool(selector.select(seconds))
    os.close(descriptor)
    return ended


def _environment() -> dict[str, str]:
    package_parent = str(Path(conformance.__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([package_parent, inherited] if inherited else [package_parent])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _lines(descriptor: int, deadline: float) -> Iterator[bytes]:
    """Lines from a descriptor until its end of file or the deadline (monotonic)."""
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(descriptor, 4096)
            if not chunk:
                return
            *complete, received = (received + chunk).split(b"\n")
            yield from complete
