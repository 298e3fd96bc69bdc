"""This machine as a guest: commands run by a chosen shell, in a network namespace of their own where asked."""

from __future__ import annotations

import subprocess
import time
from typing import Self

from conformance.guest.shell import CommandFailed, CommandResult


class LocalShell:
    """Implements :class:`~conformance.guest.shell.Shell` with ``argv`` in front of each command."""

    guest = "this machine"
    way = "local"

    def __init__(self, *argv: str) -> None:
        self.argv = argv or ("sh", "-c")

    def run(self, command: str, *, timeout: float = 60.0, check: bool = False) -> CommandResult:
        started = time.monotonic()
        done = subprocess.run(
            [*self.argv, command],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        result = CommandResult(command, done.returncode, done.stdout, done.stderr, time.monotonic() - started)
        if check and not result.ok:
            raise CommandFailed(self.guest, result)
        return result

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
