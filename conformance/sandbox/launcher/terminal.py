"""A command with a terminal: `exec` with `tty`, as `kubectl exec -it` asks for it.

The runtime makes the pseudo-terminal inside the container and hands its outer end over a UNIX socket, as OCI runtimes
do (`--console-socket`); so there is one terminal, with the container's own line discipline, and it can be resized.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
import socket
import struct
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["Terminal", "open_terminal"]

_OPEN_SECONDS = 10.0


class Terminal(asyncio.subprocess.Process):
    """A process behind a pseudo-terminal: `stdin` and `stdout` are its two directions, there is no `stderr`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        master: int,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
    ) -> None:
        """Wraps the runtime's process and the outer end of the terminal; the base class' own set-up is not wanted."""
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = None
        self.pid = process.pid
        self._process = process
        self._master = master

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for the command to end; its exit status. What it wrote can still be read."""
        status = await self._process.wait()
        self._hang_up()
        return status

    def send_signal(self, number: int) -> None:
        """Signal the runtime's process, which passes it on; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the command: its terminal hangs up, and the runtime's process is killed."""
        self._hang_up()
        self.send_signal(signal.SIGKILL)

    def resize(self, width: int, height: int) -> None:
        """Tell the command the size of its terminal, in characters; nothing happens once it has ended."""
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def _hang_up(self) -> None:
        if self.stdin is not None:
            self.stdin.close()


async def open_terminal(
    command: tuple[str, ...], arguments: tuple[str, ...], path: Path, env: Mapping[str, str]
) -> Terminal:
    """Run `command --console-socket <path> arguments` and take the terminal that it makes.

    `path` is where the socket may be put, short enough for one. Raises ConnectionError with the runtime's words if it
    ends without making a terminal.
    """
    with _listening(path) as listener:
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--console-socket", str(path)),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=env,
        )
        master = await _receive(listener, process)
    loop = asyncio.get_running_loop()
    reader = _TerminalReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(master), "rb", 0))
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(master, "wb", 0)
    )
    return Terminal(process, master, asyncio.StreamWriter(transport, protocol, None, loop), reader)


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            path.unlink()


async def _receive(listener: socket.socket, process: asyncio.subprocess.Process) -> int:
    """The descriptor of the terminal, from whoever connects first; ConnectionError when nobody will."""
    loop = asyncio.get_running_loop()
    connecting = asyncio.ensure_future(loop.sock_accept(listener))
    ended = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait({connecting, ended}, timeout=_OPEN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            assert process.stderr is not None
            words = (await process.stderr.read()).decode(errors="replace").strip()
            raise ConnectionError(errno.ECONNREFUSED, words or "no terminal was made in time")
        connection, _address = connecting.result()
        with connection:
            connection.setblocking(True)
            connection.settimeout(_OPEN_SECONDS)
            _data, descriptors, _flags, _from = socket.recv_fds(connection, 1024, 1)
        os.set_inheritable(descriptors[0], False)
        return descriptors[0]
    finally:
        for waiting in (connecting, ended):
            if not waiting.done():
                waiting.cancel()


class _TerminalReader(asyncio.StreamReader):
    """Ends, rather than fails, when the other side of the terminal is gone (the kernel reports EIO then)."""

    def set_exception(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.feed_eof()
        else:
            super().set_exception(exc)
