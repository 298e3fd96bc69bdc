"""The EndpointSlice controller: the addresses behind each Service, following its pods."""

from __future__ import annotations

from conformance.sandbox.client import ENDPOINT_SLICES, ApiClient, ApiError, Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.kubevirt import conditions


class EndpointSlices:
    """One IPv4 EndpointSlice per Service with a selector."""

    def __init__(self, client: ApiClient, services: Informer, pods: Informer) -> None:
        self._client, self._services, self._pods = client, services, pods
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
        wanted = self._slice(service)
        current = await self._client.find(ENDPOINT_SLICES, key.namespace, wanted["metadata"]["name"])
        if current is None:
            try:
                await self._client.create(ENDPOINT_SLICES, wanted)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
        elif any(current.get(part) != wanted[part] for part in ("endpoints", "ports")):
            body = {**current, "endpoints": wanted["endpoints"], "ports": wanted["ports"]}
            await self._client.replace(ENDPOINT_SLICES, body)
        return None

    def _slice(self, service: Object) -> Object:
        meta = service["metadata"]
        owner = {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"], "controller": True}
        pods = sorted(
            (pod for pod in self._pods if _selected(service, pod) and pod.get("status", {}).get("podIP")),
            key=lambda pod: str(pod["metadata"]["name"]),
        )
        return {
            "apiVersion": ENDPOINT_SLICES.api_version,
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{meta['name']}-ipv4",
                "namespace": meta["namespace"],
                "labels": {"kubernetes.io/service-name": meta["name"]},
                "ownerReferences": [owner],
            },
            "addressType": "IPv4",
            "endpoints": [_endpoint(pod) for pod in pods],
            "ports": [
                {"name": port.get("name", ""), "port": _target(port), "protocol": port.get("protocol", "TCP")}
                for port in service["spec"].get("ports") or []
            ],
        }


def _selected(service: Object, pod: Object) -> bool:
    labels, meta = pod["metadata"].get("labels", {}), pod["metadata"]
    over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    same = meta["namespace"] == service["metadata"]["namespace"]
    return same and not over and all(labels.get(k) == v for k, v in service["spec"]["selector"].items())


def _endpoint(pod: Object) -> Object:
    ready = conditions.is_true(pod, "Ready") and not pod["metadata"].get("deletionTimestamp")
    meta = pod["metadata"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": ready,
            "serving": ready,
            "terminating": bool(meta.get("deletionTimestamp")),
        },
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]},
    }


def _target(port: Object) -> int:
    target = port.get("targetPort", port["port"])
    return target if isinstance(target, int) else int(port["port"])
