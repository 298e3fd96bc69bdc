"""A VirtualMachine whose VMI ends before it ever ran is tried again after a growing pause.

`status.startFailure`, in the shape and with the growth of KubeVirt's `pkg/virt-controller/watch/vm`: ten seconds times
the square of the failures in a row, five minutes at most.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from conformance.sandbox.client import Object

_STEP_SECONDS: Final = 10
_LONGEST_SECONDS: Final = 300
_FINAL: Final = ("Succeeded", "Failed")
_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


def note(status: Object, vmi: Object | None) -> None:
    """Count a VMI that ended without having run, once; forget the count when one runs."""
    if vmi is None:
        return
    uid, known = vmi["metadata"]["uid"], status.get("startFailure") or {}
    if _has_run(vmi):
        status.pop("startFailure", None)
    elif vmi.get("status", {}).get("phase") in _FINAL and known.get("lastFailedVMIUID") != uid:
        count = int(known.get("consecutiveFailCount", 0)) + 1
        pause = timedelta(seconds=min(_STEP_SECONDS * count**2, _LONGEST_SECONDS))
        status["startFailure"] = {
            "consecutiveFailCount": count,
            "lastFailedVMIUID": uid,
            "retryAfterTimestamp": (datetime.now(UTC) + pause).strftime(_FORMAT),
        }


def pause(vm: Object) -> float:
    """Seconds until the VM may be started again; 0 when it may be now."""
    retry = (vm.get("status", {}).get("startFailure") or {}).get("retryAfterTimestamp")
    if not retry:
        return 0.0
    due = datetime.strptime(retry, _FORMAT).replace(tzinfo=UTC)
    return max(0.0, (due - datetime.now(UTC)).total_seconds())


def _has_run(vmi: Object) -> bool:
    stamps = vmi.get("status", {}).get("phaseTransitionTimestamps") or []
    return any(stamp["phase"] == "Running" for stamp in stamps)
