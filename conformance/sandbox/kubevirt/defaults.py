"""What KubeVirt's mutating webhooks fill in, as recorded on v1.9.0; by version as the table of facts has it."""

from __future__ import annotations

import uuid

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import migrations, vmis
from conformance.sandbox.kubevirt.conditions import enter_phase
from conformance.sandbox.kubevirt.facts import VersionFacts

_TOPOLOGY = "kubevirt.io/pci-topology-version"


def default_vmi(vmi: Object, facts: VersionFacts) -> None:
    """Fill in a VMI at creation: finalizer, topology, pod network, phase."""
    meta = vmi["metadata"]
    finalizers = meta.setdefault("finalizers", [])
    if vmis.FINALIZER not in finalizers:
        finalizers.append(vmis.FINALIZER)
    _default_topology(meta, facts)
    body = vmi["spec"]
    default_vmi_spec(body)
    body.setdefault("evictionStrategy", "None")
    domain = body["domain"]
    domain["cpu"] = {"cores": 1, "sockets": 1, "threads": 1, "model": "host-model", "maxSockets": 4} | (
        domain.get("cpu") or {}
    )
    requests = (domain.get("resources") or {}).get("requests") or {}
    if memory := (domain.get("memory") or {}).get("guest") or requests.get("memory"):
        domain.setdefault("memory", {}).setdefault("guest", memory)
        domain.setdefault("resources", {}).setdefault("requests", {}).setdefault("memory", memory)
    domain.setdefault("features", {}).setdefault("acpi", {}).setdefault("enabled", True)
    domain.setdefault("firmware", {}).setdefault("uuid", str(uuid.uuid4()))
    _default_status(vmi)


def default_vmi_spec(body: Object) -> None:
    """What a VM's template gets as well: architecture, machine, the pod network when no interface is named."""
    domain = body.setdefault("domain", {})
    devices = domain.setdefault("devices", {})
    body.setdefault("architecture", "amd64")
    domain.setdefault("machine", {}).setdefault("type", "q35")
    for interface in devices.get("interfaces") or []:
        if interface.get("binding") == {}:
            interface["binding"] = {"name": ""}
    if not devices.get("interfaces") and not body.get("networks") and devices.get("autoattachPodInterface", True):
        devices["interfaces"] = [{"name": "default", "bridge": {}}]
        body["networks"] = [{"name": "default", "pod": {}}]
    for part, name in ((devices, "interfaces"), (body, "networks")):
        if part.get(name) == []:  # KubeVirt writes no empty lists
            del part[name]
    for volume in body.get("volumes") or []:
        if disk := volume.get("containerDisk"):
            tag = disk["image"].rpartition(":")[2]
            untagged = "/" in tag or tag == disk["image"] or tag == "latest"
            disk.setdefault("imagePullPolicy", "Always" if untagged else "IfNotPresent")


def _default_topology(meta: Object, facts: VersionFacts) -> None:
    if _TOPOLOGY in facts.launcher_annotations:
        meta.setdefault("annotations", {}).setdefault(_TOPOLOGY, "v3")


def _default_status(vmi: Object) -> None:
    domain = vmi["spec"]["domain"]
    topology = {name: domain["cpu"][name] for name in ("cores", "sockets", "threads")}
    vmi["status"] = {"currentCPUTopology": topology, "guestOSInfo": {}, "runtimeUser": 107}
    if guest := (domain.get("memory") or {}).get("guest"):
        vmi["status"]["memory"] = dict.fromkeys(("guestAtBoot", "guestCurrent", "guestRequested"), guest)
    enter_phase(vmi, "Pending")


def default_vm(vm: Object, facts: VersionFacts) -> None:
    """Fill in a VM at creation."""
    template = vm["spec"]["template"]
    default_vmi_spec(template["spec"])
    _default_topology(template.setdefault("metadata", {}), facts)
    template["spec"]["domain"].setdefault("firmware", {}).setdefault("uuid", str(uuid.uuid4()))


def default_migration(migration: Object) -> None:
    """Fill in a VMIM at creation: finalizer, and the label that names its VMI."""
    meta = migration["metadata"]
    finalizers = meta.setdefault("finalizers", [])
    if migrations.FINALIZER not in finalizers:
        finalizers.append(migrations.FINALIZER)
    meta.setdefault("labels", {})["kubevirt.io/vmi-name"] = migration["spec"].get("vmiName", "")
