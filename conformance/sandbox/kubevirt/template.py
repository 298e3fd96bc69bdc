"""Rendering the virt-launcher pod of a VMI.

Sources: KubeVirt `pkg/virt-controller/services`, `pkg/network/{netbinding,multus,resources}`;
shapes as recorded on v1.9.0.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from conformance.sandbox.client import Object
from conformance.sandbox.kubevirt import networkinfo, spec
from conformance.sandbox.kubevirt.facts import VersionFacts
from conformance.sandbox.kubevirt.probes import probes
from conformance.sandbox.kubevirt.resources import (
    OVERHEAD_ANNOTATION,
    compute_resources,
    disk_resources,
    overhead_bytes,
    sidecar_resources,
)

NETWORKS_ANNOTATION: Final = "k8s.v1.cni.cncf.io/networks"
DEFAULT_NETWORK_ANNOTATION: Final = "v1.multus-cni.io/default-network"
RESOURCE_ANNOTATION: Final = "k8s.v1.cni.cncf.io/resourceName"
VM_GENERATION: Final = "kubevirt.io/vm-generation"
HOOK_SOCKETS: Final = "/var/run/kubevirt-hooks"
_RUN: Final = "/var/run/kubevirt"
_PRIVATE: Final = "/var/run/kubevirt-private"
_EPHEMERAL: Final = "/var/run/kubevirt-ephemeral-disks"
_GRACE_MARGIN_SECONDS: Final = 30
_LAUNCHER_MARGIN_SECONDS: Final = 15
_XDG: Final = [
    {"name": "XDG_CACHE_HOME", "value": _PRIVATE},
    {"name": "XDG_CONFIG_HOME", "value": _PRIVATE},
    {"name": "XDG_RUNTIME_DIR", "value": "/var/run"},
]

NadLookup = Callable[[str, str], Awaitable[Object | None]]


class RenderError(Exception):
    """The pod cannot be rendered; the message is what follows `failed to render launch manifest: `."""


@dataclass(frozen=True)
class TemplateService:
    """Renders launcher pods for one KubeVirt version."""

    facts: VersionFacts
    launcher_image: str
    lookup_nad: NadLookup

    async def render(self, vmi: Object, registered: spec.Registrations) -> Object:
        """The Pod for `vmi`; `RenderError` with KubeVirt's text."""
        resources = await self._network_resources(vmi)
        sidecars = self._sidecars(vmi, registered)
        overhead = overhead_bytes(vmi, registered, self.facts)
        meta = vmi["metadata"]
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": f"virt-launcher-{meta['name']}-",
                "namespace": meta["namespace"],
                "labels": self._labels(vmi),
                "annotations": self._annotations(vmi, registered, overhead),
                "ownerReferences": [_owner(vmi)],
            },
            "spec": {
                "volumes": _volumes(with_sidecars=bool(sidecars)),
                "initContainers": self._init_containers(vmi),
                "containers": [
                    self._compute(vmi, len(sidecars), compute_resources(vmi, overhead, resources)),
                    *self._disks(vmi, init=False),
                    *sidecars,
                ],
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": _grace(vmi) + _GRACE_MARGIN_SECONDS,
                "dnsPolicy": "ClusterFirst",
                "nodeSelector": {
                    "kubernetes.io/arch": "amd64",
                    "kubevirt.io/schedulable": "true",
                    "machine-type.node.kubevirt.io/q35": "true",
                    **(vmi["spec"].get("nodeSelector") or {}),
                },
                "affinity": vmi["spec"].get("affinity") or {},
                "automountServiceAccountToken": False,
                "securityContext": {"runAsUser": 107, "runAsGroup": 107, "runAsNonRoot": True, "fsGroup": 107},
                "hostname": vmi["spec"].get("hostname") or meta["name"][:63],
                **({"subdomain": subdomain} if (subdomain := vmi["spec"].get("subdomain")) else {}),
                "tolerations": vmi["spec"].get("tolerations") or [],
                "readinessGates": [{"conditionType": "kubevirt.io/virtual-machine-unpaused"}],
                "enableServiceLinks": False,
            },
            "status": {},
        }
        networkinfo.add_volume(pod, vmi, registered)
        return pod

    async def render_target(
        self,
        vmi: Object,
        registered: spec.Registrations,
        migration: Object,
        source: Object | None,
        *,
        keep_names: bool,
    ) -> Object:
        """The pod that a migration of `vmi` moves to: never on the source's node, with the very disks of its pod.

        `keep_names`: secondary networks that the source has by the older naming scheme keep those names.
        """
        pod = await self.render(vmi, registered)
        _pin_disks(pod, source or {})
        meta, job = pod["metadata"], migration["metadata"]
        if keep_names:
            names = spec.pod_interface_names(vmi, spec.reported_interfaces(source))
            meta["annotations"] |= network_annotations(vmi, registered, names)
        meta["annotations"] |= {"kubevirt.io/migrationJobName": job["name"], "kubevirt.io/nonroot": "true"}
        meta["labels"] |= {
            "kubevirt.io/migrationJobUID": job["uid"],
            "kubevirt.io/nodeName": vmi["status"]["nodeName"],
        }
        apart = {
            "labelSelector": {"matchLabels": {"kubevirt.io/created-by": vmi["metadata"]["uid"]}},
            "topologyKey": "kubernetes.io/hostname",
        }
        pod["spec"]["nodeSelector"] |= migration["spec"].get("addedNodeSelector") or {}
        pod["spec"]["affinity"] = {
            **pod["spec"]["affinity"],
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]},
        }
        return pod

    async def _network_resources(self, vmi: Object) -> Counter[str]:
        """The device resources that the networks' NADs name, each with how many; a NAD that is missing is an error."""
        resources: Counter[str] = Counter()
        for network in spec.networks(vmi).values():
            if multus := network.get("multus"):
                place = spec.namespaced_name(multus["networkName"], vmi["metadata"]["namespace"])
                definition = await self.lookup_nad(*place)
                if definition is None:
                    raise RenderError(f"failed to locate network attachment definition {place[0]}/{place[1]}")
                if resource := (definition["metadata"].get("annotations") or {}).get(RESOURCE_ANNOTATION):
                    resources[resource] += 1
        return resources

    def _sidecars(self, vmi: Object, registered: spec.Registrations) -> list[Object]:
        """One hook sidecar per distinct binding name that registers an image."""
        containers: list[Object] = []
        for name in dict.fromkeys(name for _, name in spec.plugin_interfaces(vmi)):
            if name not in registered:
                raise RenderError(self.facts.unknown_binding.format(name=name))
            if registered[name].get("sidecarImage"):
                containers.append(self._sidecar(vmi, f"hook-sidecar-{len(containers)}", name, registered[name]))
        return containers

    def _sidecar(self, vmi: Object, name: str, binding: str, registration: Mapping[str, Any]) -> Object:
        mount = {"name": "hook-sidecar-sockets", "mountPath": HOOK_SOCKETS}
        env = [*_XDG]
        if self.facts.sidecar_sub_path:
            mount["subPath"] = name
        if self.facts.sidecar_container_name:
            env.append({"name": "CONTAINER_NAME", "value": name})
        if self.facts.sidecar_plugin_name:
            env.append({"name": "NETWORK_BINDING_PLUGIN_NAME", "value": binding})
        return {
            "name": name,
            "image": registration["sidecarImage"],
            "env": env,
            "resources": sidecar_resources(vmi),
            "volumeMounts": [mount],
            "imagePullPolicy": "IfNotPresent",
            "securityContext": _security_context(),
        }

    def _labels(self, vmi: Object) -> dict[str, str]:
        meta = vmi["metadata"]
        return {
            **(meta.get("labels") or {}),
            "kubevirt.io": "virt-launcher",
            "kubevirt.io/created-by": meta["uid"],
            "vm.kubevirt.io/name": meta["name"],
            "vmi.kubevirt.io/id": meta["name"],
        }

    def _annotations(self, vmi: Object, registered: spec.Registrations, overhead: int) -> dict[str, str]:
        annotations = {
            "kubectl.kubernetes.io/default-container": "compute",
            "kubevirt.io/domain": vmi["metadata"]["name"],
            "kubevirt.io/migrationTransportUnix": "true",
        }
        later = {
            OVERHEAD_ANNOTATION: str(overhead),
            "kubevirt.io/pci-topology-version": "v3",
            "descheduler.alpha.kubernetes.io/request-evict-only": "",
        }
        annotations |= {name: later[name] for name in self.facts.launcher_annotations}
        generation = (vmi["metadata"].get("annotations") or {}).get(VM_GENERATION)
        annotations |= {VM_GENERATION: generation} if generation else {}
        return annotations | network_annotations(vmi, registered)

    def _init_containers(self, vmi: Object) -> list[Object]:
        copy = {
            "name": "container-disk-binary",
            "image": self.launcher_image,
            "command": ["/usr/bin/cp", "--preserve=all", "/usr/bin/container-disk", "/init/usr/bin/container-disk"],
            "env": [*_XDG],
            "resources": {
                "limits": {"cpu": "100m", "memory": "40M"},
                "requests": {"cpu": "10m", "memory": "1M"},
            },
            "volumeMounts": [{"name": "virt-bin-share-dir", "mountPath": "/init/usr/bin"}],
            "imagePullPolicy": "IfNotPresent",
            "securityContext": _security_context(),
        }
        disks = self._disks(vmi, init=True)
        return [copy, *disks] if disks else []

    def _disks(self, vmi: Object, *, init: bool) -> list[Object]:
        """One `volume<name>` container per containerDisk, as init container and as running one."""
        containers = []
        for index, volume in enumerate(v for v in vmi["spec"].get("volumes") or [] if "containerDisk" in v):
            data = f"{_EPHEMERAL}/container-disk-data/{vmi['metadata']['uid']}"
            context = _security_context()
            del context["runAsGroup"]
            containers.append(
                {
                    "name": f"volume{volume['name']}" + ("-init" if init else ""),
                    "image": volume["containerDisk"]["image"],
                    "command": ["/usr/bin/container-disk"],
                    "args": ["--no-op"] if init else ["--copy-path", f"{data}/disk_{index}"],
                    "resources": disk_resources(vmi),
                    "volumeMounts": [
                        {"name": "container-disks", "mountPath": data},
                        {"name": "virt-bin-share-dir", "mountPath": "/usr/bin"},
                    ],
                    "imagePullPolicy": volume["containerDisk"].get("imagePullPolicy", "IfNotPresent"),
                    "securityContext": context,
                }
            )
        return containers

    def _compute(self, vmi: Object, sidecars: int, resources: Object) -> Object:
        meta = vmi["metadata"]
        command = ["/usr/bin/virt-launcher-monitor", "--qemu-timeout", "240s", "--name", meta["name"]]
        command += ["--uid", meta["uid"], "--namespace", meta["namespace"]]
        command += ["--kubevirt-share-dir", _RUN, "--ephemeral-disk-dir", _EPHEMERAL]
        command += ["--container-disk-dir", f"{_RUN}/container-disks"]
        command += ["--grace-period-seconds", str(_grace(vmi) + _LAUNCHER_MARGIN_SECONDS)]
        command += ["--hook-sidecars", str(sidecars), "--run-as-nonroot", "--allow-emulation"]
        context = _security_context()
        context["capabilities"] = {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}
        container: Object = {
            "name": "compute",
            "image": self.launcher_image,
            "command": command,
            "env": [
                *_XDG,
                {
                    "name": "POD_NAME",
                    "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
                },
            ],
            "resources": resources,
            "volumeMounts": _compute_mounts(with_sidecars=sidecars > 0),
            "imagePullPolicy": "IfNotPresent",
            "securityContext": context,
        }
        if ports := _container_ports(vmi):
            container["ports"] = ports
        return container | probes(vmi)


