"""Domain XML of a VMI, compared with what a real launcher wrote."""

import xml.etree.ElementTree as ET

import pytest

from conformance.sandbox.launcher.disks import BootFiles, VolumeFile
from conformance.sandbox.launcher.domain import (
    build_domain,
    parse_domain,
    parse_quantity,
    to_xml,
    with_placeholder,
    with_resources,
)
from conformance.sandbox.launcher.errors import DomainError
from conformance.sandbox.launcher.interfacexml import build_interface
from conformance.sandbox.launcher.links import interfaces_of
from conformance.sandbox.launcher.podinterfaces import PodInterface, PodInterfaces

BOOT = BootFiles("/g/vmlinux", "/g/initramfs", "console=ttyS0")
TAP = PodInterface("default", "eth0", "managedTap", True, "f6:51:62:4b:a9:8a", 1500, ("10.244.1.5",), "tap0")


def vmi(*interfaces: dict[str, object]) -> dict[str, object]:
    return {
        "metadata": {"namespace": "ns", "name": "vm"},
        "spec": {"domain": {"devices": {"interfaces": list(interfaces)}, "resources": {"requests": {"memory": "1Gi"}}}},
    }


def canonical(element: ET.Element) -> str:
    """The element with its children in a fixed order."""
    element[:] = sorted(element, key=lambda child: child.tag)
    return ET.canonicalize(ET.tostring(element, encoding="unicode"))


def test_managed_tap_interface_as_recorded() -> None:
    recorded = """<interface type='ethernet'><mac address='f6:51:62:4b:a9:8a'/><target dev='tap0' managed='no'/>
      <model type='virtio-non-transitional'/><mtu size='1500'/><alias name='ua-default'/><rom enabled='no'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></interface>"""
    built = build_interface({"name": "default", "pciAddress": "0000:01:00.0"}, TAP)
    wanted = ET.fromstring("".join(line.strip() for line in recorded.splitlines()))
    assert canonical(built) == canonical(wanted)


def test_core_passt_interface_as_recorded() -> None:
    recorded = """<interface type='vhostuser'><mac address='52:54:00:63:7b:e9'/><source dev='eth0'/>
      <portForward proto='tcp'><range start='80'/></portForward><model type='virtio-non-transitional'/>
      <backend type='passt' logFile='/var/run/kubevirt/passt.log'/><alias name='ua-default'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></interface>"""
    interface = {"name": "default", "macAddress": "52:54:00:63:7b:e9", "pciAddress": "0000:01:00.0"}
    pod = PodInterface("default", "eth0", "passt", True)
    built = build_interface(interface | {"ports": [{"port": 80}]}, pod)
    assert canonical(built) == canonical(ET.fromstring("".join(line.strip() for line in recorded.splitlines())))
    forwards = [forward.get("proto") for forward in build_interface(interface, pod).findall("portForward")]
    assert forwards == ["tcp", "udp"], "no list of ports means all of them"
    root = build_domain(vmi({"name": "default"}), PodInterfaces({"default": pod}), BOOT, ())
    assert root.find("memoryBacking/access[@mode='shared']") is not None


def test_every_field_of_an_interface() -> None:
    interface = {
        "name": "blue",
        "macAddress": "02:00:00:00:00:09",
        "model": "e1000",
        "bootOrder": 1,
        "acpiIndex": 7,
        "state": "down",
    }
    built = build_interface(interface, TAP)
    attributes = {child.tag: child.attrib for child in built}
    assert attributes["mac"] == {"address": "02:00:00:00:00:09"}
    assert attributes["model"] == {"type": "e1000"}
    assert attributes["boot"] == {"order": "1"}
    assert attributes["acpi"] == {"index": "7"}
    assert attributes["link"] == {"state": "down"}
    assert "rom" not in attributes, "a NIC to boot from keeps its ROM"


def test_queues_become_a_vhost_driver() -> None:
    pod = PodInterface("a", "eth0", "managedTap", True, None, None, (), "tap0", queues=4)
    driver = build_interface({"name": "a"}, pod).find("driver")
    assert driver is not None
    assert driver.attrib == {"name": "vhost", "queues": "4"}


def test_bad_pci_address_is_named() -> None:
    with pytest.raises(DomainError, match="failed to configure interface default: failed to parse pci address 1:0"):
        build_interface({"name": "default", "pciAddress": "1:0"}, TAP)


def test_a_sidecars_interface_is_left_to_the_sidecar() -> None:
    cache = PodInterfaces({"default": PodInterface("default", "eth0", "none", True)})
    assert build_domain(vmi({"name": "default"}), cache, BOOT, ()).findall("./devices/interface") == []


def test_the_domain_as_a_whole() -> None:
    root = build_domain(
        vmi({"name": "default"}),
        PodInterfaces({"default": TAP}),
        BOOT,
        (VolumeFile("cloudinit", "/disk.iso", read_only=True),),
    )
    assert root.findtext("name") == "ns_vm"
    assert root.findtext("memory") == str(1 << 30)
    assert root.findtext("vcpu") == "1"
    assert root.find("vcpu[@placement='static']") is not None, "a hook that reads KubeVirt's types would write none"
    assert root.find("./devices/disk/readonly") is not None, "libvirt refuses to migrate a writable local disk"
    assert root.findtext("uuid") == build_domain(vmi(), PodInterfaces({}), BOOT, ()).findtext("uuid")


def test_the_second_hook_call_starts_without_what_the_first_added() -> None:
    wanted = build_domain(vmi({"name": "default"}), PodInterfaces({"default": TAP}), BOOT, ())
    defined = with_placeholder(wanted)
    devices = defined.find("devices")
    assert devices is not None
    ET.SubElement(devices, "interface", type="user")
    ET.SubElement(devices, "controller", type="pci", model="pcie-root-port")
    ET.SubElement(defined, "memoryBacking")
    again = with_resources(wanted, defined)
    assert [found.alias for found in interfaces_of(to_xml(again))] == ["default"]
    assert again.find("./devices/controller") is not None
    assert again.find("memoryBacking") is None


@pytest.mark.parametrize("text", ["", "<domain>", "<domain><devices>"])
def test_truncated_xml_reads_as_in_go(text: str) -> None:
    with pytest.raises(DomainError) as caught:
        parse_domain(text)
    assert caught.value.sync_message.endswith('"XML syntax error on line 1: unexpected EOF"')


@pytest.mark.parametrize(
    ("text", "size"), [("256Mi", 256 << 20), ("1G", 10**9), ("1.5Gi", 3 << 29), ("123", 123), ("4k", 4000)]
)
def test_quantities(text: str, size: int) -> None:
    assert parse_quantity(text) == size


def test_a_quantity_that_is_none() -> None:
    with pytest.raises(DomainError, match="'lots'"):
        parse_quantity("lots")


def test_live_interfaces() -> None:
    xml = """<domain><devices>
      <interface type='user'><mac address='02:00:00:00:00:02'/><model type='virtio'/><alias name='net0'/>
        <link state='down'/></interface>
      <interface type='ethernet'><mac address='02:00:00:00:00:03'/><target dev='tap0'/><model type='e1000'/>
        <driver queues='2'/><alias name='ua-blue'/></interface></devices></domain>"""
    first, second = interfaces_of(xml)
    assert (first.alias, first.link_state, first.target, first.queue_count) == ("net0", "down", None, 1)
    assert (second.alias, second.link_state, second.target, second.queue_count) == ("blue", "up", "tap0", 2)
