"""From CNI results to the annotation `k8s.v1.cni.cncf.io/network-status`.

Source: the Network Plumbing Working Group's specification and the behaviour of network-attachment-definition-client
(`pkg/utils/net-attach-def.go`), which Multus 4 uses.
"""

import ipaddress
import json
from collections.abc import Sequence

from conformance.sandbox.network.pods import Json

__all__ = ["network_statuses", "normalise_result", "render_network_status", "result_addresses"]


def normalise_result(result: Json) -> Json:
    """A CNI result in the shape of version 1.0.0: `interfaces`, `ips`, `routes`, `dns` (absent keys stay absent)."""
    shaped: Json = {key: result[key] for key in ("interfaces", "ips", "routes", "dns") if result.get(key)}
    legacy = [result[key] for key in ("ip4", "ip6") if isinstance(result.get(key), dict)]
    if legacy:
        shaped["ips"] = [{"address": entry["ip"], "gateway": entry.get("gateway")} for entry in _objects(legacy)]
        shaped["routes"] = [route for entry in _objects(legacy) for route in _objects(entry.get("routes"))]
    return shaped


def result_addresses(result: Json) -> list[str]:
    """The addresses of a normalised result, with their prefix lengths, in order."""
    return [str(entry["address"]) for entry in _objects(result.get("ips"))]


def network_statuses(result: Json, name: str, *, default: bool) -> list[Json]:
    """The status entries of one network's normalised result.

    A result with several interfaces gives one entry for each that lies in the pod (has a `sandbox`); one interface
    gives one entry whatever it is; none, none. `default` marks the cluster's default network.
    """
    interfaces = _objects(result.get("interfaces"))
    ips = _objects(result.get("ips"))
    gateways = _gateways(result)
    dns = _dns(result.get("dns"))
    if len(interfaces) == 1:
        interface = interfaces[0] if interfaces[0].get("sandbox") else {}
        return [_entry(name, interface, [_host(entry) for entry in ips], default=default, dns=dns, gateways=gateways)]
    inside = [index for index, interface in enumerate(interfaces) if interface.get("sandbox")]
    if not inside:
        return []
    addresses: dict[int, list[str]] = {index: [] for index in inside}
    for entry in ips:
        index = entry.get("interface")
        if index is None:
            addresses[inside[-1]].append(_host(entry))
        elif isinstance(index, int) and index in addresses:
            addresses[index].append(_host(entry))
    main = _default_interface(ips, inside) if default else None
    return [
        _entry(name, interfaces[index], addresses[index], default=index == main, dns=dns, gateways=gateways)
        for index in inside
    ]


def render_network_status(statuses: Sequence[Json]) -> str:
    """The annotation's value, byte for byte as Multus writes it."""
    entries = [json.dumps(status, indent=4, ensure_ascii=False) for status in statuses]
    text = f"[{','.join(entries)}]"
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _entry(name: str, interface: Json, ips: list[str], *, default: bool, dns: Json, gateways: list[str]) -> Json:
    entry: Json = {"name": name}
    if interface.get("name"):
        entry["interface"] = interface["name"]
    if ips:
        entry["ips"] = ips
    for key in ("mac", "mtu"):
        if interface.get(key):
            entry[key] = interface[key]
    if default:
        entry["default"] = True
    entry["dns"] = dns
    if gateways:
        entry["gateway"] = gateways
    return entry


def _default_interface(ips: list[Json], inside: list[int]) -> int | None:
    for entry in ips:
        index = entry.get("interface")
        if entry.get("gateway") and isinstance(index, int):
            return index
    return inside[0]


def _gateways(result: Json) -> list[str]:
    # A default route without a gateway prints as Go prints a nil address.
    routes = _objects(result.get("routes"))
    defaults = [route for route in routes if ipaddress.ip_interface(str(route["dst"])).ip.is_unspecified]
    return [str(route.get("gw") or "<nil>") for route in defaults]


def _dns(value: object) -> Json:
    dns = value if isinstance(value, dict) else {}
    return {key: dns[key] for key in ("nameservers", "domain", "search", "options") if dns.get(key)}


def _host(entry: Json) -> str:
    return str(ipaddress.ip_interface(str(entry["address"])).ip)


def _objects(value: object) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
