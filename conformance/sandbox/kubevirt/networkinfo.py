"""`downwardAPI: device-info`: what Multus said of a VMI's secondary networks, in a file of compute and the sidecar.

The pod gets a volume of its annotation `kubevirt.io/network-info`, which virt-controller fills in once Multus has
reported.
Source: KubeVirt `pkg/network/downwardapi`; shapes as recorded on v1.9.0.
"""

from __future__ import annotations

import json
from typing import Final

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import spec
from conformance.sandbox.kubevirt.facts import VersionFacts

ANNOTATION: Final = "kubevirt.io/network-info"
_VOLUME: Final = "network-info-annotation"
_MOUNT: Final = {"name": _VOLUME, "mountPath": "/etc/podinfo"}

_STATUS_NAMES: Final = {"deviceInfo": "device-info"}


def add_volume(pod: Object, vmi: Object, registered: spec.Registrations) -> None:
    """Give a rendered pod the volume when a binding of the VMI asks for it, in compute and that binding's sidecar."""
    names = list(dict.fromkeys(name for _, name in spec.plugin_interfaces(vmi)))
    if not any(_wanted(name, registered) for name in names):
        return
    field = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{ANNOTATION}']"}
    items = [{"path": "network-info", "fieldRef": field}]
    pod["spec"]["volumes"].append({"name": _VOLUME, "downwardAPI": {"items": items, "defaultMode": 0o644}})
    sidecars = [name for name in names if registered[name].get("sidecarImage")]
    takers = {"compute", *(f"hook-sidecar-{i}" for i, name in enumerate(sidecars) if _wanted(name, registered))}
    for container in pod["spec"]["containers"]:
        if container["name"] in takers:
            container["volumeMounts"].append(dict(_MOUNT))


def annotation_of(pod: Object, vmi: Object, registered: spec.Registrations, facts: VersionFacts) -> str | None:
    """The annotation's value; None while Multus has not reported, or when nothing is to be told."""
    reported = spec.network_statuses(pod)
    names = spec.pod_interface_names(vmi, reported)
    interfaces = []
    for interface, name in spec.plugin_interfaces(vmi):
        network = spec.networks(vmi)[interface["name"]]
        if _wanted(name, registered) and not spec.is_primary(network):
            if (entry := reported.get(names[interface["name"]])) is None:
                return None
            if not facts.network_info_without_device and not entry.get("device-info"):
                continue
            interfaces.append({"network": interface["name"]} | _told(entry, facts))
    return json.dumps({"interfaces": interfaces}, separators=(",", ":")) if interfaces else None


def _wanted(name: str, registered: spec.Registrations) -> bool:
    return registered.get(name, {}).get("downwardAPI") == "device-info"


def _told(entry: Object, facts: VersionFacts) -> Object:
    fields = {name: _STATUS_NAMES.get(name, name) for name in facts.network_info_fields}
    return {ours: entry[theirs] for ours, theirs in fields.items() if entry.get(theirs)}
