"""Events, read as the timeline of an object: Kubernetes keeps them about an hour and folds repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.kube.cluster import Cluster
from conformance.kube.errors import KubeError
from conformance.kube.manifest import EVENT, POD, VMI, Ref, dig


@dataclass(frozen=True)
class ClusterEvent:
    """One event: ``first``/``last`` as RFC 3339 strings, ``kind``/``name`` of the object it is about."""

    first: str
    last: str
    type: str
    reason: str
    message: str
    count: int
    kind: str
    name: str
    source: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> ClusterEvent:
        created = dig(event, "metadata", "creationTimestamp", default="")
        return cls(
            first=event.get("firstTimestamp") or event.get("eventTime") or created,
            last=event.get("lastTimestamp") or dig(event, "series", "lastObservedTime", default="") or created,
            type=event.get("type", ""),
            reason=event.get("reason", ""),
            message=event.get("message", ""),
            count=int(event.get("count") or dig(event, "series", "count", default=1)),
            kind=dig(event, "involvedObject", "kind", default=""),
            name=dig(event, "involvedObject", "name", default=""),
            source=dig(event, "source", "component", default="") or event.get("reportingComponent", ""),
        )


def events_in(cluster: Cluster, namespace: str) -> tuple[ClusterEvent, ...]:
    """All events of a namespace, in the order they happened last."""
    found = (ClusterEvent.of(event) for event in cluster.list(EVENT, namespace).items)
    return tuple(sorted(found, key=lambda event: (event.last, event.first)))


def events_about(cluster: Cluster, ref: Ref) -> tuple[ClusterEvent, ...]:
    """The events about one object; for a VMI also those about its launcher pods. Empty when they cannot be read."""
    try:
        found = events_in(cluster, ref.namespace)
    except KubeError:
        return ()
    prefix = f"virt-launcher-{ref.name}-"
    return tuple(
        event
        for event in found
        if (event.kind == ref.kind.kind and event.name == ref.name)
        or (ref.kind == VMI and event.kind == POD.kind and event.name.startswith(prefix))
    )
