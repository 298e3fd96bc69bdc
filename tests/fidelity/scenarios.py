"""What the recorded scenarios need of a cluster: images, CNI plugins, networks, and a guest that behaves the same.

The recorded guest served HTTP on port 80, gave a root shell on its console and ignored the ACPI power button; here a
cloud-init disk makes the sandbox's guest do so. That disk is the only thing added to a manifest.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tests.fidelity.recording import Json, Object, dig, items, mapping, objects, text

HERE: Final = Path(__file__).parent
FIXTURES: Final = HERE.parents[1] / "fixtures" / "plugins"
GUEST_IMAGE: Final = "registry.local/h2guest-disk:1"
SIDECAR_PROCESS: Final = "/hook-sidecar"
_SIDECAR_LAYERS: Final = (HERE / "plugins" / "hook_sidecar",)
_GUEST_SETUP: Final = """#cloud-config
runcmd:
  - sed -i 's|^ttyS0.*|ttyS0::respawn:/bin/sh|' /etc/inittab && kill -HUP 1 && pkill getty
  - mkdir -p /tmp/www && echo recorded >/tmp/www/index.html && httpd -p 80 -h /tmp/www
  - pkill -f mini/acpi; pkill -f 'head -c 24'; true
"""


@dataclass(frozen=True)
class Sidecar:
    """An image reference of the recordings and how our sidecar behaves behind it."""

    image: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> tuple[str, ...]:
        """What the container runs."""
        return (SIDECAR_PROCESS, *self.arguments)

    @property
    def layers(self) -> tuple[Path, ...]:
        """Directories laid over the base root."""
        return _SIDECAR_LAYERS


SIDECARS: Final = (
    Sidecar("registry.local/kubevirt/network-passt-binding:v1.9.0", ("passt",)),
    Sidecar("registry.local/kubevirt/network-slirp-binding:v1.9.0", ("slirp",)),
    *(
        Sidecar(f"registry.local/h6/sc-{name}:1", (name,))
        for name in ("add", "noalias", "two", "v2", "dup", "err", "badxml", "slow", "exit", "nosock")
    ),
)
CNI_PLUGINS: Final = (
    ("cni-passt-binding-plugin", FIXTURES / "passt_cni" / "cni_passt_binding_plugin.py"),
    ("kubevirt-passt-binding", FIXTURES / "passt_cni" / "cni_passt_binding_plugin.py"),
    ("h6-fail", HERE / "plugins" / "h6_fail.py"),
    ("h6-tap", HERE / "plugins" / "h6_tap.py"),
)
NETWORKS: Final = HERE / "manifests" / "networks.yaml"

PAUSES: Final = {
    "cancel-migration": 0.0,  # or the sandbox has finished what is to be cancelled early
    "binding-nad-missing": 26.0,
    "cni-binary-missing": 31.0,
    "cni-fails": 31.0,
    "migration-target-fails": 26.0,
    "ondefine-slow": 70.0,
    "network-nad-missing": 9.0,
    "secondary-noalias": 20.0,
    "sidecar-image-missing": 36.0,
    "unregistered-then-registered": 9.0,
}
"""The longest pause in seconds, where it is what was to be seen: retries of the kubelet, back-off, nothing at all."""
PAUSE_SECONDS: Final = 6.0
"""Every other pause is cut to this."""
MOMENTS: Final = {
    "cancel-migration": {"3 delete VirtualMachineInstanceMigration": "m1 Scheduling"},
    "deregister": {"5 re-register": "False", "6 patch KubeVirt CR network.binding": "m1 PreparingTarget"},
}
"""What a step met in the recorded cluster, waited for before it here: the sandbox is quicker."""
AT_ONCE: Final = {
    "deregister": (
        "LiveMigratable True again",
        "6 patch KubeVirt CR network.binding",
        "7 delete VirtualMachineInstance",
    ),
}
"""Steps and waits without the recorded pause before them: what they are to meet lasts less long here."""
DOMAIN_BEFORE: Final = {"hotplug-nic": "change model of the plugin NIC"}
"""The step before which the domain was looked at, where that is not the second step."""


def networks() -> list[Object]:
    """The NetworkAttachmentDefinitions of namespace default, as in the recorded cluster."""
    return [document for document in yaml.safe_load_all(NETWORKS.read_text(encoding="utf-8")) if document]


def adapted(manifest: Object) -> Object:
    """The manifest with the cloud-init disk, if it describes a VM with the recorded guest."""
    result = copy.deepcopy(manifest)
    template = result.get("kind") == "VirtualMachine"
    spec = mapping(dig(result, "spec", "template", "spec") if template else result.get("spec"))
    if not any(text(dig(volume, "containerDisk", "image")) == GUEST_IMAGE for volume in objects(spec.get("volumes"))):
        return result
    disks, volumes = items(dig(spec, "domain", "devices", "disks")), items(spec.get("volumes"))
    disk: Json = {"name": "seed", "disk": {"bus": "virtio"}}
    volume: Json = {"name": "seed", "cloudInitNoCloud": {"userData": _GUEST_SETUP}}
    disks.append(disk)
    volumes.append(volume)
    return result
