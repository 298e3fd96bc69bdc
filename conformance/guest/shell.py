"""The seam of this package: something that runs a command in the guest, whatever way in it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from conformance.kube.outcome import EnvironmentFault


class GuestError(Exception):
    """Root of this layer."""


class GuestUnreachable(GuestError):
    """The way in failed, for a reason that may be the binding's: the control path crosses the NIC under test.

    ``way`` is ``ssh``, ``ssh-from-pod`` or ``console``, ``target`` what was dialled, ``reason`` the peer's own words.
    """

    def __init__(self, way: str, target: str, reason: str) -> None:
        super().__init__(f"{way} to {target}: {reason}")
        self.way, self.target, self.reason = way, target, reason


class ConsoleUnusable(GuestError, EnvironmentFault):
    """The serial console gives no shell: no login prompt, login refused, no answer. ``tail`` is what it showed last."""

    def __init__(self, guest: str, reason: str, tail: str) -> None:
        super().__init__(f"console of {guest}: {reason}\n--- console, last lines ---\n{tail}")
        self.guest, self.reason, self.tail = guest, reason, tail


class HostKeyMismatch(GuestError):
    """Another host key than the one this run put into the guest: something else answers at that address."""


class CommandTimedOut(GuestError, EnvironmentFault):
    """A command in the guest did not return in time."""

    def __init__(self, guest: str, command: str, seconds: float, tail: str = "") -> None:
        super().__init__(f"{guest}: no end of {command!r} after {seconds:.0f} s; output so far: {tail[-500:]!r}")
        self.guest, self.command, self.seconds, self.tail = guest, command, seconds, tail


class CommandFailed(GuestError, EnvironmentFault):
    """A command that should succeed in any sound guest did not; ``result`` has its output."""

    def __init__(self, guest: str, result: CommandResult) -> None:
        super().__init__(
            f"{guest}: {result.command!r} ended with {result.exit_status}\n"
            f"stdout: {result.stdout[-1000:]}\nstderr: {result.stderr[-1000:]}"
        )
        self.guest, self.result = guest, result


class GuestLacks(GuestError, EnvironmentFault):
    """The guest image has none of the tools that would do this; the message names them."""


@dataclass(frozen=True)
class CommandResult:
    """What a command did: its text, exit status, output (UTF-8, undecodable bytes replaced) and seconds."""

    command: str
    exit_status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.exit_status == 0


class Shell(Protocol):
    """A way to run POSIX shell commands in one guest, as its login user.

    Implementations: the serial console, SSH over ``portforward``, SSH through a client pod. Not for several threads at
    once: open one each.
    """

    guest: str
    way: str

    def run(self, command: str, *, timeout: float = 60.0, check: bool = False) -> CommandResult:
        """Run ``command`` with ``sh``; stdin is empty. ``timeout`` in seconds.

        Raises CommandTimedOut, GuestUnreachable or ConsoleUnusable; with ``check`` also CommandFailed for a non-zero
        exit status.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...
