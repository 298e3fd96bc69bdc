"""KubeVirt's objects: builders for the manifests a check needs, and readers for what a VMI's status says."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from conformance.kube.manifest import MIGRATION, VM, VMI, Kind, Manifest, dig, is_true
from conformance.model import CoreBinding


@dataclass(frozen=True)
class Port:
    """One entry of ``interfaces[].ports``."""

    port: int
    protocol: Literal["TCP", "UDP"] = "TCP"
    name: str = ""

    def manifest(self) -> Manifest:
        return _without_empty({"name": self.name, "port": self.port, "protocol": self.protocol})


@dataclass(frozen=True)
class NicSpec:
    """One interface and its network. ``binding`` is a registered name, or ``core`` a binding method of KubeVirt itself.

    ``network`` empty means the pod network, else the NetworkAttachmentDefinition ``name`` or ``namespace/name``.
    """

    name: str = "default"
    binding: str = ""
    core: CoreBinding | None = None
    network: str = ""
    mac: str = ""
    model: str = ""
    pci_address: str = ""
    acpi_index: int = 0
    state: Literal["", "up", "down", "absent"] = ""
    ports: tuple[Port, ...] = ()
    dhcp_options: Manifest = field(default_factory=dict)

    def interface(self) -> Manifest:
        chosen: Manifest = {self.core.value: {}} if self.core else {"binding": {"name": self.binding}}
        optional = {
            "macAddress": self.mac,
            "model": self.model,
            "pciAddress": self.pci_address,
            "acpiIndex": self.acpi_index,
            "state": self.state,
            "ports": [port.manifest() for port in self.ports],
            "dhcpOptions": self.dhcp_options,
        }
        return {"name": self.name, **chosen, **_without_empty(optional)}

    def source(self) -> Manifest:
        return {"name": self.name, **({"multus": {"networkName": self.network}} if self.network else {"pod": {}})}


@dataclass(frozen=True)
class VmiSpec:
    """A virtual machine instance. ``memory`` as a quantity; ``node`` pins it to one node (empty: any), and
    ``node_selector`` are labels that its node must have.

    ``user_data`` and ``network_data`` are cloud-init's (NoCloud; without the latter the image does as it likes, which
    is DHCP), ``grace_seconds`` is KubeVirt's terminationGracePeriodSeconds;
    ``live_migrate_on_eviction`` sets ``evictionStrategy: LiveMigrate``, ``multiqueue`` networkInterfaceMultiqueue.
    """

    name: str
    namespace: str
    nics: tuple[NicSpec, ...]
    image: str
    user_data: str
    memory: str = "192Mi"
    cpus: int = 1
    network_data: str = ""
    node: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: int = 2
    live_migrate_on_eviction: bool = False
    multiqueue: bool = False
    subdomain: str = ""
    readiness_probe: Manifest = field(default_factory=dict)
    liveness_probe: Manifest = field(default_factory=dict)

    def spec(self) -> Manifest:
        """The VMI spec alone (also a VM's ``template.spec``)."""
        disks = [{"name": name, "disk": {"bus": "virtio"}} for name in ("containerdisk", "cloudinit")]
        seed = {"userDataBase64": _base64(self.user_data), "networkDataBase64": _base64(self.network_data)}
        optional = {
            "nodeSelector": {**self.node_selector, **({"kubernetes.io/hostname": self.node} if self.node else {})},
            "evictionStrategy": "LiveMigrate" if self.live_migrate_on_eviction else "",
            "subdomain": self.subdomain,
            "readinessProbe": self.readiness_probe,
            "livenessProbe": self.liveness_probe,
        }
        return {
            "terminationGracePeriodSeconds": self.grace_seconds,
            "domain": {
                "cpu": {"cores": self.cpus},
                "resources": {"requests": {"memory": self.memory}},
                "devices": {
                    "disks": disks,
                    "interfaces": [nic.interface() for nic in self.nics],
                    "rng": {},
                    **({"networkInterfaceMultiqueue": True} if self.multiqueue else {}),
                },
            },
            "networks": [nic.source() for nic in self.nics],
            "volumes": [
                {"name": "containerdisk", "containerDisk": {"image": self.image}},
                {"name": "cloudinit", "cloudInitNoCloud": _without_empty(seed)},
            ],
            **_without_empty(optional),
        }

    def vmi(self) -> Manifest:
        """The VirtualMachineInstance manifest."""
        return {**_head(VMI, self.name, self.namespace, self.labels, self.annotations), "spec": self.spec()}

    def vm(self, run_strategy: Literal["Always", "Halted", "RerunOnFailure", "Manual"] = "Always") -> Manifest:
        """The VirtualMachine manifest around it."""
        template = {"metadata": _without_empty({"labels": dict(self.labels), "annotations": dict(self.annotations)})}
        return {
            **_head(VM, self.name, self.namespace, self.labels, {}),
            "spec": {"runStrategy": run_strategy, "template": {**template, "spec": self.spec()}},
        }


def migration_manifest(vmi: str, namespace: str, name: str = "", node: str = "") -> Manifest:
    """A VirtualMachineInstanceMigration of ``vmi``; without a name the server makes one from ``<vmi>-``.

    ``node`` is where it is to go (``addedNodeSelector``); without one the scheduler chooses.
    """
    manifest = _head(MIGRATION, name, namespace, {}, {})
    if not name:
        manifest["metadata"] = {"generateName": f"{vmi}-", "namespace": namespace}
    chosen = {"addedNodeSelector": {"kubernetes.io/hostname": node}} if node else {}
    return {**manifest, "spec": {"vmiName": vmi, **chosen}}


@dataclass(frozen=True)
class InterfaceStatus:
    """One entry of ``VMI.status.interfaces``; empty fields are absent ones."""

    name: str
    mac: str
    addresses: tuple[str, ...]
    info_source: tuple[str, ...]
    pod_interface: str
    guest_interface: str
    link_state: str
    queue_count: int

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> InterfaceStatus:
        first = [entry["ipAddress"]] if entry.get("ipAddress") else []
        return cls(
            name=entry.get("name", ""),
            mac=entry.get("mac", ""),
            addresses=tuple(entry.get("ipAddresses") or first),
            info_source=tuple(s.strip() for s in entry.get("infoSource", "").split(",") if s.strip()),
            pod_interface=entry.get("podInterfaceName", ""),
            guest_interface=entry.get("interfaceName", ""),
            link_state=entry.get("linkState", ""),
            queue_count=int(entry.get("queueCount", 0)),
        )


@dataclass(frozen=True)
class VmiView:
    """What the status of a VMI says, read once; ``manifest`` is the whole object."""

    manifest: Manifest
    name: str
    namespace: str
    uid: str
    phase: str
    node: str
    interfaces: tuple[InterfaceStatus, ...]
    active_pods: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Manifest) -> VmiView:
        return cls(
            manifest=manifest,
            name=manifest["metadata"]["name"],
            namespace=manifest["metadata"]["namespace"],
            uid=manifest["metadata"].get("uid", ""),
            phase=dig(manifest, "status", "phase", default=""),
            node=dig(manifest, "status", "nodeName", default=""),
            interfaces=tuple(InterfaceStatus.of(entry) for entry in dig(manifest, "status", "interfaces", default=[])),
            active_pods=dict(dig(manifest, "status", "activePods", default={})),
        )

    @property
    def ready(self) -> bool:
        return self.phase == "Running" and is_true(self.manifest, "Ready")

    @property
    def migratable(self) -> bool:
        """The condition LiveMigratable."""
        return is_true(self.manifest, "LiveMigratable")

    def interface(self, name: str) -> InterfaceStatus | None:
        """The entry with that logical name (a network of the spec)."""
        return next((entry for entry in self.interfaces if entry.name == name), None)

    def address(self, name: str = "default") -> str:
        """The first address of that interface, or an empty string."""
        entry = self.interface(name)
        return entry.addresses[0] if entry and entry.addresses else ""


def _head(kind: Kind, name: str, namespace: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Manifest:
    optional = _without_empty({"labels": dict(labels), "annotations": dict(annotations)})
    meta = {"name": name, "namespace": namespace, **optional}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _without_empty(fields: Mapping[str, Any]) -> Manifest:
    return {key: value for key, value in fields.items() if value not in ("", 0, [], {}, None)}
