"""What a Job needs next, from its pods."""

from __future__ import annotations

from datetime import UTC, datetime

from conformance.sandbox.client import Object
from conformance.sandbox.kubernetes.jobplan import INDEX, plan, ranges


def job(**spec: object) -> Object:
    return {"spec": {"parallelism": 1, "completions": 1, "backoffLimit": 6, **spec}}


def pod(phase: str, index: int | None = None, ended: float = 0.0) -> Object:
    labels = {} if index is None else {INDEX: str(index)}
    time = datetime.fromtimestamp(ended, UTC).isoformat()
    states = [{"state": {"terminated": {"finishedAt": time}}}] if ended else []
    return {"metadata": {"labels": labels}, "status": {"phase": phase, "containerStatuses": states}}


def reason(spec: Object, *pods: Object, now: float = 1.0) -> str:
    verdict = plan(spec, pods, 0.0, now).verdict
    return verdict.reason if verdict else ""


def test_a_new_job_starts_as_many_as_may_run_side_by_side() -> None:
    indexed = {"completionMode": "Indexed", "completions": 3, "parallelism": 2}
    assert plan(job(**indexed), [], 0.0, 1.0).start == (0, 1)
    assert plan(job(**indexed), [pod("Succeeded", 0), pod("Running", 1)], 0.0, 1.0).start == (2,)


def test_a_failed_pod_is_tried_again_after_a_pause() -> None:
    failed = plan(job(), [pod("Failed", ended=100.0)], 0.0, 103.0)
    assert (failed.start, failed.wait) == ((), 7.0)
    assert plan(job(), [pod("Failed", ended=100.0)], 0.0, 110.0).start == (-1,)


def test_the_ways_to_end() -> None:
    assert reason(job(), pod("Succeeded")) == "CompletionsReached"
    assert reason(job(backoffLimit=0), pod("Failed", ended=1.0)) == "BackoffLimitExceeded"
    assert reason(job(activeDeadlineSeconds=5), pod("Running"), now=6.0) == "DeadlineExceeded"
    limit = {"backoffLimit": 2**31 - 1, "backoffLimitPerIndex": 0, "completionMode": "Indexed", "completions": 2}
    assert reason(job(**limit), pod("Succeeded", 0), pod("Failed", 1)) == "FailedIndexes"
    assert reason(job(**limit), pod("Running", 0), pod("Failed", 1)) == ""
    assert reason(job(**limit, maxFailedIndexes=0), pod("Running", 0), pod("Failed", 1)) == "MaxFailedIndexesExceeded"


def test_indexes_are_written_as_ranges() -> None:
    assert ranges([4, 0, 2, 3]) == "0,2-4"
