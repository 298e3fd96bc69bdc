"""The Job controller: pods until enough have succeeded, one for each index where the Job is indexed.

A pod that is deleted before it has ended is replaced and not counted. `suspend`, `podFailurePolicy`, `successPolicy`
and `ttlSecondsAfterFinished` are not looked at.
"""

from __future__ import annotations

import copy
import secrets
import time
from typing import Final

from conformance.sandbox.client import JOBS, PODS, ApiClient, ApiError, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.events import EventRecorder, timestamp
from conformance.sandbox.kubernetes.jobplan import INDEX, Plan, plan, seconds_of

_INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


class Jobs:
    """Carries out the plan of every Job that has not ended."""

    def __init__(self, client: ApiClient, jobs: Informer, pods: Informer) -> None:
        self._client, self._jobs, self._pods = client, jobs, pods
        self._events = EventRecorder(client, "job-controller")
        self.controller = Controller("job", self._reconcile)
        self.controller.watch(jobs)
        self.controller.watch(pods, _owner_key)

    async def _reconcile(self, key: Key) -> float | None:
        job = self._jobs.get(*key)
        if job is None or job["metadata"].get("deletionTimestamp") or _finished(job):
            return None
        started = (job.get("status") or {}).get("startTime") or timestamp()
        mine = [pod for pod in self._pods if _owned_by(pod, job)]
        step = plan(job, mine, seconds_of(started), time.time())
        for pod in step.end:
            await self._client.delete(PODS, key.namespace, pod["metadata"]["name"], uid=pod["metadata"]["uid"])
        for index in step.start:
            await self._start(job, index)
        await self._report(job, step, started)
        return step.wait

    async def _start(self, job: Object, index: int) -> None:
        try:
            pod = await self._client.create(PODS, pod_of(job, index))
        except ApiError as error:
            await self._events.warning(job, "FailedCreate", f"Error creating: {error.message}")
            raise
        self._pods.remember(pod)
        await self._events.normal(job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")

    async def _report(self, job: Object, step: Plan, started: str) -> None:
        status = {**step.status, "startTime": started}
        status["active"] += len(step.start) - len(step.end)
        if (verdict := step.verdict) is not None:
            early = "SuccessCriteriaMet" if verdict.kind == "Complete" else "FailureTarget"
            status["conditions"] = [_true(kind, verdict.reason, verdict.message) for kind in (early, verdict.kind)]
            if verdict.kind == "Complete":
                status["completionTime"] = timestamp()
        if job.get("status") == status:
            return
        meta = job["metadata"]
        written = await self._client.merge(JOBS, meta["namespace"], meta["name"], {"status": status}, "status")
        self._jobs.remember(written)
        if verdict is not None:
            tell = self._events.normal if verdict.kind == "Complete" else self._events.warning
            await tell(job, "Completed" if verdict.kind == "Complete" else verdict.reason, verdict.message)


def pod_of(job: Object, index: int) -> Object:
    """The pod of an index, or of a Job without indexes (-1)."""
    meta, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
    head = template.get("metadata") or {}
    spec, base = template["spec"], meta["name"]
    if index >= 0:
        base = f"{meta['name']}-{index}"
        for part in ("labels", "annotations"):
            head[part] = {**(head.get(part) or {}), INDEX: str(index)}
        spec.setdefault("hostname", base)
        variable = {
            "name": _INDEX_VARIABLE,
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}},
        }
        for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
            container["env"] = [*(container.get("env") or []), variable]
    ending = "".join(secrets.choice(_LETTERS) for _ in range(5))
    place = {"name": f"{base}-{ending}", "namespace": meta["namespace"]}
    references = [owner | {"controller": True, "blockOwnerDeletion": True}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**head, **place, "ownerReferences": references},
        "spec": spec,
    }


def _finished(job: Object) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _true(kind: str, reason: str, message: str) -> Object:
    now = timestamp()
    times = {"lastProbeTime": now, "lastTransitionTime": now}
    return {"type": kind, "status": "True", "reason": reason, "message": message, **times}


def _owner_key(pod: Object) -> list[Key]:
    owners = pod["metadata"].get("ownerReferences") or []
    return [Key(pod["metadata"]["namespace"], owner["name"]) for owner in owners if owner["kind"] == "Job"]


def _owned_by(pod: Object, job: Object) -> bool:
    owners = pod["metadata"].get("ownerReferences") or []
    return any(owner["uid"] == job["metadata"]["uid"] for owner in owners)
