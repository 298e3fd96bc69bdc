"""kube-proxy of every node: Services and their EndpointSlices become the node's rules."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from conformance.sandbox.client import Object
from conformance.sandbox.controller import Controller, Informer, Key
from conformance.sandbox.kubernetes.endpoints import SERVICE_LABEL
from conformance.sandbox.network.conntrack import forget_flows
from conformance.sandbox.network.node import Node
from conformance.sandbox.network.services import Endpoint, ServicePort, service_rules

_ALL = Key("", "services")


class ServiceProxy:
    """Keeps the rules of all nodes as the API has it; one change at a time, many changes at once."""

    def __init__(self, nodes: Sequence[Node], services: Informer, slices: Informer) -> None:
        self._nodes, self._services, self._slices = nodes, services, slices
        self._applied = ""
        self.controller = Controller("kube-proxy", self._reconcile)
        self.controller.watch(services, lambda _service: [_ALL])
        self.controller.watch(slices, lambda _slice: [_ALL])

    async def _reconcile(self, _key: Key) -> float | None:
        ports = tuple(service_ports(self._services, list(self._slices)))
        addresses = {a for service in self._services for a in cluster_addresses(service)}
        text = service_rules(ports, addresses)
        if text != self._applied:
            await asyncio.gather(*(node.run("nft", "-f", "-", input=text.encode()) for node in self._nodes))
            # A UDP flow goes on to where it went first, for as long as it is alive: to an endpoint that is gone, too.
            await asyncio.gather(*(asyncio.to_thread(forget_flows, node.own_netns, ports) for node in self._nodes))
            self._applied = text
        return None


def cluster_addresses(service: Object) -> list[str]:
    """The cluster addresses of a Service, none for a headless one."""
    return [str(address) for address in service["spec"].get("clusterIPs") or [] if address != "None"]


def service_ports(services: Iterable[Object], slices: Sequence[Object]) -> Iterator[ServicePort]:
    """Every port of every Service with a cluster address, with its ready endpoints."""
    for service in services:
        meta = service["metadata"]
        mine = [
            part
            for part in slices
            if part["metadata"]["namespace"] == meta["namespace"]
            and (part["metadata"].get("labels") or {}).get(SERVICE_LABEL) == meta["name"]
        ]
        for address in cluster_addresses(service):
            family = "IPv6" if ":" in address else "IPv4"
            for port in service["spec"].get("ports") or []:
                protocol, name = port.get("protocol", "TCP"), port.get("name", "")
                parts = [part for part in mine if part["addressType"] == family]
                endpoints = tuple(sorted({e for part in parts for e in _endpoints(part, name, protocol)}))
                yield ServicePort(address, protocol.lower(), int(port["port"]), endpoints)


def _endpoints(part: Object, name: str, protocol: str) -> Iterator[Endpoint]:
    for port in part.get("ports") or []:
        if (port.get("name") or "", port.get("protocol", "TCP")) == (name, protocol):
            for endpoint in part.get("endpoints") or []:
                if (endpoint.get("conditions") or {}).get("ready", True):
                    yield from (Endpoint(address, int(port["port"])) for address in endpoint["addresses"])
