"""Reading a VirtualMachineInstance: interfaces, networks, bindings, pod interface names.

Sources: KubeVirt `pkg/network/{vmispec,namescheme,netbinding}`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from conformance.sandbox.client import Object
from conformance.sandbox.launcher.podinterfaces import pod_interface_names as names_in_pod

CORE_METHODS: Final = ("bridge", "masquerade", "sriov", "passtBinding", "slirp", "macvtap", "passt")
BRIDGE_MIGRATION: Final = "kubevirt.io/allow-pod-bridge-network-live-migration"
"""The annotation, with whatever value, that makes a VMI with a core bridge on the pod network migratable."""
Registrations = Mapping[str, Mapping[str, Any]]
"""`spec.configuration.network.binding` of the KubeVirt CR."""


def interfaces(vmi: Object) -> list[Object]:
    """The interfaces of the spec, absent ones included."""
    found: list[Object] = vmi["spec"].get("domain", {}).get("devices", {}).get("interfaces") or []
    return found


def networks(vmi: Object) -> dict[str, Object]:
    """The networks of the spec by name, in spec order."""
    return {network["name"]: network for network in vmi["spec"].get("networks") or []}


def binding_name(interface: Object) -> str | None:
    """The name of the binding plugin that the interface asks for."""
    binding = interface.get("binding")
    return None if binding is None else str(binding.get("name", ""))


def plugin_interfaces(vmi: Object) -> Iterator[tuple[Object, str]]:
    """Interfaces that use a binding plugin, with its name."""
    for interface in interfaces(vmi):
        if (name := binding_name(interface)) is not None:
            yield interface, name


def pod_network_interface(vmi: Object) -> Object | None:
    """The interface of the pod network, if any."""
    names = {name for name, network in networks(vmi).items() if "pod" in network}
    return next((interface for interface in interfaces(vmi) if interface["name"] in names), None)


def is_primary(network: Object) -> bool:
    """Whether the network is the pod's default one: `pod`, or Multus with `default: true`."""
    return "pod" in network or bool((network.get("multus") or {}).get("default"))


def pod_interface_names(vmi: Object, reported: Collection[str] = ()) -> dict[str, str]:
    """The pod interface of each network by name, as KubeVirt reckons from the interfaces that Multus reports."""
    return names_in_pod(networks(vmi).values(), reported)


def network_statuses(pod: Object | None) -> dict[str, Object]:
    """What Multus reports of the pod in the annotation `network-status`, by interface."""
    annotations = (pod or {"metadata": {}})["metadata"].get("annotations") or {}
    entries = json.loads(annotations.get("k8s.v1.cni.cncf.io/network-status") or "[]")
    return {entry.get("interface", ""): entry for entry in entries}


def reported_interfaces(pod: Object | None) -> frozenset[str]:
    """The pod's interfaces that Multus reports."""
    return frozenset(network_statuses(pod))


def registrations(kubevirt: Object | None) -> dict[str, Object]:
    """The bindings registered in a KubeVirt CR."""
    configuration = ((kubevirt or {}).get("spec") or {}).get("configuration") or {}
    found: dict[str, Object] = (configuration.get("network") or {}).get("binding") or {}
    return found


def attached(registered: Registrations, attachments: Collection[str]) -> Registrations:
    """The registrations with only those values of domainAttachmentType that have an effect."""
    return {
        name: {key: value for key, value in binding.items() if key != "domainAttachmentType" or value in attachments}
        for name, binding in registered.items()
    }


def namespaced_name(reference: str, default_namespace: str) -> tuple[str, str]:
    """`name` or `namespace/name` as (namespace, name)."""
    namespace, slash, name = reference.partition("/")
    return (namespace, name) if slash else (default_namespace, reference)


def is_migratable(vmi: Object, registered: Registrations) -> bool:
    """Whether the networks allow live migration: only the pod network's interface counts."""
    interface = pod_network_interface(vmi)
    if interface is None:
        return True
    name = binding_name(interface)
    if name is not None:
        return registered.get(name, {}).get("migration") is not None
    if "bridge" in interface:
        return BRIDGE_MIGRATION in (vmi["metadata"].get("annotations") or {})
    return "masquerade" in interface or "passtBinding" in interface


def refreshed_interfaces(vmi: Object, registered: Registrations) -> list[str]:
    """Names of the interfaces whose link is refreshed after a migration."""
    return [
        interface["name"]
        for interface, name in plugin_interfaces(vmi)
        if ((registered.get(name) or {}).get("migration") or {}).get("method") == "link-refresh"
    ]
