"""A shell over the serial console: works with every binding, with no network at all, and across migrations.

A command's output goes to files in the guest and is printed from there between markers of its own. So when another
client takes the console in the middle, the output is asked for again instead of running the command twice.
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from typing import Self

from conformance.guest.image import GuestImage
from conformance.guest.shell import CommandFailed, CommandResult, CommandTimedOut, ConsoleUnusable
from conformance.kube.console import Console, ConsoleSilent, ConsoleTaken
from conformance.kube.errors import ApiError
from conformance.kube.timeouts import Deadline

_LOGIN = r"(?P<login>login: *\Z)|(?P<password>[Pp]assword: *\Z)|(?P<prompt>[#$] *\Z)"
# A pipe keeps our shell off the terminal: no prompt, no echo, no line editing, no job control. The loop, because
# BusyBox's cat holds a line back until the next one comes.
_OWN_SHELL = "stty -echo 2>/dev/null; while IFS= read -r l; do printf '%s\\n' \"$l\"; done | sh"
_LOGIN_STEPS = 6
_SETTLE = 0.2
_INLINE = 600
_CHUNK = 900
_RETAKES = 5
# kernel messages would be mixed into the output of commands
_QUIET_KERNEL = "dmesg -n 1 2>/dev/null || sudo -n dmesg -n 1 2>/dev/null || true"


class ConsoleShell:
    """One console, logged in on first use. Implements :class:`~conformance.guest.shell.Shell`."""

    way = "console"

    def __init__(self, console: Console, image: GuestImage, login_seconds: float) -> None:
        self.guest = console.name
        self._console, self._image, self._login_seconds = console, image, login_seconds
        self._ready = False

    def login(self, deadline: Deadline | None = None) -> None:
        """Boot to a shell; returns at once when logged in already. Raises ConsoleUnusable when time is over."""
        deadline = deadline or Deadline.patience(self._login_seconds)
        while not self._ready:
            if deadline.expired():
                raise ConsoleUnusable(self.guest, f"no shell within {deadline.seconds:.0f} s", self.tail()[-3000:])
            try:
                self._ready = self._log_in_once(deadline)
            except ConsoleTaken:
                continue
            except ApiError as error:
                raise ConsoleUnusable(self.guest, str(error), self.tail()) from error
            if self._ready:
                self.run(_QUIET_KERNEL)

    def run(self, command: str, *, timeout: float = 60.0, check: bool = False) -> CommandResult:
        """See :class:`~conformance.guest.shell.Shell`."""
        self.login()
        started = time.monotonic()
        mark = f"kbc-{secrets.token_hex(4)}"
        until = Deadline.patience(timeout)
        for _ in range(_RETAKES):
            try:
                found = self._report(mark, until) if self._started(mark, command, until) else None
            except ConsoleTaken:
                self._recover(until, command)
                continue
            except ConsoleSilent as error:
                self._interrupt()
                raise CommandTimedOut(self.guest, command, timeout, error.tail) from error
            if found is not None:
                result = CommandResult(command, found[0], found[1], found[2], time.monotonic() - started)
                if check and not result.ok:
                    raise CommandFailed(self.guest, result)
                return result
        raise ConsoleUnusable(self.guest, f"taken by other clients {_RETAKES} times in a row", self.tail()[-1500:])

    def tail(self) -> str:
        """What the console showed last."""
        return self._console.tail()

    def close(self) -> None:
        self._console.close()
        self._ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- login ----------------------------------------------------------------------------------------------------

    def _log_in_once(self, deadline: Deadline) -> bool:
        """Answer what the console asks now; True when a shell of ours answered."""
        if not re.search(_LOGIN, self._console.drain(_SETTLE)):
            self._console.send("\n")
        for _ in range(_LOGIN_STEPS):
            asked = self._asked_for(max(0.1, deadline.remaining(at_most=10.0)))
            if asked is None:
                return self._synchronised(1.0)  # a shell of ours, from before a takeover, prints no prompt
            if asked["prompt"]:
                self._console.send(f"{_OWN_SHELL}\n")
                return self._synchronised(max(1.0, deadline.remaining(at_most=15.0)))
            self._console.send((self._image.user if asked["login"] else self._image.password) + "\n")
        return False

    def _asked_for(self, seconds: float) -> re.Match[str] | None:
        """The last question in what comes; a question that is asked again at once (getty does) counts once."""
        try:
            asked = self._console.expect(_LOGIN, seconds)
        except ConsoleSilent:
            return None
        while again := re.search(_LOGIN, self._console.drain(_SETTLE)):
            asked = again
            self._console.skip()
        return asked

    def _synchronised(self, seconds: float) -> bool:
        word = f"kbc-{secrets.token_hex(4)}"
        self._console.send(f"printf '%s%s\\n' {word} -here\n")
        try:
            self._console.expect(f"^{word}-here$", seconds)
        except ConsoleSilent:
            return False
        return True

    def _recover(self, until: Deadline, command: str) -> None:
        """After a takeover: back to our shell, which may still be busy with the command."""
        try:
            if self._synchronised(max(1.0, until.remaining())):
                return
        except ConsoleTaken:
            return
        if until.expired():
            self._interrupt()
            raise CommandTimedOut(self.guest, command, until.seconds, self.tail())

    def _interrupt(self) -> None:
        """End whatever holds the console; the next command logs in afresh."""
        self._ready = False
        try:
            self._console.send("\x03\n")
        except ConsoleTaken:
            return

    # -- one command ----------------------------------------------------------------------------------------------

    def _started(self, mark: str, command: str, until: Deadline) -> bool:
        """Type the command unless it was started before a takeover. True when it was started."""
        if self._asked(f"[ -e /tmp/.{mark}.o ] && echo yes || echo no", mark, until) == "yes":
            return True
        if len(command) > _INLINE or "\n" in command:
            self._upload(f"/tmp/.{mark}.sh", command, until)
            run = f"sh /tmp/.{mark}.sh"
        else:
            run = f"sh -c {shlex.quote(command)}"
        self._console.send(f"{run} >/tmp/.{mark}.o 2>/tmp/.{mark}.e </dev/null; echo $? >/tmp/.{mark}.r\n")
        return True

    def _report(self, mark: str, until: Deadline) -> tuple[int, str, str]:
        """Have the output printed and read it: exit status, stdout, stderr."""
        parts = "; ".join(f"printf '\\n%s%s\\n' {mark} -{part}; cat /tmp/.{mark}.{part}" for part in ("o", "e", "r"))
        self._console.send(f"{parts}; printf '%s%s\\n' {mark} -end; rm -f /tmp/.{mark}.*\n")
        pattern = rf"(?s)^{mark}-o\n(.*)\n{mark}-e\n(.*)\n{mark}-r\n *(\d+)\n.*?{mark}-end$"
        found = self._console.expect(pattern, max(0.5, until.remaining()))
        return int(found[3]), found[1], found[2]

    def _asked(self, question: str, mark: str, until: Deadline) -> str:
        self._console.skip()
        self._console.send(f"printf '%s%s %s\\n' {mark} -is \"$({question})\"\n")
        return self._console.expect(rf"^{mark}-is (\w*)$", max(0.5, until.remaining()))[1]

    def _upload(self, path: str, text: str, until: Deadline) -> None:
        """Write a file through the console in pieces the terminal's input buffer (4 KiB) can hold."""
        piece: list[str] = []
        redirect = ">"
        for line in [*text.split("\n"), None]:
            if line is None or sum(map(len, piece)) + len(line) > _CHUNK:
                body = "\n".join(piece)
                self._console.send(f"cat {redirect}{path} <<'kbc-eof'\n{body}\nkbc-eof\n")
                word = f"kbc-{secrets.token_hex(4)}"
                self._console.send(f"printf '%s%s\\n' {word} -here\n")
                self._console.expect(f"^{re.escape(word)}-here$", max(0.5, until.remaining()))
                piece, redirect = [], ">>"
            if line is not None:
                piece.append(line)
