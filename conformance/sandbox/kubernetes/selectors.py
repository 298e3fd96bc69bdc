"""LabelSelector objects and the named ports of pods, as Services and NetworkPolicies use them."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.sandbox.client import Object


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (`matchLabels`, `matchExpressions`) selects these labels; an empty one selects all."""
    equal = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return equal and all(_holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def container_port(pod: Object, name: str, protocol: str) -> int | None:
    """The number of a pod's port by its name, None where no container lists it."""
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def alive(pod: Object) -> bool:
    """Whether the pod has not run to its end."""
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def pod_addresses(pod: Object, family: str) -> list[str]:
    """The pod's addresses of one family, `IPv4` or `IPv6`."""
    found = [str(entry["ip"]) for entry in pod.get("status", {}).get("podIPs") or []]
    return [address for address in found if (":" in address) == (family == "IPv6")]
