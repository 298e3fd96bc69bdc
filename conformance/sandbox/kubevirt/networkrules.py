"""The network rules that KubeVirt's validating webhooks apply to a VMI spec.

Sources: KubeVirt `pkg/network/admitter`; texts and their order as recorded on v1.9.0.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from conformance.sandbox.apiserver.errors import Cause
from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import spec
from conformance.sandbox.kubevirt.facts import VersionFacts

_INVALID: Final = "FieldValueInvalid"
_REQUIRED: Final = "FieldValueRequired"
_DUPLICATE: Final = "FieldValueDuplicate"
_NOT_SUPPORTED: Final = "FieldValueNotSupported"
_MODELS: Final = ("e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "virtio")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_PORT_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_MAC: Final = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_PCI: Final = re.compile(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")
_CORE: Final = ("bridge", "masquerade", "slirp", "macvtap", "passt", "sriov", "passtBinding")
_ONE_METHOD: Final = ("bridge", "masquerade", "sriov", "passtBinding", "binding")


def network_causes(body: Object, root: str, facts: VersionFacts) -> list[Cause]:
    """Every rule that the VMI spec `body` breaks; `root` is its path, `spec` or `spec.template.spec`."""
    view = _View(body, root, facts)
    return [cause for rule in _RULES for cause in rule(view)]


@dataclass(frozen=True)
class _View:
    body: Object
    root: str
    facts: VersionFacts

    @property
    def vmi(self) -> Object:
        return {"spec": self.body}

    def interfaces(self) -> Iterator[tuple[Object, str]]:
        for index, interface in enumerate(spec.interfaces(self.vmi)):
            yield interface, f"{self.root}.domain.devices.interfaces[{index}]"

    def networks(self) -> Iterator[tuple[Object, str]]:
        for index, network in enumerate(self.body.get("networks") or []):
            yield network, f"{self.root}.networks[{index}]"

    def network_of(self, interface: Object) -> Object | None:
        return spec.networks(self.vmi).get(interface["name"])


def _sources(view: _View) -> Iterator[Cause]:
    for network, path in view.networks():
        kinds = [kind for kind in ("pod", "multus", "resourceClaim") if network.get(kind) is not None]
        if not kinds:
            yield Cause(_REQUIRED, "should have a network type", path)
        if network.get("multus") is not None and not network["multus"].get("networkName"):
            yield Cause(_REQUIRED, "CNI delegating plugin must have a networkName", path)


def _pod_networks(view: _View) -> Iterator[Cause]:
    pods = [network for network, _ in view.networks() if network.get("pod") is not None]
    defaults = [network for network, _ in view.networks() if (network.get("multus") or {}).get("default")]
    if len(pods) > 1:
        yield Cause(
            _DUPLICATE, "more than one interface is connected to a pod network in spec.interfaces", "spec.interfaces"
        )
    if pods and defaults:
        message = "Pod network cannot be defined when Multus default network is defined"
        yield Cause(_INVALID, message, "spec.networks")


def _pairing(view: _View) -> Iterator[Cause]:
    seen: set[str] = set()
    for interface, path in view.interfaces():
        name = interface["name"]
        if not _NAME.fullmatch(name):
            message = (
                "Network interface name can only contain alphabetical characters, "
                "numbers, dashes (-) or underscores (_)"
            )
            yield Cause(_INVALID, message, f"{path}.name")
        if name in seen:
            yield Cause(_DUPLICATE, "Only one interface can be connected to one specific network", f"{path}.name")
        seen.add(name)
        if view.network_of(interface) is None:
            yield Cause(_INVALID, f"{path}.name '{name}' not found.", f"{path}.name")
    for network, path in view.networks():
        if network["name"] not in seen:
            yield Cause(_REQUIRED, f"{path}.name '{network['name']}' not found.", f"{path}.name")


def discontinued_causes(body: Object, root: str, facts: VersionFacts) -> list[Cause]:
    """Core bindings that have left KubeVirt; checked once, at creation only."""
    return [
        Cause(_INVALID, message, f"{root}.domain.devices.interfaces[{index}].{method}")
        for index, interface in enumerate(spec.interfaces({"spec": body}))
        for method, message in facts.discontinued.items()
        if interface.get(method) is not None
    ]


def boot_order_causes(body: Object, root: str) -> list[Cause]:
    """Boot orders below one; checked once, with disks, and placed as KubeVirt places them."""
    return [
        Cause(_INVALID, f"{root}[{index}] must have a boot order > 0, if supplied", f"{root}[{index}].bootOrder")
        for index, interface in enumerate(spec.interfaces({"spec": body}))
        if interface.get("bootOrder", 1) < 1
    ]


def gate_causes(body: Object, root: str, facts: VersionFacts) -> list[Cause]:
    """Refusal of every plugin interface; for a cluster whose feature gate is needed and off."""
    return [
        Cause(_INVALID, facts.gate_off, f"{root}.domain.devices.interfaces[{index}].binding")
        for index, interface in enumerate(spec.interfaces({"spec": body}))
        if interface.get("binding") is not None
    ]


def passt_gate_causes(body: Object, root: str) -> list[Cause]:
    """Refusal of every core passt interface; for a cluster whose gate PasstBinding is off."""
    return [
        Cause(_INVALID, "PasstBinding feature gate is not enabled", f"{root}.domain.devices.interfaces[{index}].name")
        for index, interface in enumerate(spec.interfaces({"spec": body}))
        if interface.get("passtBinding") is not None
    ]


def _methods(view: _View) -> Iterator[Cause]:
    for interface, path in view.interfaces():
        name, plugin = interface["name"], interface.get("binding") is not None
        if view.facts.one_method is not None:
            if sum(1 for method in _ONE_METHOD if interface.get(method) is not None) != 1:
                yield Cause(_INVALID, view.facts.one_method.format(name=name), path)
        elif view.facts.both_methods is not None and plugin and any(interface.get(m) is not None for m in _CORE):
            yield Cause(_INVALID, view.facts.both_methods.format(name=name), path)


def _pod_only(view: _View) -> Iterator[Cause]:
    for interface, path in view.interfaces():
        network = view.network_of(interface)
        if network is None or network.get("pod") is not None:
            continue
        for method, title in (("masquerade", "Masquerade"), ("passtBinding", "PasstBinding")):
            if interface.get(method) is not None:
                yield Cause(_INVALID, f"{title} interface only implemented with pod network", f"{path}.name")


def _gated(view: _View) -> Iterator[Cause]:
    """What stands behind feature gates that are off."""
    facts = view.facts
    if facts.port_ranges_off is not None:
        for interface, path in view.interfaces():
            if interface.get("portRanges"):
                yield Cause(_INVALID, facts.port_ranges_off, f"{path}.name")
    if facts.dra_networks_off is not None and any(network.get("resourceClaim") for network, _ in view.networks()):
        yield Cause(_INVALID, facts.dra_networks_off, f"{view.root}.networks")


def _states(view: _View) -> Iterator[Cause]:
    facts = view.facts
    for interface, path in view.interfaces():
        state, name = interface.get("state"), interface["name"]
        if facts.state_rule is not None and state not in (None, "", "up", "down", "absent"):
            yield Cause(_INVALID, facts.state_rule.format(name=name, state=state), f"{path}.state")
        elif facts.absent_rule is not None and state == "absent":
            if interface.get("bridge") is None:
                yield Cause(_INVALID, facts.absent_rule.format(name=name), f"{path}.state")
            if facts.absent_default_rule is not None and spec.is_primary(view.network_of(interface) or {}):
                yield Cause(_INVALID, facts.absent_default_rule.format(name=name), f"{path}.state")


def _devices(view: _View) -> Iterator[Cause]:
    for interface, path in view.interfaces():
        model, mac, pci = interface.get("model"), interface.get("macAddress"), interface.get("pciAddress")
        if model and model not in _MODELS:
            message = f"interface {path}.name uses model {model} that is not supported."
            yield Cause(_NOT_SUPPORTED, message, f"{path}.model")
        if mac and not _MAC.fullmatch(mac):
            yield Cause(_INVALID, f"interface {path}.name has malformed MAC address ({mac}).", f"{path}.macAddress")
        if pci and not _PCI.fullmatch(pci):
            yield Cause(_INVALID, f"interface {path}.name has malformed PCI address ({pci}).", f"{path}.pciAddress")


def _ports(view: _View) -> Iterator[Cause]:
    for interface, path in view.interfaces():
        network = view.network_of(interface)
        if network is None or network.get("pod") is None:
            continue
        names: set[str] = set()
        for index, port in enumerate(interface.get("ports") or []):
            yield from _port(port, f"{path}.ports[{index}]", names)


def _port(port: Object, path: str, names: set[str]) -> Iterator[Cause]:
    number, name = port.get("port", 0), port.get("name")
    if number == 0:
        yield Cause(_REQUIRED, "Port field is mandatory.", f"{path}.port")
    elif not 0 < number < 65536:
        yield Cause(_INVALID, "Port field must be in range 0 < x < 65536.", f"{path}.port")
    if port.get("protocol") not in (None, "", "TCP", "UDP"):
        yield Cause(_INVALID, "Unknown protocol, only TCP or UDP allowed", f"{path}.protocol")
    if not name:
        return
    if name in names:
        yield Cause(_DUPLICATE, f"Duplicate name of the port: {name}", f"{path}.name")
    names.add(name)
    if not _PORT_NAME.fullmatch(name):
        yield Cause(_INVALID, f"Invalid name of the port: {name}", f"{path}.name")


def _dhcp_options(view: _View) -> Iterator[Cause]:
    for interface, path in view.interfaces():
        options = interface.get("dhcpOptions") or {}
        for index, server in enumerate(options.get("ntpServers") or []):
            if not _is_ipv4(server):
                message = "NTP servers must be a list of valid IPv4 addresses."
                yield Cause(_INVALID, message, f"{path}.dhcpOptions.ntpServers[{index}]")
        if any(not 224 <= option["option"] <= 254 for option in options.get("privateOptions") or []):
            message = "provided DHCPPrivateOptions are out of range, must be in range 224 to 254"
            yield Cause(_INVALID, message, view.root)


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


_RULES: Final[tuple[Callable[[_View], Iterator[Cause]], ...]] = (
    _sources,
    _pod_networks,
    _pairing,
    _methods,
    _pod_only,
    _gated,
    _states,
    _devices,
    _ports,
    _dhcp_options,
)
