"""The EndpointSlice controller: the addresses behind each Service, following its pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from conformance.sandbox.client import ENDPOINT_SLICES, ApiClient, ApiError, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.kubernetes.selectors import alive, container_port, pod_addresses
from conformance.sandbox.kubevirt import conditions

SERVICE_LABEL: Final = "kubernetes.io/service-name"
_MANAGED_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
_MANAGER: Final = "endpointslice-controller.k8s.io"


class EndpointSlices:
    """One EndpointSlice per address family of a Service with a selector, and per set of port numbers behind it."""

    def __init__(self, client: ApiClient, services: Informer, pods: Informer, slices: Informer) -> None:
        self._client, self._services, self._pods, self._slices = client, services, pods, slices
        self.controller = Controller("endpointslice", self._reconcile)
        self.controller.watch(services)
        self.controller.watch(pods, self._services_of)

    def _services_of(self, pod: Object) -> list[Key]:
        namespace = pod["metadata"]["namespace"]
        here = [s for s in self._services if s["metadata"]["namespace"] == namespace and s["spec"].get("selector")]
        return [Key(namespace, service["metadata"]["name"]) for service in here]

    async def _reconcile(self, key: Key) -> float | None:
        service = self._services.get(*key)
        if service is None or service["metadata"].get("deletionTimestamp") or not service["spec"].get("selector"):
            return None
        wanted = {part["metadata"]["name"]: part for part in slices_of(service, list(self._pods))}
        for name, part in wanted.items():
            await self._write(key.namespace, name, part)
        for obj in self._slices:
            meta, labels = obj["metadata"], obj["metadata"].get("labels") or {}
            mine = labels.get(_MANAGED_LABEL) == _MANAGER and labels.get(SERVICE_LABEL) == key.name
            if mine and meta["namespace"] == key.namespace and meta["name"] not in wanted:
                await self._client.delete(ENDPOINT_SLICES, key.namespace, meta["name"])
        return None

    async def _write(self, namespace: str, name: str, wanted: Object) -> None:
        current = await self._client.find(ENDPOINT_SLICES, namespace, name)
        if current is None:
            try:
                await self._client.create(ENDPOINT_SLICES, wanted)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
        elif any(current.get(part) != wanted[part] for part in ("endpoints", "ports")):
            body = {**current, "endpoints": wanted["endpoints"], "ports": wanted["ports"]}
            await self._client.replace(ENDPOINT_SLICES, body)


def slices_of(service: Object, pods: list[Object]) -> Iterator[Object]:
    """The EndpointSlices of a Service with a selector; a family without pods has an empty one."""
    chosen = sorted((pod for pod in pods if _selected(service, pod)), key=lambda pod: str(pod["metadata"]["name"]))
    for family in service["spec"].get("ipFamilies") or ["IPv4"]:
        groups: dict[tuple[tuple[str, str, int], ...], list[Object]] = {}
        for pod in chosen:
            if pod_addresses(pod, family):
                groups.setdefault(_ports(service, pod), []).append(pod)
        for index, (ports, members) in enumerate(groups.items() or [((), [])]):
            suffix = family.lower() + (f"-{index}" if index else "")
            yield _slice(service, suffix, family, ports, members)


def _slice(
    service: Object, suffix: str, family: str, ports: tuple[tuple[str, str, int], ...], pods: list[Object]
) -> Object:
    meta = service["metadata"]
    owner = {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"], "controller": True}
    labels = {SERVICE_LABEL: meta["name"], _MANAGED_LABEL: _MANAGER}
    if service["spec"].get("clusterIP") == "None":
        labels["service.kubernetes.io/headless"] = ""
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{meta['name']}-{suffix}",
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [owner],
        },
        "addressType": family,
        "endpoints": [_endpoint(service, pod, family) for pod in pods],
        "ports": [{"name": name, "protocol": protocol, "port": port} for name, protocol, port in ports],
    }


def _selected(service: Object, pod: Object) -> bool:
    labels, meta = pod["metadata"].get("labels", {}), pod["metadata"]
    same = meta["namespace"] == service["metadata"]["namespace"]
    return same and alive(pod) and all(labels.get(k) == v for k, v in service["spec"]["selector"].items())


def _endpoint(service: Object, pod: Object, family: str) -> Object:
    meta, spec = pod["metadata"], pod["spec"]
    terminating = bool(meta.get("deletionTimestamp"))
    serving = conditions.is_true(pod, "Ready")
    endpoint: Object = {
        "addresses": pod_addresses(pod, family)[:1],
        "conditions": {
            "ready": (serving and not terminating) or bool(service["spec"].get("publishNotReadyAddresses")),
            "serving": serving,
            "terminating": terminating,
        },
        "nodeName": spec.get("nodeName", ""),
        "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]},
    }
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        endpoint["hostname"] = spec["hostname"]
    return endpoint


def _ports(service: Object, pod: Object) -> tuple[tuple[str, str, int], ...]:
    """Name, protocol and number of each port as this pod has it; a named target that it lacks is left out."""
    found = []
    for port in service["spec"].get("ports") or []:
        protocol = port.get("protocol", "TCP")
        target = port.get("targetPort") or port["port"]
        number = target if isinstance(target, int) else container_port(pod, target, protocol)
        if number is not None:
            found.append((port.get("name", ""), protocol, number))
    return tuple(found)
