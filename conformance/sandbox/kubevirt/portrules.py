"""The network rules about an interface's ports and port ranges.

Source: KubeVirt `pkg/network/admitter/netiface.go`; recorded v1.9.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from conformance.sandbox.apiserver.errors import Cause
from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt.ruleview import DUPLICATE, INVALID, REQUIRED, RuleView

_PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_PROTOCOLS: Final = ("TCP", "UDP")
_UNKNOWN_PROTOCOL: Final = "Unknown protocol, only TCP or UDP allowed"
_MOST_RANGES: Final = 10
_PORTS: Final = range(1, 65536)


def ports(view: RuleView, interface: Object, path: str) -> Iterator[Cause]:
    """Ports count on the pod network alone."""
    listed = interface.get("ports") or []
    if not view.is_on_pod_network(interface):
        return
    names: set[str] = set()
    for index, port in enumerate(listed):
        yield from _name(port.get("name"), f"{path}.ports[{index}].name", names)
    for index, port in enumerate(listed):
        field, number = f"{path}.ports[{index}]", port.get("port", 0)
        if number == 0:
            yield Cause(REQUIRED, "Port field is mandatory.", field + view.facts.port_field)
        if not 0 <= number <= view.facts.highest_port:
            yield Cause(INVALID, "Port field must be in range 0 < x < 65536.", field + view.facts.port_field)
        if port.get("protocol") not in (None, "", *_PROTOCOLS):
            yield Cause(INVALID, _UNKNOWN_PROTOCOL, f"{field}.protocol")


def _name(name: str | None, field: str, names: set[str]) -> Iterator[Cause]:
    if not name:
        return
    if name in names:
        yield Cause(DUPLICATE, f"Duplicate name of the port: {name}", field)
    names.add(name)
    if not _PORT_NAME.fullmatch(name):
        yield Cause(INVALID, f"Invalid name of the port: {name}", field)


def port_ranges(view: RuleView, interface: Object, path: str) -> Iterator[Cause]:
    """Port ranges (from 1.9) need a gate and a masquerade interface on the pod network."""
    ranges = interface.get("portRanges")
    if ranges is None:
        return
    if not view.config.gate_enabled("PortRangesSpec"):
        text = "portRanges is specified on interface but the PortRangesSpec feature gate is not enabled"
        yield Cause(INVALID, text, f"{path}.name")
        return
    if not view.is_on_pod_network(interface):
        return
    if interface.get("ports") is not None:
        yield Cause(INVALID, "Cannot define both ports and portRanges on interface", f"{path}.name")
    if interface.get("masquerade") is None:
        yield Cause(INVALID, "portRanges are only supported on masquerade interfaces", f"{path}.name")
    if len(ranges) > _MOST_RANGES:
        yield Cause(INVALID, f"No more than {_MOST_RANGES} portRanges are allowed", f"{path}.portRanges")
        return
    faults = [_range_fault(entry, f"{path}.portRanges[{index}]") for index, entry in enumerate(ranges)]
    yield from (fault for fault in faults if fault is not None)
    sound = [entry for entry, fault in zip(ranges, faults, strict=True) if fault is None]
    yield from _overlaps(sound, f"{path}.portRanges")


def _range_fault(entry: Object, field: str) -> Cause | None:
    start, end = entry.get("start", 0), entry.get("end", 0)
    if entry.get("protocol") not in _PROTOCOLS:
        return Cause(INVALID, _UNKNOWN_PROTOCOL, f"{field}.protocol")
    for key, number in (("start", start), ("end", end)):
        if number not in _PORTS:
            return Cause(INVALID, f"{key.title()} must be a valid port number, 0 < x < 65536", f"{field}.{key}")
    if start > end:
        return Cause(INVALID, "Start must be less than or equal to end", f"{field}.start")
    return None


def _overlaps(ranges: list[Object], field: str) -> Iterator[Cause]:
    for protocol in _PROTOCOLS:
        spans = sorted((entry["start"], entry["end"]) for entry in ranges if entry["protocol"] == protocol)
        for before, after in pairwise(spans):
            if after[0] <= before[1]:
                text = f"{protocol} portRanges [{before[0]}-{before[1]}] and [{after[0]}-{after[1]}] overlap"
                yield Cause(INVALID, text, field)
