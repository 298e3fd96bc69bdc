"""What the cluster network has besides pods: Services, policies, DNS, the API inside it, and the host outside."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from conformance.sandbox.client import (
    ENDPOINT_SLICES,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    SERVICES,
    Object,
    Resource,
)
from conformance.sandbox.controller import Controller, Informer
from conformance.sandbox.kubernetes.dns import PORT as DNS_PORT
from conformance.sandbox.kubernetes.dns import DnsServer
from conformance.sandbox.kubernetes.endpoints import SERVICE_LABEL
from conformance.sandbox.kubernetes.names import ClusterNames
from conformance.sandbox.kubernetes.policy import NetworkPolicies
from conformance.sandbox.kubernetes.proxy import ServiceProxy
from conformance.sandbox.kubernetes.volumes import CLUSTER_DNS, KUBERNETES_PORT, KUBERNETES_SERVICE
from conformance.sandbox.network import syscalls
from conformance.sandbox.network.fabric import (
    CONTROL_ADDRESS,
    CONTROL_ADDRESS6,
    OUTSIDE_ADDRESS,
    OUTSIDE_ADDRESS6,
    Fabric,
)
from conformance.sandbox.network.node import Node
from conformance.sandbox.network.outside import OUTSIDE_NAMES, OutsideHost

API_PORT: Final = 6443
_CLUSTER_DNS6: Final = "fd00:10:96::a"
_DNS_PORTS: Final = (("dns", "UDP"), ("dns-tcp", "TCP"))


class ClusterNetwork:
    """The controllers and servers of the cluster network of one sandbox."""

    def __init__(self, nodes: Sequence[Node], fabric: Fabric) -> None:
        self._nodes, self._fabric = nodes, fabric
        self._outside = OutsideHost()
        self._dns: DnsServer | None = None

    def controllers(self, informers: Mapping[Resource, Informer]) -> list[Controller]:
        """kube-proxy and the policy controller of all nodes."""
        policies, pods, namespaces = informers[NETWORK_POLICIES], informers[PODS], informers[NAMESPACES]
        return [
            ServiceProxy(self._nodes, informers[SERVICES], informers[ENDPOINT_SLICES]).controller,
            NetworkPolicies(self._nodes, policies, pods, namespaces).controller,
        ]

    async def serve(self, informers: Mapping[Resource, Informer]) -> None:
        """Start cluster DNS and the host outside."""
        outside = dict.fromkeys(OUTSIDE_NAMES, (OUTSIDE_ADDRESS, OUTSIDE_ADDRESS6))
        self._dns = DnsServer(ClusterNames(informers[SERVICES], informers[ENDPOINT_SLICES], outside).lookup)
        await self._dns.start(partial(_open, self._fabric.control))
        await self._outside.start(partial(_open, self._fabric.outside))

    async def stop(self) -> None:
        """Stop the servers."""
        if self._dns is not None:
            await self._dns.stop()
        await self._outside.stop()


def cluster_services() -> list[tuple[Resource, Object]]:
    """The Services that every cluster has, `kubernetes` and `kube-dns`, and where they lead: to the control plane."""
    api = {"name": "https", "protocol": "TCP", "port": KUBERNETES_PORT, "targetPort": API_PORT}
    dns = [{"name": name, "protocol": protocol, "port": DNS_PORT} for name, protocol in _DNS_PORTS]
    services = [
        _service("default", "kubernetes", [KUBERNETES_SERVICE], [api]),
        _service("kube-system", "kube-dns", [CLUSTER_DNS, _CLUSTER_DNS6], dns),
    ]
    slices = [
        _slice("default", "kubernetes", CONTROL_ADDRESS, [{"name": "https", "protocol": "TCP", "port": API_PORT}]),
        _slice("kube-system", "kube-dns", CONTROL_ADDRESS, dns),
        _slice("kube-system", "kube-dns", CONTROL_ADDRESS6, dns),
    ]
    return [(SERVICES, service) for service in services] + [(ENDPOINT_SLICES, part) for part in slices]


def _service(namespace: str, name: str, addresses: list[str], ports: list[Object]) -> Object:
    families = ["IPv6" if ":" in address else "IPv4" for address in addresses]
    spec = {
        "clusterIP": addresses[0],
        "clusterIPs": addresses,
        "ipFamilies": families,
        "ipFamilyPolicy": "SingleStack" if len(families) == 1 else "RequireDualStack",
        "ports": ports,
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _slice(namespace: str, service: str, address: str, ports: list[Object]) -> Object:
    family = "IPv6" if ":" in address else "IPv4"
    meta = {"name": f"{service}-{family.lower()}", "namespace": namespace, "labels": {SERVICE_LABEL: service}}
    return {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": family,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": ports,
    }


def _open(netns: Path, family: int, kind: int) -> socket.socket:
    return syscalls.open_socket(netns, family, kind)
