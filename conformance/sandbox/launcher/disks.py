"""The disks of a VM: the root disk as a layer of its own over the guest's image, the cloud-init disk, their XML."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conformance.sandbox.guests import GuestImage
from conformance.sandbox.launcher import compute
from conformance.sandbox.launcher.errors import DomainError, LibvirtError
from conformance.sandbox.launcher.libvirt import Libvirt

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PREFIXES = {"virtio": "vd", "sata": "sd", "scsi": "sd", "usb": "sd"}


@dataclass(frozen=True)
class VolumeFile:
    """The file behind one volume, as a path in the compute container. `base` is what a layer lies over."""

    volume: str
    path: str
    format: str = "raw"
    read_only: bool = False
    base: tuple[str, str] | None = None
    """Path and format."""


@dataclass(frozen=True)
class BootFiles:
    """What a guest is booted from directly, as paths inside the compute container."""

    kernel: str
    initramfs: str
    arguments: str


def boot_files(guest: GuestImage) -> BootFiles | None:
    """Kernel and initramfs of a guest, None for one that boots by its own boot loader."""
    if guest.kernel is None or guest.initramfs is None:
        return None
    folder = f"{compute.GUESTS}/{guest.digest}"
    arguments = " ".join(guest.kernel_arguments)
    return BootFiles(f"{folder}/{guest.kernel.name}", f"{folder}/{guest.initramfs.name}", arguments)


def container_disk(vmi: Mapping[str, object]) -> tuple[str, str] | None:
    """Volume name and image reference of the VMI's first containerDisk."""
    spec = vmi.get("spec")
    volumes = spec.get("volumes") if isinstance(spec, dict) else None
    for volume in volumes if isinstance(volumes, list) else []:
        if source := volume.get("containerDisk"):
            return str(volume["name"]), str(source["image"])
    return None


async def root_disk(libvirt: Libvirt, vmi: Mapping[str, object], guest: GuestImage) -> VolumeFile | None:
    """The VMI's layer over the guest's disk, created if need be; None for a guest without a disk.

    As in KubeVirt, the layer is the pod's own and goes with it; a live migration copies it. Raises DomainError.
    """
    found = container_disk(vmi)
    if guest.disk is None or found is None:
        return None
    built = guest.kernel is not None
    folder = f"{compute.GUESTS}/{guest.digest}" if built else f"{compute.USER_DISKS}/{guest.digest}"
    base = f"{folder}/{guest.disk.path.name}" if built else folder
    layer = f"{compute.EPHEMERAL_DISKS}/disk-data/{found[0]}/disk.qcow2"
    # Left alone when it is there: a start that failed in a hook is tried again.
    create = '[ -e "$0" ] || { mkdir -p "${0%/*}"; exec qemu-img create -q -f qcow2 -F "$1" -b "$2" "$0"; }'
    try:
        await libvirt.run("sh", "-c", create, layer, guest.disk.format, base)
    except LibvirtError as error:
        raise DomainError(f"failed to create the ephemeral disk of volume {found[0]}: {error}") from error
    return VolumeFile(found[0], layer, "qcow2", base=(base, guest.disk.format))


def disk_elements(vmi: Mapping[str, object], files: Sequence[VolumeFile]) -> list[ET.Element]:
    """The `<disk>` of every volume that has a file, in the order of the spec's disks."""
    wanted = {str(disk["name"]): disk for disk in _spec_disks(vmi)}
    by_volume = {file.volume: file for file in files}
    order = [name for name in wanted if name in by_volume]
    order += [file.volume for file in files if file.volume not in wanted]
    taken: dict[str, int] = {}
    elements = []
    for name in order:
        spec = wanted.get(name, {})
        device = next((kind for kind in ("cdrom", "lun", "disk") if kind in spec), "disk")
        settings = spec.get(device)
        given = settings.get("bus") if isinstance(settings, dict) else None
        bus = str(given or ("sata" if device == "cdrom" else "virtio"))
        prefix = _PREFIXES.get(bus, "sd")
        letter = _LETTERS[taken.setdefault(prefix, 0)]
        taken[prefix] += 1
        elements.append(_element(by_volume[name], device, bus, prefix + letter, spec.get("bootOrder")))
    return elements


def migrated_disks(domain_xml: ET.Element) -> list[str]:
    """The targets of the disks that a live migration has to copy: those that can be written."""
    targets = []
    for disk in domain_xml.findall("./devices/disk"):
        target = disk.find("target")
        if disk.find("readonly") is None and target is not None:
            targets.append(target.get("dev", ""))
    return targets


def _element(file: VolumeFile, device: str, bus: str, target: str, boot_order: object) -> ET.Element:
    disk = ET.Element("disk", type="file", device=device)
    ET.SubElement(disk, "driver", name="qemu", type=file.format, cache="none" if file.base is None else "writethrough")
    ET.SubElement(disk, "source", file=file.path)
    if file.base is not None:
        backing = ET.SubElement(disk, "backingStore", type="file")
        ET.SubElement(backing, "format", type=file.base[1])
        ET.SubElement(backing, "source", file=file.base[0])
    ET.SubElement(disk, "target", dev=target, bus=bus)
    if boot_order is not None:
        ET.SubElement(disk, "boot", order=str(boot_order))
    if file.read_only or device == "cdrom":
        ET.SubElement(disk, "readonly")
    ET.SubElement(disk, "alias", name=f"ua-{file.volume}")
    return disk


def _spec_disks(vmi: Mapping[str, object]) -> list[dict[str, object]]:
    found: object = vmi
    for key in ("spec", "domain", "devices", "disks"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, list) else []
