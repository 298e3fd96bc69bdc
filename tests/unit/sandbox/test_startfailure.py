"""The pause before a VM that did not come up is started again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import startfailure


def _vmi(uid: str, *phases: str) -> Object:
    stamps = [{"phase": phase} for phase in phases]
    return {"metadata": {"uid": uid}, "status": {"phase": phases[-1], "phaseTransitionTimestamps": stamps}}


def test_each_failure_in_a_row_makes_the_pause_longer_up_to_five_minutes() -> None:
    status: Object = {}
    pauses = []
    for number in range(1, 8):
        for _ in range(2):  # the same VMI counts once
            startfailure.note(status, _vmi(f"uid-{number}", "Pending", "Scheduling", "Failed"))
        assert status["startFailure"]["consecutiveFailCount"] == number
        pauses.append(startfailure.pause({"status": status}))
    for pause, seconds in zip(pauses, (10, 40, 90, 160, 250, 300, 300), strict=True):
        assert seconds - 2 <= pause <= seconds


def test_a_vmi_that_ran_is_no_failure_to_start_and_ends_the_count() -> None:
    status: Object = {}
    startfailure.note(status, _vmi("a", "Pending", "Scheduled", "Failed"))
    startfailure.note(status, _vmi("b", "Pending", "Scheduled", "Running", "Failed"))
    assert "startFailure" not in status
    assert startfailure.pause({"status": status}) == 0


def test_a_pause_that_is_over_is_none() -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert startfailure.pause({"status": {"startFailure": {"retryAfterTimestamp": past}}}) == 0
