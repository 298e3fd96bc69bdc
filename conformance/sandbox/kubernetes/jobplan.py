"""What a Job needs next, from its pods: which to start, which to end, and what its status says.

Source: the Kubernetes Job API reference and "Jobs" concept page (completion modes, backoff limits, deadlines).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from conformance.sandbox.client import Object

INDEX: Final = "batch.kubernetes.io/job-completion-index"
"""Label and annotation of a pod of an indexed Job."""

_FIRST_BACKOFF_SECONDS: Final = 10.0
_LAST_BACKOFF_SECONDS: Final = 600.0
_UNLIMITED: Final = 2**31 - 1


@dataclass(frozen=True)
class Verdict:
    """How a Job ended; `kind` is Complete or Failed."""

    kind: str
    reason: str
    message: str


COMPLETE: Final = Verdict("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
_BACKOFF: Final = Verdict("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
_DEADLINE: Final = Verdict("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
_INDEXES: Final = Verdict("Failed", "FailedIndexes", "Job has failed indexes")
_TOO_MANY: Final = Verdict(
    "Failed", "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
)


@dataclass(frozen=True)
class Plan:
    """`start` has an index for each pod to start, -1 where pods have none; `wait` is when to look again, in seconds."""

    status: Object
    start: tuple[int, ...] = ()
    end: tuple[Object, ...] = ()
    wait: float | None = None
    verdict: Verdict | None = None


@dataclass
class _Seat:
    """The pods of one index, or of the whole Job where it has none."""

    active: list[Object] = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0
    last_failure: float = 0.0

    def take(self, pod: Object) -> None:
        phase = (pod.get("status") or {}).get("phase")
        if phase == "Succeeded":
            self.succeeded += 1
        elif phase == "Failed":
            self.failed += 1
            self.last_failure = max(self.last_failure, _ended(pod))
        elif not pod["metadata"].get("deletionTimestamp"):
            self.active.append(pod)

    def backoff(self, now: float) -> float:
        """Seconds until the next attempt is due."""
        if not self.failed:
            return 0.0
        pause = min(_FIRST_BACKOFF_SECONDS * 2.0 ** (self.failed - 1), _LAST_BACKOFF_SECONDS)
        return max(0.0, self.last_failure + pause - now)


def plan(job: Object, pods: Sequence[Object], started: float, now: float) -> Plan:
    """The next step of a Job that has not ended; times are seconds since the epoch."""
    spec = job["spec"]
    indexed = spec.get("completionMode") == "Indexed"
    seats = {index: _Seat() for index in range(spec["completions"])} if indexed else {-1: _Seat()}
    for pod in pods:
        seat = seats.get(int(pod["metadata"]["labels"].get(INDEX, -1)))
        if seat is not None:
            seat.take(pod)
    active = [pod for seat in seats.values() for pod in seat.active]
    over = [index for index, seat in seats.items() if seat.failed > spec.get("backoffLimitPerIndex", _UNLIMITED)]
    verdict = _verdict(spec, seats, over, now - started)
    status = _status(seats, active, over if "backoffLimitPerIndex" in spec else None, indexed=indexed)
    if verdict is not None:
        return Plan(status, end=tuple(active), verdict=verdict)
    open_seats = _open(spec, seats, over, indexed=indexed)[: max(0, spec["parallelism"] - len(active))]
    due = [index for index in open_seats if not seats[index].backoff(now)]
    waits = [seats[index].backoff(now) for index in open_seats if index not in due]
    if deadline := spec.get("activeDeadlineSeconds"):
        waits.append(max(0.1, started + deadline - now))
    return Plan(status, start=tuple(due), wait=min(waits, default=None))


def _verdict(spec: Object, seats: dict[int, _Seat], over: list[int], running: float) -> Verdict | None:
    succeeded = sum(seat.succeeded for seat in seats.values())
    done = sum(1 for seat in seats.values() if seat.succeeded) if -1 not in seats else succeeded
    if "completions" in spec and done >= spec["completions"]:
        return COMPLETE
    if "completions" not in spec and succeeded and not any(seat.active for seat in seats.values()):
        return COMPLETE
    if running >= spec.get("activeDeadlineSeconds", _UNLIMITED):
        return _DEADLINE
    if sum(seat.failed for seat in seats.values()) > spec["backoffLimit"]:
        return _BACKOFF
    if len(over) > spec.get("maxFailedIndexes", _UNLIMITED):
        return _TOO_MANY
    if over and all(seat.succeeded or index in over for index, seat in seats.items()):
        return _INDEXES
    return None


def _open(spec: Object, seats: dict[int, _Seat], over: list[int], *, indexed: bool) -> list[int]:
    """What still wants a pod, an index each."""
    if indexed:
        return [i for i, seat in seats.items() if not seat.succeeded and not seat.active and i not in over]
    (seat,) = seats.values()
    if "completions" not in spec:
        return [] if seat.succeeded else [-1] * spec["parallelism"]
    return [-1] * max(0, spec["completions"] - seat.succeeded - len(seat.active))


def _status(seats: dict[int, _Seat], active: list[Object], over: list[int] | None, *, indexed: bool) -> Object:
    status: Object = {
        "active": len(active),
        "ready": sum(1 for pod in active if _ready(pod)),
        "succeeded": sum(seat.succeeded for seat in seats.values()),
        "failed": sum(seat.failed for seat in seats.values()),
        "terminating": 0,
        "uncountedTerminatedPods": {},
    }
    if indexed:
        status["completedIndexes"] = ranges([index for index, seat in seats.items() if seat.succeeded])
    if over is not None:
        status["failedIndexes"] = ranges(over)
    return status


def ranges(numbers: Sequence[int]) -> str:
    """Indexes as a Job's status writes them: `0,2-4`."""
    groups: list[list[int]] = []
    for number in sorted(numbers):
        if groups and groups[-1][1] == number - 1:
            groups[-1][1] = number
        else:
            groups.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in groups)


def _ended(pod: Object) -> float:
    """When the last container of a pod ended."""
    states = [entry["state"].get("terminated") or {} for entry in pod["status"].get("containerStatuses") or []]
    return max((seconds_of(state["finishedAt"]) for state in states if state.get("finishedAt")), default=0.0)


def seconds_of(time: str) -> float:
    """An API time as seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
