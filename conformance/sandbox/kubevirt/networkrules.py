"""The network rules that KubeVirt's validating webhooks apply to a VMI spec, in KubeVirt's order.

Sources: KubeVirt `pkg/network/admitter/{validator,netsource,netiface}.go`; texts and their order as recorded on v1.9.0.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Final

from conformance.sandbox.apiserver.errors import Cause
from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt.bindingrules import claimed_devices, methods, states
from conformance.sandbox.kubevirt.portrules import port_ranges, ports
from conformance.sandbox.kubevirt.ruleview import DUPLICATE, INVALID, NOT_SUPPORTED, REQUIRED, RuleView

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_MAC: Final = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_PCI: Final = re.compile(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")


def network_causes(view: RuleView) -> list[Cause]:
    """Every rule that the spec breaks."""
    return [cause for rule in _RULES for cause in rule(view)]


def boot_order_causes(view: RuleView) -> list[Cause]:
    """Boot orders below one; checked once, with disks, and placed as KubeVirt places them."""
    return [
        Cause(INVALID, f"{view.root}[{i}] must have a boot order > 0, if supplied", f"{view.root}[{i}].bootOrder")
        for i, (interface, _) in enumerate(view.interfaces())
        if interface.get("bootOrder", 1) < 1
    ]


def _one_default(view: RuleView) -> Iterator[Cause]:
    pods = [network for network, _ in view.networks() if network.get("pod") is not None]
    defaults = [network for network, _ in view.networks() if (network.get("multus") or {}).get("default")]
    if len(pods) > 1:
        field = f"{view.root}.interfaces"
        yield Cause(DUPLICATE, f"more than one interface is connected to a pod network in {field}", field)
    if len(defaults) > 1:
        yield Cause(INVALID, "Multus CNI should only have one default network", f"{view.root}.networks")
    if pods and defaults:
        message = "Pod network cannot be defined when Multus default network is defined"
        yield Cause(INVALID, message, f"{view.root}.networks")


def _sources(view: RuleView) -> Iterator[Cause]:
    for network, path in view.networks():
        kinds = [kind for kind in view.facts.network_sources if network.get(kind) is not None]
        if len(kinds) != 1:
            message = "should have only one network type" if kinds else "should have a network type"
            yield Cause(REQUIRED, message, path)
    for network, path in view.networks():
        if network.get("multus") is not None and not network["multus"].get("networkName"):
            yield Cause(REQUIRED, "CNI delegating plugin must have a networkName", path)
            return


def _unique_networks(view: RuleView) -> Iterator[Cause]:
    seen: set[str] = set()
    for network, path in view.networks():
        if network["name"] in seen:
            text = f'Network with name "{network["name"]}" already exists, every network must have a unique name'
            yield Cause(DUPLICATE, text, f"{path}.name")
        seen.add(network["name"])


def _pairing(view: RuleView) -> Iterator[Cause]:
    named = {interface["name"] for interface, _ in view.interfaces()}
    for network, path in view.networks():
        if network["name"] not in named:
            yield Cause(REQUIRED, f"{path}.name '{network['name']}' not found.", f"{path}.name")
    seen: set[str] = set()
    for interface, path in view.interfaces():
        if interface["name"] in seen:
            yield Cause(DUPLICATE, "Only one interface can be connected to one specific network", f"{path}.name")
        seen.add(interface["name"])
    for interface, path in view.interfaces():
        if view.network_of(interface) is None:
            yield Cause(INVALID, f"{path}.name '{interface['name']}' not found.", f"{path}.name")


def _fields(view: RuleView) -> Iterator[Cause]:
    for interface, path in view.interfaces():
        if not _NAME.fullmatch(interface["name"]):
            message = (
                "Network interface name can only contain alphabetical characters, "
                "numbers, dashes (-) or underscores (_)"
            )
            yield Cause(INVALID, message, f"{path}.name")
        yield from _devices(view, interface, path)
        yield from ports(view, interface, path)
        yield from port_ranges(view, interface, path)
        yield from _dhcp_options(view, interface, path)


def _devices(view: RuleView, interface: Object, path: str) -> Iterator[Cause]:
    model, mac, pci = interface.get("model"), interface.get("macAddress"), interface.get("pciAddress")
    if model and model not in view.facts.interface_models:
        message = f"interface {path}.name uses model {model} that is not supported."
        yield Cause(NOT_SUPPORTED, message, f"{path}.model")
    if mac and not _MAC.fullmatch(mac):
        yield Cause(INVALID, f"interface {path}.name has malformed MAC address ({mac}).", f"{path}.macAddress")
    if pci and not _PCI.fullmatch(pci):
        yield Cause(INVALID, f"interface {path}.name has malformed PCI address ({pci}).", f"{path}.pciAddress")


def _dhcp_options(view: RuleView, interface: Object, path: str) -> Iterator[Cause]:
    options = interface.get("dhcpOptions") or {}
    private = [option["option"] for option in options.get("privateOptions") or []]
    if len(set(private)) < len(private):
        yield Cause(INVALID, "Found Duplicates: you have provided duplicate DHCPPrivateOptions", view.root)
    if any(not 224 <= option <= 254 for option in private):
        message = "provided DHCPPrivateOptions are out of range, must be in range 224 to 254"
        yield Cause(INVALID, message, view.root)
    for index, server in enumerate(options.get("ntpServers") or []):
        if not _is_ipv4(server):
            message = "NTP servers must be a list of valid IPv4 addresses."
            yield Cause(INVALID, message, f"{path}.dhcpOptions.ntpServers[{index}]")


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


_RULES: Final[tuple[Callable[[RuleView], Iterator[Cause]], ...]] = (
    _one_default,
    _sources,
    states,
    methods,
    _unique_networks,
    claimed_devices,
    _pairing,
    _fields,
)
