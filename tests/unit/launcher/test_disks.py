"""The disks of a VM in domain XML."""

import xml.etree.ElementTree as ET

from conformance.sandbox.launcher.disks import VolumeFile, disk_elements, migrated_disks

ROOT = VolumeFile("root", "/layer.qcow2", "qcow2", base=("/base.raw", "raw"))
SEED = VolumeFile("seed", "/seed.iso", read_only=True)


def vmi(*disks: dict[str, object]) -> dict[str, object]:
    return {"spec": {"domain": {"devices": {"disks": list(disks)}}}}


def targets(elements: list[ET.Element]) -> list[tuple[str | None, str | None]]:
    found = [element.find("target") for element in elements]
    return [(target.get("dev"), target.get("bus")) for target in found if target is not None]


def test_in_the_order_of_the_spec_on_the_buses_of_the_spec() -> None:
    virtio: dict[str, object] = {"disk": {"bus": "virtio"}}
    spec = vmi({"name": "seed", **virtio, "bootOrder": 2}, {"name": "root", **virtio}, {"name": "other", **virtio})
    elements = disk_elements(spec, [ROOT, SEED])
    assert targets(elements) == [("vda", "virtio"), ("vdb", "virtio")]
    assert elements[0].find("source[@file='/seed.iso']") is not None
    assert elements[1].find("source[@file='/layer.qcow2']") is not None
    assert elements[0].find("boot[@order='2']") is not None
    assert elements[1].find("backingStore/source[@file='/base.raw']") is not None


def test_volumes_without_a_disk_come_last() -> None:
    assert targets(disk_elements(vmi({"name": "seed", "cdrom": {}}), [ROOT, SEED])) == [
        ("sda", "sata"),
        ("vda", "virtio"),
    ]


def test_only_what_can_be_written_is_copied_by_a_migration() -> None:
    domain = ET.Element("domain")
    ET.SubElement(domain, "devices").extend(disk_elements(vmi(), [ROOT, SEED]))
    assert migrated_disks(domain) == ["vda"]
