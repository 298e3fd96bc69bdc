"""Talks to the libvirtd of one compute container by virsh.

Every call is a virsh of its own in the container's mount namespace: 20 ms, no state to lose. (A virsh that reads
commands from a pipe ends at once; the container runtime's own exec takes twice as long.)
"""

import asyncio
import itertools
import re
from collections.abc import Mapping
from pathlib import Path

from conformance.sandbox.launcher.errors import LauncherNotReadyError, LibvirtError
from conformance.sandbox.launcher.protocols import ContainerLike

_ERROR = re.compile(r"^error: ", re.MULTILINE)
_READY_POLL_SECONDS = 0.05
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class Libvirt:
    """One libvirtd. `directory` holds its sockets and has the same path inside and outside of the container."""

    def __init__(self, compute: ContainerLike, directory: Path) -> None:
        self._compute = compute
        self._directory = directory
        self._sequence = itertools.count(1)

    @property
    def uri(self) -> str:
        """The connection URI, valid in every compute container."""
        return f"qemu+unix:///system?socket={self._directory}/libvirt-sock"

    async def wait_ready(self, deadline_seconds: float) -> None:
        """Wait until libvirtd answers. Raises LauncherNotReadyError with what virsh said last."""
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_seconds
        last: Exception = LauncherNotReadyError("never asked")
        while loop.time() < end:
            if (self._directory / "libvirt-sock").exists():
                try:
                    await self.call("list", timeout=max(0.1, end - loop.time()))
                except LibvirtError as error:
                    last = error
                else:
                    return
            await asyncio.sleep(_READY_POLL_SECONDS)
        raise LauncherNotReadyError(f"libvirtd did not answer within {deadline_seconds:g} s: {last}")

    async def call(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run one virsh command and return what it printed.

        Raises LibvirtError with libvirt's own text, also after `timeout` seconds; the command is ended then.
        """
        return await self.run("virsh", "-q", "-c", self.uri, *arguments, timeout=timeout)

    async def run(self, *argv: str, timeout: float = 60.0) -> str:
        """Run any command among the files of the compute container and return what it printed.

        Raises LibvirtError with what it said on stderr, also after `timeout` seconds; the command is ended then.
        """
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(self._compute.pid), "--mount", "--"),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT,
        )
        try:
            async with asyncio.timeout(timeout):
                stdout, stderr = await process.communicate()
        except TimeoutError as error:
            raise LibvirtError(f"{argv[0]}: no answer within {timeout:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise LibvirtError(_last_error(stderr.decode("utf-8", "replace")))
        return stdout.decode("utf-8", "replace")

    async def call_with_xml(self, command: str, document: str, before: tuple[str, ...] = (), *after: str) -> str:
        """Run a command that reads an XML file: `command BEFORE... FILE AFTER...`. Raises LibvirtError."""
        path = self._directory / f"{command}-{next(self._sequence)}.xml"
        path.write_text(document, encoding="utf-8")
        try:
            return await self.call(command, *before, str(path), *after)
        finally:
            path.unlink(missing_ok=True)

    async def values(self, *arguments: str, timeout: float = 60.0) -> Mapping[str, str]:
        """The output of a command that prints lines `Name:   value`."""
        pairs = (line.partition(":") for line in (await self.call(*arguments, timeout=timeout)).splitlines())
        return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _last_error(text: str) -> str:
    """virsh prints its own complaint first and libvirt's after it; the last one is what the API would return."""
    parts = [part.strip() for part in _ERROR.split(text) if part.strip()]
    return parts[-1] if parts else "virsh failed without a word"
