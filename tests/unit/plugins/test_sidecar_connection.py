"""A sidecar is waited for as long as it may yet serve, and no longer."""

from __future__ import annotations

import time
from typing import cast

import pytest

from conformance.hooks.sidecar import SidecarClient
from conformance.kube.outcome import NonConformant
from conformance.kube.pods import ExecTimedOut, PodProcess


class Relay:
    """The command in the pod that looks for the socket: it says nothing, or ends."""

    def __init__(self, over: bool) -> None:
        self.over = over

    def line(self, _index: int, seconds: float) -> str | None:
        if self.over:
            return None
        time.sleep(min(seconds, 0.01))
        raise ExecTimedOut("the relay", seconds, b"", b"")

    def complaint(self) -> str:
        return "no socket in /sockets that takes a connection: []"


def relay(over: bool) -> PodProcess:
    return cast("PodProcess", Relay(over))


def test_a_sidecar_that_has_ended_is_not_waited_for() -> None:
    begun = time.monotonic()
    with pytest.raises(NonConformant, match="its process has ended with status 1"):
        SidecarClient(relay(over=False), 60, lambda: "its process has ended with status 1")
    assert time.monotonic() - begun < 5


def test_a_sidecar_that_runs_and_never_serves_is_the_sidecars_fault() -> None:
    with pytest.raises(NonConformant, match=r"within 60 s: no socket in /sockets"):
        SidecarClient(relay(over=True), 60)
