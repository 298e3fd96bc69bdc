"""A connection over a migration: it goes on, falls silent, or ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from conformance.guest.echo import GuestConnection
from conformance.kube.errors import BoundExceeded
from conformance.kube.outcome import NonConformant
from conformance.kube.timeouts import Deadline
from fixtures import nomads


class Connection:
    """Answers as often as the test says, look by look; the last time for ever."""

    def __init__(self, answers: Sequence[int], is_open: bool) -> None:
        self._answers, self._open = [*answers], is_open

    def answers(self) -> int:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def open(self) -> bool:
        return self._open


def wait(answers: Sequence[int], is_open: bool = True) -> None:
    nomads._wait_answers(cast(GuestConnection, Connection(answers, is_open)), 3, Deadline.bound(0.5))


def test_one_that_goes_on_passes() -> None:
    wait([3, 3, 4])


def test_one_that_goes_on_and_then_ends_passes() -> None:
    wait([4], is_open=False)


def test_one_that_falls_silent_is_caught() -> None:
    with pytest.raises(BoundExceeded, match="an answer over the open connection"):
        wait([3])


def test_one_that_ends_is_caught() -> None:
    with pytest.raises(NonConformant, match="ended after 3 answers"):
        wait([3], is_open=False)
