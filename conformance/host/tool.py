"""One external program: run with a time limit, its complaints kept, its lines passed on while it works."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from conformance.kube.outcome import EnvironmentFault

_KEPT_LINES = 200


class ToolMissing(EnvironmentFault):
    """The program is not on PATH."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed (nothing of that name on PATH)")
        self.name = name


class ToolFailed(EnvironmentFault):
    """The program ended with another status than 0, or had to be ended.

    ``argv`` is the command, ``status`` its exit status (negative: the signal), ``output`` what it wrote to stderr, then
    stdout, the last lines of each.
    """

    def __init__(self, argv: Sequence[str], status: int, output: str) -> None:
        super().__init__(f"`{shlex.join(argv)}` ended with status {status}:\n{output.strip()}")
        self.argv, self.status, self.output = tuple(argv), status, output


class Tool:
    """A program by name, found on PATH each time it is run; ``env`` is added to the environment."""

    def __init__(self, name: str, env: Mapping[str, str] | None = None) -> None:
        self.name, self._env = name, dict(env or {})

    def found(self) -> str:
        """Its path, or an empty string."""
        return shutil.which(self.name) or ""

    def run(
        self,
        *arguments: str,
        seconds: float = 60.0,
        progress: Callable[[str], None] | None = None,
        stdin: Path | None = None,
    ) -> str:
        """Run it to its end and return its stdout. Lines of stderr go to ``progress`` as they come.

        Past ``seconds`` its whole process group is ended. Raises ToolMissing or ToolFailed.
        """
        path = self.found()
        if not path:
            raise ToolMissing(self.name)
        argv = [self.name, *arguments]
        with tempfile.TemporaryFile() as out, Path(stdin or os.devnull).open("rb") as given:
            process = subprocess.Popen(
                [path, *arguments],
                stdin=given,
                stdout=out,
                stderr=subprocess.PIPE,
                env={**os.environ, **self._env},
                start_new_session=True,
            )
            late = threading.Event()
            timer = threading.Timer(seconds, _end, (process, late))
            timer.start()
            try:
                complaints = _follow(process, progress)
                status = process.wait()
            finally:
                timer.cancel()
                if process.poll() is None:  # interrupted
                    _end(process, late)
                    process.wait()
            out.seek(0)
            text = out.read().decode("utf-8", "replace")
        if late.is_set():
            complaints.append(f"(ended by us: it took longer than {seconds:g} s)")
        if status:
            raise ToolFailed(argv, status, "\n".join([*complaints, *text.splitlines()[-_KEPT_LINES:]]))
        return text


def _follow(process: subprocess.Popen[bytes], progress: Callable[[str], None] | None) -> list[str]:
    """The last lines of stderr, each passed on as soon as it is complete."""
    lines: list[str] = []
    if process.stderr is None:
        return lines
    with process.stderr as stream:
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip()
            if not line:
                continue
            lines = [*lines[1 - _KEPT_LINES :], line]
            if progress is not None:
                progress(line.strip())
    return lines


def _end(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
