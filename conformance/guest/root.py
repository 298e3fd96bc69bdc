"""Running a command as root, and in the background, in any guest."""

from __future__ import annotations

import secrets
import shlex

from conformance.guest.shell import Shell


def as_root(command: str) -> str:
    """``command`` run as root: directly when the login user is root, else with password-less sudo."""
    quoted = shlex.quote(command)
    return f'if [ "$(id -u)" = 0 ]; then sh -c {quoted}; else sudo -n sh -c {quoted}; fi'


class Background:
    """A script running in the guest on its own; it survives the shell that started it. Its stdout goes to a file."""

    def __init__(self, shell: Shell, script: str, *, root: bool = False) -> None:
        self._shell, self._root = shell, root
        self.path = f"/tmp/.kbc-bg-{secrets.token_hex(4)}"
        start = f"nohup sh -c {shlex.quote(script)} >{self.path} 2>{self.path}.err </dev/null & echo $!"
        started = shell.run(as_root(start) if root else start, check=True)
        self.pid = int(started.stdout.split()[-1])

    def output(self, shell: Shell | None = None) -> str:
        """What the script has printed so far; ``shell`` when another than the starting one must be used."""
        return (shell or self._shell).run(f"cat {self.path}", check=True).stdout

    def errors(self) -> str:
        """What the script has written to stderr so far."""
        return self._shell.run(f"cat {self.path}.err", check=True).stdout

    def alive(self) -> bool:
        """Whether the script still runs; that it has ended need not have been taken note of by its parent."""
        return self._shell.run(f'case $(cat /proc/{self.pid}/stat 2>/dev/null) in "" | *") Z "*) false ;; esac').ok

    def stop(self, shell: Shell | None = None) -> None:
        """End the script and its children, and remove its files."""
        # A script started with nohup sh -c is the parent of all it runs. It is held while its children end: one that
        # restarts them in a loop would otherwise leave a new child behind.
        hold = f"kill -STOP {self.pid} 2>/dev/null; "
        kill = f"for p in $(cat /proc/{self.pid}/task/{self.pid}/children 2>/dev/null); do kill $p 2>/dev/null; done; "
        end = f"kill {self.pid} 2>/dev/null; kill -CONT {self.pid} 2>/dev/null; "
        command = f"{hold}{kill}{end}rm -f {self.path} {self.path}.err; true"
        (shell or self._shell).run(as_root(command) if self._root else command)