def _pin_disks(pod: Object, source: Object) -> None:
    """Name the containerDisks by the digests that the source runs: a tag may have moved on."""
    statuses = source.get("status", {}).get("containerStatuses") or []
    running = {status["name"]: status.get("imageID") for status in statuses}
    for container in (*pod["spec"]["containers"], *pod["spec"]["initContainers"]):
        name = container["name"].removesuffix("-init")
        if name.startswith("volume") and running.get(name):
            container["image"] = running[name]


def network_annotations(
    vmi: Object, registered: spec.Registrations, names: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The Multus annotations: each secondary network, then the NAD of its binding; nothing for a bare pod network.

    `names` are the pod interfaces by network; None: by the hashed scheme, as in every new pod.
    """
    names = spec.pod_interface_names(vmi) if names is None else names
    by_network = {interface["name"]: interface for interface in spec.interfaces(vmi)}
    namespace = vmi["metadata"]["namespace"]
    elements: list[Object] = []
    annotations: dict[str, str] = {}
    for name, network in spec.networks(vmi).items():
        interface = by_network.get(name, {})
        multus = network.get("multus")
        if multus and spec.is_primary(network):
            place = spec.namespaced_name(multus["networkName"], namespace)
            annotations[DEFAULT_NETWORK_ANNOTATION] = "/".join(place)
        elif multus:
            nad_namespace, nad = spec.namespaced_name(multus["networkName"], namespace)
            element = {"name": nad, "namespace": nad_namespace, "interface": names[name]}
            if mac := interface.get("macAddress"):
                element["mac"] = mac
            elements.append(element)
        binding = registered.get(spec.binding_name(interface) or "", {})
        if reference := binding.get("networkAttachmentDefinition"):
            nad_namespace, nad = spec.namespaced_name(reference, namespace)
            elements.append({"name": nad, "namespace": nad_namespace, "cni-args": {"logicNetworkName": name}})
    if elements:
        annotations[NETWORKS_ANNOTATION] = json.dumps(elements, separators=(",", ":"))
    return annotations


def _grace(vmi: Object) -> int:
    return int(vmi["spec"].get("terminationGracePeriodSeconds", 30))


def _owner(vmi: Object) -> Object:
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": vmi["metadata"]["name"],
        "uid": vmi["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _security_context() -> Object:
    return {
        "capabilities": {"drop": ["ALL"]},
        "runAsUser": 107,
        "runAsGroup": 107,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
    }


def _container_ports(vmi: Object) -> list[Object]:
    return [
        {"containerPort": port["port"], "protocol": port.get("protocol", "TCP")}
        | ({"name": port["name"]} if port.get("name") else {})
        for interface in spec.interfaces(vmi)
        for port in interface.get("ports") or []
    ]


def _volumes(*, with_sidecars: bool) -> list[Object]:
    names = ["private", "public", "sockets", "virt-bin-share-dir", "libvirt-runtime", "ephemeral-disks"]
    names += ["container-disks", *(["hook-sidecar-sockets"] if with_sidecars else []), "hotplug-disks"]
    return [{"name": name, "emptyDir": {}} for name in names]


def _compute_mounts(*, with_sidecars: bool) -> list[Object]:
    mounts = {
        "private": _PRIVATE,
        "public": _RUN,
        "ephemeral-disks": _EPHEMERAL,
        "libvirt-runtime": "/var/run/libvirt",
        "sockets": f"{_RUN}/sockets",
        "container-disks": f"{_RUN}/container-disks",
        "hook-sidecar-sockets": HOOK_SOCKETS,
        "hotplug-disks": f"{_RUN}/hotplug-disks",
    }
    wanted = {name: path for name, path in mounts.items() if with_sidecars or name != "hook-sidecar-sockets"}
    return [
        {"name": name, "mountPath": path}
        | ({"mountPropagation": "HostToContainer"} if name in ("container-disks", "hotplug-disks") else {})
        for name, path in wanted.items()
    ]
