"""Computed cells of the tables that `kubectl get` prints for built-in kinds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from conformance.sandbox.apiserver.errors import KubeObject
from conformance.sandbox.apiserver.resources import ResourceKey

Cell = str | int | float | bool | None
Printer = Callable[[KubeObject], Cell]


def age(moment: str, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 time was, in kubectl's short form; `<unknown>` for no time."""
    try:
        since = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    except ValueError:
        return "<unknown>"
    seconds = max(int(((now or datetime.now(UTC)) - since).total_seconds()), 0)
    for limit, unit, letter in ((120, 1, "s"), (7_200, 60, "m"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds // unit}{letter}"
    return f"{seconds // 86_400}d"


def _statuses(pod: KubeObject) -> list[dict[str, Any]]:
    return (pod.get("status") or {}).get("containerStatuses") or []


def _pod_ready(pod: KubeObject) -> Cell:
    ready = sum(bool(status.get("ready")) for status in _statuses(pod))
    return f"{ready}/{len(pod['spec'].get('containers') or [])}"


def _pod_status(pod: KubeObject) -> Cell:
    """The phase, or what explains it: deletion, a waiting or terminated container."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for container in _statuses(pod):
        state = container.get("state") or {}
        for kind in ("waiting", "terminated"):
            reason = (state.get(kind) or {}).get("reason")
            if reason:
                return str(reason)
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _pod_restarts(pod: KubeObject) -> Cell:
    return str(sum(status.get("restartCount", 0) for status in _statuses(pod)))


def _node_status(node: KubeObject) -> Cell:
    conditions = (node.get("status") or {}).get("conditions") or []
    ready: dict[str, Any] = next((condition for condition in conditions if condition["type"] == "Ready"), {})
    text = {"True": "Ready", "False": "NotReady"}.get(ready.get("status", ""), "Unknown")
    return f"{text},SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else text


def _node_roles(node: KubeObject) -> Cell:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(key[len(prefix) :] for key in labels if key.startswith(prefix))) or "<none>"


def _node_address(node: KubeObject) -> Cell:
    addresses = (node.get("status") or {}).get("addresses") or []
    return next((entry["address"] for entry in addresses if entry.get("type") == "InternalIP"), "<none>")


def _service_ports(service: KubeObject) -> Cell:
    ports = service["spec"].get("ports") or []
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _service_external(service: KubeObject) -> Cell:
    spec = service["spec"]
    return spec.get("externalName") or ",".join(spec.get("externalIPs") or []) or "<none>"


def _endpoints(endpoints: KubeObject) -> Cell:
    listed = [
        f"{address['ip']}:{port['port']}"
        for subset in endpoints.get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
    ]
    return ",".join(listed) or "<none>"


def _event_last_seen(event: KubeObject) -> Cell:
    seen = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return age(seen)


def _event_object(event: KubeObject) -> Cell:
    involved = event["involvedObject"]
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _data_count(obj: KubeObject) -> Cell:
    return str(len(obj.get("data") or {}) + len(obj.get("binaryData") or {}))


def _deployment_ready(deployment: KubeObject) -> Cell:
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    return f"{ready}/{deployment['spec'].get('replicas', 1)}"


def _pod_selector(policy: KubeObject) -> Cell:
    labels = (policy["spec"].get("podSelector") or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def _quota(quota: KubeObject, *, limits: bool) -> Cell:
    """`pods: 1/2, requests.cpu: 0/1`, of the limits or of the rest."""
    status = quota.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    return ", ".join(
        f"{name}: {used.get(name, 0)}/{hard[name]}" for name in sorted(hard) if name.startswith("limits.") is limits
    )


def _role(binding: KubeObject) -> Cell:
    return f"{binding['roleRef']['kind']}/{binding['roleRef']['name']}"


PRINTERS: dict[tuple[ResourceKey, str], Printer] = {
    (("", "pods"), "Ready"): _pod_ready,
    (("", "pods"), "Status"): _pod_status,
    (("", "pods"), "Restarts"): _pod_restarts,
    (("", "nodes"), "Status"): _node_status,
    (("", "nodes"), "Roles"): _node_roles,
    (("", "nodes"), "Internal-IP"): _node_address,
    (("", "services"), "External-IP"): _service_external,
    (("", "services"), "Port(s)"): _service_ports,
    (("", "endpoints"), "Endpoints"): _endpoints,
    (("", "events"), "Last Seen"): _event_last_seen,
    (("", "events"), "Object"): _event_object,
    (("", "configmaps"), "Data"): _data_count,
    (("", "secrets"), "Data"): _data_count,
    (("", "resourcequotas"), "Request"): partial(_quota, limits=False),
    (("", "resourcequotas"), "Limit"): partial(_quota, limits=True),
    (("apps", "deployments"), "Ready"): _deployment_ready,
    (("networking.k8s.io", "networkpolicies"), "Pod-Selector"): _pod_selector,
    (("rbac.authorization.k8s.io", "rolebindings"), "Role"): _role,
    (("rbac.authorization.k8s.io", "clusterrolebindings"), "Role"): _role,
}
