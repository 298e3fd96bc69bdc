"""The serial console of a VM: a UNIX socket that QEMU serves to one client at a time."""

import asyncio
import contextlib
from pathlib import Path

from conformance.sandbox.launcher.unixsocket import short_address

_CONNECT_POLL_SECONDS = 0.05


async def connect_console(path: Path, deadline_seconds: float = 10.0) -> "ConsoleConnection":
    """Connect to the console socket, which appears when QEMU starts. Raises TimeoutError if it does not."""
    async with asyncio.timeout(deadline_seconds):
        while True:
            try:
                with short_address(path) as address:
                    return ConsoleConnection(*await asyncio.open_unix_connection(address))
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(_CONNECT_POLL_SECONDS)


class ConsoleConnection:
    """An open console: raw bytes both ways."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> bytes:
        """The next bytes the guest wrote; empty once the console is closed."""
        try:
            return await self.reader.read(65536)
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        """Type something. Raises ConnectionError if the console is closed."""
        self.writer.write(data)
        await self.writer.drain()

    async def read_until(self, wanted: bytes, deadline_seconds: float) -> bytes:
        """Everything up to and including `wanted`. Raises TimeoutError with what came instead."""
        seen = bytearray()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_seconds):
                while wanted not in seen:
                    chunk = await self.read()
                    if not chunk:
                        break
                    seen += chunk
        if wanted not in seen:
            raise TimeoutError(f"no {wanted!r} on the console within {deadline_seconds:g} s, but {bytes(seen)!r}")
        return bytes(seen)

    def close(self) -> None:
        """Close the connection; the VM does not notice."""
        self.writer.close()


class ConsoleBroker:
    """Hands the one console of a VM to its newest client, as virt-handler does: the client before it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current: ConsoleConnection | None = None

    async def open(self, deadline_seconds: float = 10.0) -> ConsoleConnection:
        """A connection for a new client. Raises TimeoutError if the VM has no console socket."""
        if self._current is not None:
            self._current.close()
            with contextlib.suppress(ConnectionError):
                await self._current.writer.wait_closed()
        self._current = await connect_console(self._path, deadline_seconds)
        return self._current
