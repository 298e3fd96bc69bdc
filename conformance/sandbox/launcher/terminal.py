"""A command with a terminal: `exec` with `tty`, as `kubectl exec -it` asks for it."""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import termios
import tty
from collections.abc import Mapping

__all__ = ["Terminal", "open_terminal"]


class Terminal:
    """A process behind a pseudo-terminal: one stream each way, no separate stderr."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        master: int,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr: asyncio.StreamReader | None = None
        self._process = process
        self._master = master

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for the command to end; its exit status."""
        status = await self._process.wait()
        self.stdin.close()
        return status

    def kill(self) -> None:
        """End the command with SIGKILL; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def resize(self, width: int, height: int) -> None:
        """Tell the command the size of its terminal, in characters."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


async def open_terminal(command: tuple[str, ...], env: Mapping[str, str]) -> Terminal:
    """Start `command` as the leader of a session on a new pseudo-terminal.

    The outer terminal is raw: the runtime gives the command inside the container a terminal of its own, with echo and
    line editing, and copies bytes between the two.
    """
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        process = await asyncio.create_subprocess_exec(
            "setsid", "--ctty", *command, stdin=slave, stdout=slave, stderr=slave, env=env
        )
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    loop = asyncio.get_running_loop()
    reader = _TerminalReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(master), "rb", 0))
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(master, "wb", 0)
    )
    return Terminal(process, master, asyncio.StreamWriter(transport, protocol, None, loop), reader)


class _TerminalReader(asyncio.StreamReader):
    """Ends, rather than fails, when the other side of the terminal is gone (the kernel reports EIO then)."""

    def set_exception(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self.feed_eof()
        else:
            super().set_exception(exc)
