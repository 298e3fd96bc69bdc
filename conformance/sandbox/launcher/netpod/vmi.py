"""What the set-up of a pod's network reads from a VMI."""

from collections.abc import Mapping
from typing import Final

from conformance.sandbox.launcher.errors import PodNetworkSetupError
from conformance.sandbox.launcher.podinterfaces import Attachment

Interface = Mapping[str, object]
Network = Mapping[str, object]
Registrations = Mapping[str, Mapping[str, object]]

_MAX_QUEUES = 256
_CORE: Final[Mapping[str, Attachment]] = {"bridge": "bridge", "masquerade": "masquerade", "passtBinding": "passt"}
_NOT_PROVIDED = ("sriov", "slirp", "macvtap", "passt")
_REGISTERED: Final[Mapping[object, Attachment]] = {"tap": "tap", "managedTap": "managedTap"}


def attachment_of(interface: Interface, registrations: Registrations) -> Attachment:
    """What core does for an interface. A registered string must match exactly; anything else means "none".

    Raises PodNetworkSetupError for an interface without a binding, or with a core one that is not provided.
    """
    binding = interface.get("binding")
    if isinstance(binding, dict):
        registered = registrations.get(str(binding.get("name")), {})
        return _REGISTERED.get(registered.get("domainAttachmentType"), "none")
    for method, attachment in _CORE.items():
        if interface.get(method) is not None:
            return attachment
    for method in _NOT_PROVIDED:
        if interface.get(method) is not None:
            raise PodNetworkSetupError(f"interface {interface['name']}: core binding {method} is not provided here")
    raise PodNetworkSetupError(f"undefined binding method: {dict(interface)}")


def interfaces_with_networks(vmi: Mapping[str, object]) -> list[tuple[Interface, Network]]:
    """Interfaces that are to exist, each with its network. PodNetworkSetupError if a network is missing."""
    spec = vmi.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    networks = {network["name"]: network for network in spec.get("networks") or []}
    pairs = []
    for interface in spec.get("domain", {}).get("devices", {}).get("interfaces") or []:
        if interface.get("state") == "absent":
            continue
        if interface["name"] not in networks:
            raise PodNetworkSetupError(f"failed to find network {interface['name']}")
        pairs.append((interface, networks[interface["name"]]))
    return pairs


def queue_count(vmi: Mapping[str, object], interface: Interface) -> int:
    """One queue a virtual CPU when the VMI asks for multi-queue and the model is virtio; else 0."""
    spec = vmi.get("spec")
    domain = spec.get("domain", {}) if isinstance(spec, dict) else {}
    if not domain.get("devices", {}).get("networkInterfaceMultiqueue") or interface.get("model", "virtio") != "virtio":
        return 0
    cpu = domain.get("cpu") or {}
    return min(_MAX_QUEUES, int(cpu.get("cores", 1)) * int(cpu.get("sockets", 1)) * int(cpu.get("threads", 1)))


def subdomain_of(vmi: Mapping[str, object]) -> str:
    """The VMI's subdomain, empty without one."""
    spec = vmi.get("spec")
    return str(spec.get("subdomain") or "") if isinstance(spec, dict) else ""
