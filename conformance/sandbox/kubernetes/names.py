"""The names of the cluster and what they stand for, by Kubernetes' DNS specification 1.1.1.

Services have their addresses, headless ones those of their endpoints, endpoints with a host name one of their own, pods
their dashed address below `pod`. Beyond the cluster's domain there is what the sandbox has outside and nothing else:
no query leaves it. Source: github.com/kubernetes/dns, docs/specification.md; CoreDNS' `kubernetes` plugin with
`pods insecure`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final, Literal

from conformance.sandbox.client import Object
from conformance.sandbox.kubernetes.endpoints import SERVICE_LABEL

CLUSTER_DOMAIN: Final = "cluster.local"
RecordType = Literal["A", "AAAA", "CNAME", "PTR", "SRV"]


@dataclass(frozen=True)
class Records:
    """What a name has: record texts by type. `exists` without records is an empty answer, not NXDOMAIN."""

    exists: bool = False
    by_type: Mapping[RecordType, tuple[str, ...]] = field(default_factory=dict)


class ClusterNames:
    """Looks names up in what is there now."""

    def __init__(
        self, services: Iterable[Object], slices: Iterable[Object], outside: Mapping[str, tuple[str, ...]]
    ) -> None:
        """`outside` are names beyond the cluster, without a final dot, with their addresses."""
        self._services, self._slices, self._outside = services, slices, outside

    def lookup(self, name: str) -> Records:
        """The records of a full name without the final dot; case does not matter."""
        name = name.lower()
        if name.endswith((".in-addr.arpa", ".ip6.arpa")):
            return _some("PTR", self._pointers(name))
        if name == CLUSTER_DOMAIN or name.endswith(f".{CLUSTER_DOMAIN}"):
            return self._inside(name.removesuffix(CLUSTER_DOMAIN).rstrip(".").split("."))
        return _addresses(self._outside.get(name, ()))

    def _inside(self, labels: list[str]) -> Records:
        match labels:
            case [""] | ["svc"] | ["pod"]:
                return Records(True)
            case [namespace, "svc" | "pod"]:
                return Records(any(s["metadata"]["namespace"] == namespace for s in self._services))
            case [dashed, _namespace, "pod"]:
                return _addresses(filter(None, [_undashed(dashed)]))
            case [*below, service, namespace, "svc"]:
                found = self._service(namespace, service)
                return self._below(found, below) if found else Records()
        return Records()

    def _service(self, namespace: str, name: str) -> Object | None:
        meta = (namespace, name)
        return next((s for s in self._services if (s["metadata"]["namespace"], s["metadata"]["name"]) == meta), None)

    def _below(self, service: Object, labels: list[str]) -> Records:
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return Records(True, {"CNAME": (f"{spec['externalName']}.",)}) if not labels else Records()
        match labels:
            case []:
                headless = spec.get("clusterIP") == "None"
                found = [a for _, a in self._endpoints(service)] if headless else spec.get("clusterIPs") or []
                return _addresses(found) if found else Records(not headless)
            case [host]:
                return _addresses(a for name, a in self._endpoints(service) if host in (name, _dashed(a)))
            case [port, protocol] if port[:1] == protocol[:1] == "_":
                return _some("SRV", self._ports(service, port[1:], protocol[1:]))
        return Records()

    def _endpoints(self, service: Object) -> Iterator[tuple[str, str]]:
        """Host name (or nothing) and address of every ready endpoint."""
        meta = service["metadata"]
        for part in self._slices:
            labels = part["metadata"].get("labels") or {}
            if part["metadata"]["namespace"] == meta["namespace"] and labels.get(SERVICE_LABEL) == meta["name"]:
                for endpoint in part.get("endpoints") or []:
                    if (endpoint.get("conditions") or {}).get("ready", True):
                        yield from ((endpoint.get("hostname", ""), a) for a in endpoint["addresses"])

    def _ports(self, service: Object, name: str, protocol: str) -> Iterator[str]:
        meta, spec = service["metadata"], service["spec"]
        domain = f"{meta['name']}.{meta['namespace']}.svc.{CLUSTER_DOMAIN}."
        for port in spec.get("ports") or []:
            if port.get("name") == name and port.get("protocol", "TCP").lower() == protocol:
                hosts = [""]
                if spec.get("clusterIP") == "None":
                    hosts = [f"{host or _dashed(a)}." for host, a in self._endpoints(service)]
                yield from (f"0 {100 // len(hosts)} {port['port']} {host}{domain}" for host in hosts)

    def _pointers(self, name: str) -> Iterator[str]:
        for service in self._services:
            meta, spec = service["metadata"], service["spec"]
            domain = f"{meta['name']}.{meta['namespace']}.svc.{CLUSTER_DOMAIN}."
            for address in spec.get("clusterIPs") or []:
                if address != "None" and ip_address(address).reverse_pointer == name:
                    yield domain
            for host, address in self._endpoints(service) if spec.get("clusterIP") == "None" else ():
                if ip_address(address).reverse_pointer == name:
                    yield f"{host or _dashed(address)}.{domain}"


def _some(kind: RecordType, texts: Iterable[str]) -> Records:
    found = tuple(dict.fromkeys(texts))
    return Records(True, {kind: found}) if found else Records()


def _addresses(addresses: Iterable[str]) -> Records:
    found = list(dict.fromkeys(addresses))
    if not found:
        return Records()
    four, six = (tuple(a for a in found if (":" in a) == is_six) for is_six in (False, True))
    return Records(True, {"A": four, "AAAA": six})


def _dashed(address: str) -> str:
    """An address as a label: full groups for IPv6, so that no label begins or ends with a dash."""
    ip = ip_address(address)
    return ip.exploded.replace(":", "-") if isinstance(ip, IPv6Address) else address.replace(".", "-")


def _undashed(label: str) -> str:
    """The address that a label stands for, empty where it is none."""
    for separator in (".", ":"):
        try:
            return str(ip_address(label.replace("-", separator)))
        except ValueError:
            continue
    return ""
