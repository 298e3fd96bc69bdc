"""The `<interface>` elements that core writes, as recorded from a real launcher.

Source: KubeVirt v1.9 pkg/virt-launcher/virtwrap/converter/network.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from conformance.sandbox.launcher.errors import DomainError
from conformance.sandbox.launcher.podinterfaces import PodInterface

PASST_LOG = "/var/run/kubevirt/passt.log"

_VIRTIO = "virtio"
_PCI = re.compile(r"^([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$", re.IGNORECASE)


def build_interface(interface: Mapping[str, object], pod: PodInterface) -> ET.Element:
    """The `<interface>` of an interface that core attaches. Raises DomainError for a bad PCI address."""
    return _passt(interface, pod) if pod.attachment == "passt" else _ethernet(interface, pod)


def _ethernet(interface: Mapping[str, object], pod: PodInterface) -> ET.Element:
    """On a link of the pod: tap, managedTap, bridge and masquerade."""
    element = ET.Element("interface", type="ethernet")
    mac = interface.get("macAddress") or pod.mac
    if mac:
        ET.SubElement(element, "mac", address=str(mac))
    ET.SubElement(element, "target", dev=str(pod.target), managed="no")
    model = str(interface.get("model") or _VIRTIO)
    ET.SubElement(element, "model", type="virtio-non-transitional" if model == _VIRTIO else model)
    if model == _VIRTIO and pod.queues > 0:
        ET.SubElement(element, "driver", name="vhost", queues=str(pod.queues))
    if pod.mtu is not None:
        ET.SubElement(element, "mtu", size=str(pod.mtu))
    ET.SubElement(element, "alias", name=f"ua-{interface['name']}")
    boot_order = interface.get("bootOrder")
    if boot_order is None:
        ET.SubElement(element, "rom", enabled="no")
    else:
        ET.SubElement(element, "boot", order=str(boot_order))
    if interface.get("state") == "down":
        ET.SubElement(element, "link", state="down")
    _add_placement(element, interface)
    return element


def _passt(interface: Mapping[str, object], pod: PodInterface) -> ET.Element:
    """Core passt: vhost-user, the address passed on by passt, and the ports that it forwards (all if none is listed).

    Without a MAC address in the spec libvirt makes one up.
    """
    element = ET.Element("interface", type="vhostuser")
    if mac := interface.get("macAddress"):
        ET.SubElement(element, "mac", address=str(mac))
    ET.SubElement(element, "source", dev=pod.pod_interface)
    element.extend(_port_forwards(interface))
    model = str(interface.get("model") or _VIRTIO)
    ET.SubElement(element, "model", type="virtio-non-transitional" if model == _VIRTIO else model)
    ET.SubElement(element, "backend", type="passt", logFile=PASST_LOG)
    ET.SubElement(element, "alias", name=f"ua-{interface['name']}")
    if (boot_order := interface.get("bootOrder")) is not None:
        ET.SubElement(element, "boot", order=str(boot_order))
    _add_placement(element, interface)
    return element


def _port_forwards(interface: Mapping[str, object]) -> list[ET.Element]:
    ports = interface.get("ports")
    wanted: dict[str, list[str]] = {"tcp": [], "udp": []}
    for port in ports if isinstance(ports, list) else []:
        wanted[str(port.get("protocol") or "tcp").lower()].append(str(port["port"]))
    elements = []
    for protocol, numbers in wanted.items():
        if numbers or not any(wanted.values()):
            forward = ET.Element("portForward", proto=protocol)
            forward.extend(ET.Element("range", start=number) for number in numbers)
            elements.append(forward)
    return elements


def _add_placement(element: ET.Element, interface: Mapping[str, object]) -> None:
    acpi_index = interface.get("acpiIndex")
    if isinstance(acpi_index, int) and acpi_index > 0:
        ET.SubElement(element, "acpi", index=str(acpi_index))
    if pci := interface.get("pciAddress"):
        element.append(_pci_address(str(interface["name"]), str(pci)))


def _pci_address(name: str, address: str) -> ET.Element:
    match = _PCI.match(address)
    if match is None:
        raise DomainError(
            f"failed to configure interface {name}: failed to parse pci address {address}, "
            "expected <domain>:<bus>:<slot>.<function>"
        )
    domain, bus, slot, function = (f"0x{part}" for part in match.groups())
    return ET.Element("address", type="pci", domain=domain, bus=bus, slot=slot, function=function)
