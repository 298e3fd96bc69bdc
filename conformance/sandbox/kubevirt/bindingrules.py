"""The network rules about how an interface is bound: method, core bindings' needs, state.

Sources: KubeVirt `pkg/network/admitter/{binding,admit,discontinued,dra,slirp,macvtap,passt}.go`; recorded v1.9.0.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.sandbox.apiserver.errors import Cause
from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import spec
from conformance.sandbox.kubevirt.clusterconfig import BINDING_PLUGINS_GATE
from conformance.sandbox.kubevirt.facts import CoreRule
from conformance.sandbox.kubevirt.ruleview import INVALID, NOT_SUPPORTED, REQUIRED, RuleView


def discontinued_causes(view: RuleView) -> list[Cause]:
    """Core bindings that have left KubeVirt, and use of what a listed, discontinued gate was for; at creation only."""
    used = {method for interface, _ in view.interfaces() for method in interface}
    gates = [
        Cause(NOT_SUPPORTED, text, "")
        for gate, state, text in view.config.gate_texts()
        if state == "Discontinued" and gate.lower() in used
    ]
    return gates + [
        Cause(INVALID, message, f"{path}.{method}")
        for interface, path in view.interfaces()
        for method, message in view.facts.discontinued.items()
        if interface.get(method) is not None
    ]


def deprecation_warnings(view: RuleView) -> list[str]:
    """Warnings about the use of what a listed, deprecated gate is for."""
    used = {method for interface, _ in view.interfaces() for method in interface}
    return [t for gate, state, t in view.config.gate_texts() if state == "Deprecated" and gate.lower() in used]


def methods(view: RuleView) -> Iterator[Cause]:
    """One method for each interface, and what that method needs."""
    for interface, path in view.interfaces():
        yield from _method_count(view, interface, path)
        for method, rule in view.facts.core_rules.items():
            if interface.get(method) is not None:
                yield from _core(view, interface, path, rule)
        if interface.get("binding") is not None and not view.config.gate_enabled(BINDING_PLUGINS_GATE):
            yield Cause(INVALID, view.facts.gate_off, f"{path}.name")


def _method_count(view: RuleView, interface: Object, path: str) -> Iterator[Cause]:
    facts, name = view.facts, interface["name"]
    core = [method for method in facts.core_methods if interface.get(method) is not None]
    plugin = interface.get("binding") is not None
    if facts.one_method is not None and len(core) + plugin != 1:
        yield Cause(INVALID, facts.one_method.format(name=name), path)
    elif facts.both_methods is not None and plugin and core:
        yield Cause(INVALID, facts.both_methods.format(name=name), f"{path}.binding")


def _core(view: RuleView, interface: Object, path: str, rule: CoreRule) -> Iterator[Cause]:
    network, config = view.network_of(interface) or {}, view.config
    if rule.gate is not None and not config.gate_enabled(rule.gate):
        yield Cause(INVALID, rule.closed, f"{path}.name")
    if rule.network is not None and network.get(rule.network) is None:
        yield Cause(INVALID, rule.elsewhere, f"{path}.name")
    elif rule.setting is not None and not config.network_setting(rule.setting, default=False):
        yield Cause(INVALID, rule.unset, f"{path}.name")
    forbidden = rule.pod_setting is not None and not config.network_setting(rule.pod_setting, default=True)
    if forbidden and view.is_on_pod_network(interface):
        yield Cause(INVALID, rule.unset, f"{path}.name")
    if rule.crowded is not None and len(list(view.interfaces())) > 1:
        yield Cause(INVALID, rule.crowded, f"{path}.name")


def states(view: RuleView) -> Iterator[Cause]:
    """The state of an interface: its value, and where it means something."""
    facts = view.facts
    for interface, path in view.interfaces():
        name, state = interface["name"], interface.get("state") or ""
        if state and state not in facts.interface_states:
            yield Cause(INVALID, facts.state_rule.format(name=name, state=state), f"{path}.state")
        if state in ("up", "down") and facts.state_sriov_rule and interface.get("sriov") is not None:
            yield Cause(INVALID, facts.state_sriov_rule.format(name=name, state=state), f"{path}.state")
        if state != "absent":
            continue
        not_bridge, on_default = (text.format(name=name) for text in facts.absent_rules)
        if interface.get("bridge") is None:
            yield Cause(INVALID, not_bridge, f"{path}.state")
        network = view.network_of(interface)
        if network is not None and spec.is_primary(network):
            yield Cause(INVALID, on_default, f"{path}.state")


def claimed_devices(view: RuleView) -> Iterator[Cause]:
    """Networks that are devices of a resource claim (from 1.9)."""
    claimed = [(network, path) for network, path in view.networks() if network.get("resourceClaim") is not None]
    if not claimed:
        return
    field = f"{view.root}.networks"
    if not view.config.gate_enabled("NetworkDevicesWithDRA"):
        text = "vmi.spec.networks contains DRA networks but NetworkDevicesWithDRA feature gate is not enabled"
        yield Cause(INVALID, text, field)
        return
    if any(network.get("multus") is not None for network, _ in view.networks()):
        yield Cause(INVALID, "mixing Multus and DRA resourceClaim networks in the same VMI is not supported", field)
        return
    for network, path in claimed:
        yield from _claimed(view, network, path)


def _claimed(view: RuleView, network: Object, path: str) -> Iterator[Cause]:
    interface = next((i for i, _ in view.interfaces() if i["name"] == network["name"]), None)
    if interface is not None and interface.get("sriov") is None and interface.get("binding") is None:
        text = f'DRA network "{network["name"]}" requires an SR-IOV or binding plugin interface'
        yield Cause(INVALID, text, f"{view.root}.domain.devices.interfaces")
    for key in ("claimName", "requestName"):
        if not network["resourceClaim"].get(key):
            yield Cause(REQUIRED, f"{key} is required for DRA network", f"{path}.resourceClaim.{key}")
