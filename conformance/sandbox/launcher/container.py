"""Containers of one node, run by crun.

Every container is a foreground `crun run`, a child of the supervisor: its exit status is the container's, and it dies
with the supervisor's PID namespace. The root file system is an overlay of the image's layers over the node root,
mounted in the supervisor's mount namespace and gone with it.
"""

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from conformance.sandbox.images import Image, ImageStore, Mount
from conformance.sandbox.launcher.oci import ContainerConfig, Dns, oci_config, process_config, write_network_files
from conformance.sandbox.launcher.terminal import Terminal, open_terminal
from conformance.sandbox.network import syscalls
from conformance.sandbox.network.commands import SYSTEM_PATH
from conformance.sandbox.network.node import Node

__all__ = ["Container", "ContainerConfig", "ContainerError", "ContainerRuntime", "Dns", "Image", "Mount", "Terminal"]

_ENVIRONMENT = {"PATH": SYSTEM_PATH}
_START_SECONDS = 30.0


class ContainerError(Exception):
    """A container could not be started, or a command could not be run in it; `reason` is the runtime's own text."""

    def __init__(self, container: str, reason: str) -> None:
        self.container = container
        self.reason = reason
        super().__init__(f"container {container}: {reason}")


class ContainerRuntime:
    """Starts containers on one node."""

    def __init__(self, node: Node, images: ImageStore, directory: Path) -> None:
        """`directory` is where roots, logs and runtime state go (`nodes/<name>/containers`)."""
        self.node = node
        self.images = images
        self.directory = directory
        self._state = directory / "crun"
        self._sequence = 0

    async def start(self, config: ContainerConfig) -> "Container":
        """Start a container and return once its process runs.

        Raises ContainerError with the runtime's own words (executable not found, mount refused, ...); nothing is left
        behind then. The log file is created, or appended to.
        """
        self._sequence += 1
        identifier = f"{config.name}-{self._sequence}-{config.pod.uid[:13]}"
        container = Container(identifier, config, self.directory / identifier, self._state)
        try:
            netns = self.node.own_netns if config.netns is None else self.node.netns_path(config.netns)
            await container.launch(self.images.base, netns)
        except BaseException:
            await container.delete()
            raise
        return container


