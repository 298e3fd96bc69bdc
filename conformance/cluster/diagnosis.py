"""Why pods of a cluster are not ready: what their containers, their events and their logs say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from conformance.cluster.explain import explain
from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError
from conformance.kube.manifest import EVENT, POD, Manifest, dig
from conformance.kube.pods import pod_logs

_EVENTS, _LOG_LINES = 10, 15


def diagnose(cluster: Cluster, namespaces: Iterable[str]) -> str:
    """Several lines: what is known of it first, then what was seen. Empty when everything is ready."""
    lines = [line for namespace in namespaces for line in _complaints(cluster, namespace)]
    known = explain("\n".join(lines))
    return "\n".join([*([str(known)] if known else []), *lines])


def _complaints(cluster: Cluster, namespace: str) -> Iterator[str]:
    try:
        pods = cluster.list(POD, namespace).items
        events = cluster.list(EVENT, namespace).items
    except KubeError as error:
        yield f"  {namespace}: {error}"
        return
    unready = [pod for pod in pods if not _ready(pod)]
    for pod in unready:
        yield from _about(cluster, pod)
    names = {dig(pod, "metadata", "name") for pod in unready}
    warnings = [e for e in events if e.get("type") == "Warning" and dig(e, "involvedObject", "name") in names]
    for event in warnings[-_EVENTS:]:
        yield f"  event {dig(event, 'involvedObject', 'name')}: {event.get('reason')} {event.get('message')}"


def _ready(pod: Manifest) -> bool:
    if dig(pod, "status", "phase") == "Succeeded":
        return True
    statuses = dig(pod, "status", "containerStatuses", default=[])
    return bool(statuses) and all(status.get("ready") for status in statuses)


def _about(cluster: Cluster, pod: Manifest) -> Iterator[str]:
    namespace, name = dig(pod, "metadata", "namespace"), dig(pod, "metadata", "name")
    node, phase = dig(pod, "spec", "nodeName", default="no node"), dig(pod, "status", "phase")
    yield f"  pod {namespace}/{name} on {node}: {phase}"
    for entry in dig(pod, "status", "conditions", default=[]):
        if entry.get("type") == "PodScheduled" and entry.get("status") != "True":
            yield f"    not scheduled: {entry.get('message')}"
    statuses = [
        *dig(pod, "status", "initContainerStatuses", default=[]),
        *dig(pod, "status", "containerStatuses", default=[]),
    ]
    for status in statuses:
        waiting, last = dig(status, "state", "waiting"), dig(status, "lastState", "terminated")
        if waiting:
            yield f"    {status['name']} waits: {waiting.get('reason')} {waiting.get('message', '')}"
        if last:
            yield f"    {status['name']} ended before: {last.get('reason')} ({last.get('exitCode')})"
        if not status.get("ready") and (status.get("restartCount") or dig(status, "state", "running")):
            yield from _log(cluster, namespace, name, status["name"])


def _log(cluster: Cluster, namespace: str, pod: str, container: str) -> Iterator[str]:
    try:
        text = pod_logs(cluster, namespace, pod, container, tail=_LOG_LINES)
    except KubeError as error:
        yield f"    (no log of {container}: {error})"
        return
    yield from (f"    {container}: {line}" for line in text.splitlines())
