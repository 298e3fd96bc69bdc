"""The network-info of a launcher pod: what a sidecar learns of its networks through the downward API.

Sources: KubeVirt `pkg/network/{downwardapi,pod/annotations}`, `pkg/virt-controller/services/rendervolumes.go`; recorded
v1.9.0 (devinfo).
"""

from __future__ import annotations

import json
from typing import Any, Final

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import spec
from conformance.sandbox.kubevirt.facts import VersionFacts

DEVICE_INFO: Final = "device-info"
NETWORK_INFO_ANNOTATION: Final = "kubevirt.io/network-info"
NETWORK_STATUS_ANNOTATION: Final = "k8s.v1.cni.cncf.io/network-status"
_VOLUME: Final = "network-info-annotation"
NETWORK_INFO_MOUNT: Final[Object] = {"name": _VOLUME, "mountPath": "/etc/podinfo"}
NETWORK_INFO_VOLUME: Final[Object] = {
    "name": _VOLUME,
    "downwardAPI": {
        "items": [
            {
                "path": "network-info",
                "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{NETWORK_INFO_ANNOTATION}']"},
            }
        ]
    },
}
_STATUS_KEYS: Final = {"deviceInfo": "device-info", "mac": "mac", "mtu": "mtu"}


def wants_network_info(vmi: Object, registered: spec.Registrations) -> bool:
    """Whether one of the VMI's bindings asks for it."""
    return bool(_informed(vmi, registered))


def network_info(vmi: Object, pod: Object, registered: spec.Registrations, facts: VersionFacts) -> str | None:
    """The annotation's value, from the pod's network-status; None while there is nothing to say."""
    status = (pod["metadata"].get("annotations") or {}).get(NETWORK_STATUS_ANNOTATION)
    if status is None:
        return None
    by_interface = {entry.get("interface"): entry for entry in json.loads(status)}
    networks, entries = spec.networks(vmi), []
    for name in sorted(_informed(vmi, registered)):
        seen = by_interface.get(spec.pod_interface_name(networks[name]))
        if seen is None or not (facts.network_info_without_device or seen.get("device-info")):
            continue
        entry: dict[str, Any] = {"network": name}
        entry |= {key: seen[_STATUS_KEYS[key]] for key in facts.network_info_fields if seen.get(_STATUS_KEYS[key])}
        entries.append(entry)
    return json.dumps({"interfaces": entries}, separators=(",", ":")) if entries else None


def _informed(vmi: Object, registered: spec.Registrations) -> list[str]:
    """Names of the networks whose binding asks for device-info."""
    return [
        interface["name"]
        for interface, name in spec.plugin_interfaces(vmi)
        if (registered.get(name) or {}).get("downwardAPI") == DEVICE_INFO
    ]
