"""The scheduler: node selectors, taints, node and pod affinity, fewest pods first."""

from __future__ import annotations

from collections import Counter
from typing import Final

from conformance.sandbox.client import PODS, ApiClient, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.events import EventRecorder, timestamp

_RETRY_SECONDS: Final = 1.0
_CORDONED: Final = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class Scheduler:
    """Binds pending pods to nodes (by `spec.nodeName`, the effect of the binding subresource)."""

    def __init__(self, client: ApiClient, pods: Informer, nodes: Informer) -> None:
        self._client, self._pods, self._nodes = client, pods, nodes
        self._events = EventRecorder(client, "default-scheduler")
        self._assumed: dict[Key, str] = {}
        self.controller = Controller("scheduler", self._reconcile)
        self.controller.watch(pods)

    async def _reconcile(self, key: Key) -> float | None:
        pod = self._pods.get(*key)
        if pod is None or pod["spec"].get("nodeName") or pod["metadata"].get("deletionTimestamp"):
            self._assumed.pop(key, None)
            return None
        placeable = [node for node in self._nodes if self._fits(pod, node)]
        fitting = [node for node in placeable if not self._lacking(pod, node)]
        if not fitting:
            await self._unschedulable(pod, [name for node in placeable for name in self._lacking(pod, node)])
            return _RETRY_SECONDS
        load = Counter(other["spec"].get("nodeName") for other in self._pods)
        load.update(self._assumed.values())
        name = min(fitting, key=lambda node: (load[node["metadata"]["name"]], node["metadata"]["name"]))["metadata"][
            "name"
        ]
        self._assumed[key] = name
        await self._client.merge(PODS, *key, {"spec": {"nodeName": name}})
        condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": timestamp(), "lastProbeTime": None}
        await self._client.strategic_merge(PODS, *key, {"status": {"conditions": [condition]}}, "status")
        await self._events.normal(pod, "Scheduled", f"Successfully assigned {key.namespace}/{key.name} to {name}")
        return None

    async def _unschedulable(self, pod: Object, lacking: list[str]) -> None:
        """Say why no node will do; `lacking` are the resources that placeable nodes have too little of."""
        count = len(list(self._nodes))
        reasons = [f"{number} Insufficient {name}" for name, number in sorted(Counter(lacking).items())]
        reasons = reasons or [f"{count} node(s) didn't match Pod's node affinity/selector"]
        message = f"0/{count} nodes are available: {', '.join(reasons)}."
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": timestamp(),
        }
        meta = pod["metadata"]
        known = [(c.get("reason"), c.get("message")) for c in pod.get("status", {}).get("conditions", [])]
        if ("Unschedulable", message) not in known:
            patch = {"status": {"conditions": [condition]}}
            await self._client.strategic_merge(PODS, meta["namespace"], meta["name"], patch, "status")
            await self._events.warning(pod, "FailedScheduling", message)

    def _fits(self, pod: Object, node: Object) -> bool:
        spec, labels = pod["spec"], node["metadata"].get("labels", {})
        tolerations = spec.get("tolerations") or []
        if any(not any(_tolerates(entry, taint) for entry in tolerations) for taint in _taints(node)):
            return False
        if any(labels.get(name) != value for name, value in (spec.get("nodeSelector") or {}).items()):
            return False
        affinity = spec.get("affinity") or {}
        return _node_affinity(
            affinity.get("nodeAffinity") or {}, labels, node["metadata"]["name"]
        ) and not self._repelled(pod, affinity.get("podAntiAffinity") or {}, node)

    def _lacking(self, pod: Object, node: Object) -> list[str]:
        """The extended resources (those with a domain) that the node has too little of for the pod."""
        wanted = _extended_resources(pod)
        if not wanted:
            return []
        here = node["metadata"]["name"]
        used: Counter[str] = Counter()
        for other in self._pods:
            finished = other.get("status", {}).get("phase") in ("Succeeded", "Failed")
            if (other["spec"].get("nodeName") or self._assumed.get(_key(other))) == here and not finished:
                used += _extended_resources(other)
        allocatable = node.get("status", {}).get("allocatable") or {}
        return [name for name, count in wanted.items() if used[name] + count > _number(allocatable.get(name, "0"))]

    def _repelled(self, pod: Object, anti_affinity: Object, node: Object) -> bool:
        """Whether a required anti-affinity term matches a pod in the same topology as `node`."""
        for term in anti_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []:
            topology = node["metadata"].get("labels", {}).get(term["topologyKey"])
            for other in self._pods:
                host = self._nodes.get("", other["spec"].get("nodeName") or self._assumed.get(_key(other), ""))
                same_place = host and host["metadata"].get("labels", {}).get(term["topologyKey"]) == topology
                finished = other.get("status", {}).get("phase") in ("Succeeded", "Failed")
                same_scope = other["metadata"]["namespace"] == pod["metadata"]["namespace"]
                if same_place and same_scope and not finished and _selects(term.get("labelSelector") or {}, other):
                    return True
        return False


def _extended_resources(pod: Object) -> Counter[str]:
    total: Counter[str] = Counter()
    for container in pod["spec"]["containers"]:
        limits = (container.get("resources") or {}).get("limits") or {}
        total.update({name: _number(amount) for name, amount in limits.items() if "/" in name})
    return total


def _number(quantity: object) -> int:
    text = str(quantity)
    return int(text.removesuffix("k")) * 1000 if text.endswith("k") else int(text)


def _key(pod: Object) -> Key:
    return Key(pod["metadata"]["namespace"], pod["metadata"]["name"])


def _taints(node: Object) -> list[Object]:
    """What keeps pods away from a node; a cordoned one has a taint of its own."""
    spec = node.get("spec", {})
    taints = [taint for taint in spec.get("taints") or [] if taint["effect"] in ("NoSchedule", "NoExecute")]
    return taints + ([_CORDONED] if spec.get("unschedulable") and _CORDONED not in taints else [])


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return bool(toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""))


def _selects(selector: Object, obj: Object) -> bool:
    labels = obj["metadata"].get("labels", {})
    return all(labels.get(name) == value for name, value in (selector.get("matchLabels") or {}).items()) and all(
        _matches(expression, labels.get(expression["key"])) for expression in selector.get("matchExpressions") or []
    )


def _node_affinity(affinity: Object, labels: dict[str, str], name: str) -> bool:
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(
        all(_matches(expression, labels.get(expression["key"])) for expression in term.get("matchExpressions") or [])
        and all(_matches(field, name) for field in term.get("matchFields") or [])
        for term in required["nodeSelectorTerms"]
    )


def _matches(expression: Object, value: str | None) -> bool:
    wanted = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