class Container:
    """One container. `pid` is its first process, in the supervisor's PID namespace."""

    def __init__(self, identifier: str, config: ContainerConfig, directory: Path, state: Path) -> None:
        self.id = identifier
        self.config = config
        self.directory = directory
        self.rootfs = directory / "rootfs"
        self.pid = 0
        self._state = state
        self._runtime: asyncio.subprocess.Process | None = None

    async def launch(self, base: Path, netns: Path) -> None:
        """Mount the root, write the configuration, start the process. Used by `ContainerRuntime.start` only."""
        self._mount_root(base)
        started = self.directory / "started"
        os.mkfifo(started)
        document = oci_config(self.config, self.rootfs, netns, started)
        (self.directory / "config.json").write_text(json.dumps(document), encoding="utf-8")
        self._state.mkdir(parents=True, exist_ok=True)
        self.config.log.parent.mkdir(parents=True, exist_ok=True)
        reader = _FifoReader(started)
        try:
            with self.config.log.open("ab") as log:
                self._runtime = await asyncio.create_subprocess_exec(
                    *self._crun("run", "--bundle", str(self.directory), self.id),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_ENVIRONMENT,
                )
            self.pid = await self._await_start(self._runtime, reader)
        finally:
            reader.close()

    async def wait(self) -> int:
        """Wait for the container to end: its exit status, 128 + N when signal N ended it."""
        assert self._runtime is not None
        status = await self._runtime.wait()
        return 128 - status if status < 0 else status

    @property
    def exit_code(self) -> int | None:
        """The exit status if the container has ended, else None."""
        status = None if self._runtime is None else self._runtime.returncode
        return 128 - status if status is not None and status < 0 else status

    async def kill(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the container's first process, as a kubelet does; nothing happens when it has ended.

        SIGKILL ends every process of the container. Others reach PID 1 only if it handles them.
        """
        if self.exit_code is None and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def exec(self, argv: Sequence[str], *, stdin: bool = False, tty: bool = False) -> asyncio.subprocess.Process:
        """Start a command in the container, with the container's own user, environment and capabilities.

        Without a terminal: an asyncio process whose stdout and stderr are pipes, and stdin too if `stdin`. With `tty`:
        a `Terminal`, a process with the same streams (no stderr) and `resize`. A command that cannot be
        executed ends with the runtime's status (not 0) and words; with a terminal it raises ContainerError, as it does
        if the container has ended.
        """
        if self.exit_code is not None:
            raise ContainerError(self.id, "container not running")
        process = self.directory / f"exec-{os.urandom(6).hex()}.json"
        process.write_text(json.dumps(process_config(self.config, tuple(argv), tty=tty)), encoding="utf-8")
        arguments = ("--process", str(process), self.id)
        if tty:
            console = self.directory.parent / f"{os.urandom(4).hex()}.sock"
            try:
                return await open_terminal(self._crun("exec"), ("--tty", *arguments), console, _ENVIRONMENT)
            except ConnectionError as error:
                raise ContainerError(self.id, error.strerror or str(error)) from error
        return await asyncio.create_subprocess_exec(
            *self._crun("exec"),
            *arguments,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT,
        )

    async def delete(self) -> None:
        """End the container if it still runs and remove all of it but its log. Idempotent."""
        if self._runtime is not None and self._runtime.returncode is None:
            await self.kill(signal.SIGKILL)
            if not self.pid:
                self._runtime.kill()
            await self._runtime.wait()
        with contextlib.suppress(OSError):
            syscalls.umount(self.rootfs, syscalls.MNT_DETACH)
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)
        await asyncio.to_thread(shutil.rmtree, self._state / self.id, ignore_errors=True)

    def _mount_root(self, base: Path) -> None:
        for name in ("rootfs", "upper", "work"):
            (self.directory / name).mkdir(parents=True)
        upper = self.directory / "upper"
        # The container's root directory takes its mode from here; mkdir's depends on the caller's umask.
        upper.chmod(0o755)
        write_network_files(self.config, upper)
        image = self.config.image
        lowers = [*reversed(image.layers), *(() if image.whole else (base,))]
        syscalls.mount_overlay(lowers, upper, self.directory / "work", self.rootfs)

    def _crun(self, command: str, *arguments: str) -> tuple[str, ...]:
        error_log = ("--log", str(self.directory / "crun.log"), "--log-format", "json") if command == "run" else ()
        return ("crun", "--cgroup-manager=disabled", "--root", str(self._state), *error_log, command, *arguments)

    async def _await_start(self, runtime: asyncio.subprocess.Process, reader: "_FifoReader") -> int:
        ended = asyncio.ensure_future(runtime.wait())
        try:
            await asyncio.wait({ended, reader.state}, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not ended.done():
                ended.cancel()
        pid = reader.pid()
        if pid is None:
            raise ContainerError(self.id, self._start_failure(runtime.returncode))
        return pid

    def _start_failure(self, status: int | None) -> str:
        with contextlib.suppress(OSError, ValueError, LookupError):
            lines = (self.directory / "crun.log").read_text(encoding="utf-8").splitlines()
            return str(json.loads(lines[-1])["msg"])
        return "did not start in time" if status is None else f"the runtime ended with status {status}"


class _FifoReader:
    """Waits for the container's state, which the poststart hook writes to a FIFO."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._received = b""
        self._loop = asyncio.get_running_loop()
        self.state: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(self._descriptor, self._on_readable)

    def pid(self) -> int | None:
        """The container's first process if its state has arrived, also when that was only just now."""
        self._on_readable()
        return self.state.result() if self.state.done() else None

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _on_readable(self) -> None:
        if self.state.done():
            return
        try:
            self._received += os.read(self._descriptor, 65536)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            return
        with contextlib.suppress(ValueError):
            self.state.set_result(int(json.loads(self._received)["pid"]))
            self._loop.remove_reader(self._descriptor)
