"""ResourceQuota: what the pods of a namespace use, and whether there is room for one more.

Usage is counted anew from the stored pods at every question, so what is allowed never rests on a number that may be
late. Counted are pods and their cpu and memory; other names in `spec.hard` are shown and limit nothing, and resources
of a pod as a whole (`spec.resources`) are not looked at.
Source: the Kubernetes documentation, "Resource Quotas", and the wording of its quota admission, v1.24 and later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from conformance.sandbox.apiserver.errors import KubeObject
from conformance.sandbox.apiserver.kinds import PODS, QUOTAS
from conformance.sandbox.apiserver.resources import Resource
from conformance.sandbox.apiserver.store import Store
from conformance.sandbox.quantities import ONE, ZERO, Quantity, parse_quantity, total

Amounts = dict[str, Quantity]

_COMPUTE: Final = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    **{f"{part}.{name}": (part, name) for part in ("requests", "limits") for name in ("cpu", "memory")},
}
"""Where in a container's resources each limited amount stands."""
_TRACKED: Final = {"pods", "count/pods", *_COMPUTE}
_ENDED: Final = ("Succeeded", "Failed")


def admit_pod(store: Store, resource: Resource, pod: KubeObject) -> None:
    """Raise the API's 403 when a quota of the namespace has no room for a pod that is about to be stored."""
    name = pod["metadata"]["name"]
    quotas = [quota for quota in store.list(QUOTAS, pod["metadata"]["namespace"]) if _covers(quota, pod)]
    for quota in quotas:
        if missing := "; ".join(_missing(quota, pod)):
            raise resource.forbidden(name, f"failed quota: {quota['metadata']['name']}: must specify {missing}")
    asked = {key: amount for key, amount in _usage(pod).items() if amount.amount}
    for quota in quotas:
        hard, used = hard_limits(quota), used_of(store, quota)
        over = [key for key in asked if key in hard and (used[key] + asked[key]).amount > hard[key].amount]
        if over:
            raise resource.forbidden(
                name,
                f"exceeded quota: {quota['metadata']['name']}, requested: {_listed(asked, over)}, "
                f"used: {_listed(used, over)}, limited: {_listed(hard, over)}",
            )


def hard_limits(quota: KubeObject) -> Amounts:
    """`spec.hard`, parsed."""
    hard = (quota.get("spec") or {}).get("hard") or {}
    return {name: parse_quantity(value) for name, value in hard.items()}


def used_of(store: Store, quota: KubeObject) -> Amounts:
    """How much of each limited amount the pods in the quota's namespace use."""
    pods = [pod for pod in store.list(PODS, quota["metadata"]["namespace"]) if _covers(quota, pod)]
    usages = [_usage(pod) for pod in pods]
    return {name: total(usage.get(name, ZERO) for usage in usages) for name in hard_limits(quota) if name in _TRACKED}


def _usage(pod: KubeObject) -> Amounts:
    """What one pod counts for; one that has ended only as an object."""
    if (pod.get("status") or {}).get("phase") in _ENDED:
        return {"count/pods": ONE}
    amounts = {name: _effective(pod["spec"], *where) for name, where in _COMPUTE.items()}
    return {"count/pods": ONE, "pods": ONE, **amounts}


def _effective(spec: KubeObject, part: str, name: str) -> Quantity:
    """What a pod needs at its height: while it runs, or while one of its init containers does."""
    running = total(_amount(container, part, name) for container in spec["containers"])
    beside = highest = ZERO
    for container in spec.get("initContainers") or []:
        amount = _amount(container, part, name)
        highest = _larger(highest, beside + amount)
        if container.get("restartPolicy") == "Always":
            beside += amount
    overhead = parse_quantity((spec.get("overhead") or {}).get(name, 0))
    return _larger(running + beside, highest) + overhead


def _amounts(container: KubeObject, part: str) -> Mapping[str, Any]:
    """The requests or limits of a container; a limit without a request is the request too."""
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    return limits if part == "limits" else {**limits, **(resources.get("requests") or {})}


def _amount(container: KubeObject, part: str, name: str) -> Quantity:
    return parse_quantity(_amounts(container, part).get(name, 0))


def _larger(one: Quantity, other: Quantity) -> Quantity:
    return one if one.amount >= other.amount else other


def _missing(quota: KubeObject, pod: KubeObject) -> Iterator[str]:
    """What the quota limits and containers do not state: `limits.cpu for: a,b`."""
    containers = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    for key in sorted(hard_limits(quota).keys() & _COMPUTE.keys()):
        part, name = _COMPUTE[key]
        silent = sorted(entry["name"] for entry in containers if name not in _amounts(entry, part))
        if silent:
            yield f"{key} for: {','.join(silent)}"


def _covers(quota: KubeObject, pod: KubeObject) -> bool:
    """Whether a pod is in all scopes of a quota."""
    ends = pod["spec"].get("activeDeadlineSeconds") is not None
    lowly = (pod.get("status") or {}).get("qosClass") == "BestEffort"
    holds = {"Terminating": ends, "NotTerminating": not ends, "BestEffort": lowly, "NotBestEffort": not lowly}
    return all(holds[scope] for scope in (quota.get("spec") or {}).get("scopes") or [])


def _listed(amounts: Amounts, names: list[str]) -> str:
    return ",".join(f"{name}={amounts[name]}" for name in sorted(names))
