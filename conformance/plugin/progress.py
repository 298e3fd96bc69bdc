"""What the user sees while a run goes on: the step under way, then a line per check with an estimate."""

from __future__ import annotations

import time

import pytest

from conformance.model import Outcome, Verdict

_COLOURS: dict[Verdict, str] = {
    Verdict.CONFORMANT: "green",
    Verdict.NON_CONFORMANT: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.SKIPPED: "yellow",
}


class Terminal:
    """pytest's terminal, or nothing when its reporter is disabled."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._started = time.monotonic()

    def line(self, text: str, colour: str = "") -> None:
        """Write a line of its own."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, pytest.TerminalReporter):
            reporter.ensure_newline()
            reporter.write_line(text, **({colour: True} if colour else {}))
            reporter.flush()

    def quiet(self) -> None:
        """No file names between the lines: each check has its own."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, pytest.TerminalReporter):
            reporter.showfspath = False

    def step(self, text: str) -> None:
        """Say what is being done, with the seconds since the start."""
        self.line(f"[{time.monotonic() - self._started:6.1f} s] {text}")


class ProgressLine:
    """Counts finished checks and estimates the rest by the mean so far; ``applicable`` is how many requirements apply.

    ``total`` is the number of items once it is known, ``workers`` how many run at once.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._started = time.monotonic()
        self._done = 0
        self.applicable = 0
        self.total = 0

    def start(self, total: int) -> None:
        """The items are known, the checks begin."""
        self.total = total
        self._started = time.monotonic()

    def finished(self, outcome: Outcome) -> None:
        """One more check is done."""
        self._done += 1
        total = str(self.total) if self.total else "?"
        text = f"[{self._done:3}/{total}] {outcome.requirement:9} {outcome.verdict.value:14} {outcome.seconds:6.1f} s"
        left = self.total - self._done
        if left > 0:
            seconds = (time.monotonic() - self._started) / self._done * left
            text += f"   about {_human(seconds)} left"
        self._terminal.line(text, _COLOURS.get(outcome.verdict, ""))


def _human(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
