"""A VMI turned into libvirt domain XML, as virt-launcher's converter does it.

Source: KubeVirt v1.9 pkg/virt-launcher/virtwrap/converter; `<interface>` elements as recorded from a real launcher.
"""

import hashlib
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from conformance.sandbox.launcher import compute
from conformance.sandbox.launcher.errors import DomainError
from conformance.sandbox.launcher.podinterfaces import PodInterface, PodInterfaces

QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
CONSOLE_SOCKET = f"{compute.CONSOLES}/virt-serial0"
CONSOLE_LOG = f"{compute.CONSOLES}/virt-serial0-log"
MINIMUM_MEMORY = 192 << 20
"""Bytes; a guest whose kernel and initramfs are loaded into its memory cannot do with less."""

ET.register_namespace("qemu", QEMU_NAMESPACE)

_VIRTIO = "virtio"
_PCI = re.compile(r"^([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$", re.IGNORECASE)
_QUANTITY = re.compile(r"^([0-9.]+)(Ki|Mi|Gi|Ti|k|M|G|T)?$")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


@dataclass(frozen=True)
class BootFiles:
    """What the guest boots from, as paths inside the compute container."""

    kernel: str
    initramfs: str
    arguments: str


def domain_name(vmi: Mapping[str, object]) -> str:
    """`<namespace>_<name>`, KubeVirt's name for the domain."""
    metadata = mapping(vmi, "metadata")
    return f"{metadata['namespace']}_{metadata['name']}"


def build_domain(vmi: Mapping[str, object], cache: PodInterfaces, boot: BootFiles, iso: str | None) -> ET.Element:
    """The domain of a VMI. `iso` is the cloud-init disk inside the container. Raises DomainError for a bad spec."""
    spec = mapping(mapping(vmi, "spec"), "domain")
    root = ET.Element("domain", type="qemu")
    _text(root, "name", domain_name(vmi))
    _text(root, "uuid", _firmware_uuid(vmi, spec))
    ET.SubElement(root, "memory", unit="b").text = str(_memory(spec))
    cpu = mapping(spec, "cpu")
    _text(root, "vcpu", str(_count(cpu, "cores") * _count(cpu, "sockets") * _count(cpu, "threads")))
    system = ET.SubElement(root, "os")
    ET.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
    _text(system, "kernel", boot.kernel)
    _text(system, "initrd", boot.initramfs)
    _text(system, "cmdline", boot.arguments)
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    ET.SubElement(root, "cpu", mode="maximum")
    ET.SubElement(root, "clock", offset="utc")
    _text(root, "on_poweroff", "destroy")
    _text(root, "on_reboot", "restart")
    root.append(_devices(vmi, cache, iso))
    return root


def build_interface(interface: Mapping[str, object], pod: PodInterface) -> ET.Element:
    """The `<interface>` of a tap or managedTap attachment. Raises DomainError for a bad PCI address."""
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
    acpi_index = interface.get("acpiIndex")
    if isinstance(acpi_index, int) and acpi_index > 0:
        ET.SubElement(element, "acpi", index=str(acpi_index))
    if pci := interface.get("pciAddress"):
        element.append(_pci_address(str(interface["name"]), str(pci)))
    return element


def with_placeholder(root: ET.Element) -> ET.Element:
    """A copy with one interface more, which makes libvirt provide a free PCIe port for later hot plug."""
    copy = parse_domain(to_xml(root))
    devices = copy.find("devices")
    assert devices is not None
    extra = ET.SubElement(devices, "interface", type="ethernet")
    ET.SubElement(extra, "target", dev="placeholder-0", managed="no")
    ET.SubElement(extra, "model", type="virtio-non-transitional")
    ET.SubElement(extra, "alias", name="placeholder-0")
    return copy


def with_resources(root: ET.Element, defined: ET.Element) -> ET.Element:
    """The wanted domain with the devices libvirt made of it, but with the wanted interfaces.

    This is what the second OnDefineDomain of a boot starts from: interfaces a hook added the first time are gone,
    other devices it added are there, and so is every controller libvirt added.
    """
    result = parse_domain(to_xml(root))
    wanted, made = result.find("devices"), parse_domain(to_xml(defined)).find("devices")
    assert wanted is not None
    if made is None:
        return result
    for interface in made.findall("interface"):
        made.remove(interface)
    made.extend(wanted.findall("interface"))
    result.remove(wanted)
    result.append(made)
    return result


def parse_domain(text: str) -> ET.Element:
    """Read domain XML. Raises DomainError worded as Go's XML reader words it."""
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        line = error.position[0]
        reason = str(error).partition(":")[0]
        unexpected_end = reason in ("no element found", "unclosed token", "syntax error") or not text.strip()
        message = "unexpected EOF" if unexpected_end else reason
        raise DomainError(f"XML syntax error on line {line}: {message}") from error


def to_xml(root: ET.Element) -> str:
    """Domain XML as text, indented by tabs as KubeVirt hands it to hooks."""
    copy = ET.fromstring(ET.tostring(root))
    ET.indent(copy, "\t")
    return ET.tostring(copy, encoding="unicode")


def parse_quantity(text: str) -> int:
    """A Kubernetes quantity of bytes, such as 256Mi or 1G. Raises DomainError for anything else."""
    match = _QUANTITY.match(text)
    if match is None:
        raise DomainError(f"memory quantity {text!r} cannot be read")
    return int(float(match[1]) * _UNITS[match[2] or ""])


def mapping(parent: Mapping[str, object], key: str) -> Mapping[str, object]:
    """The mapping under `key`, empty if there is none."""
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _devices(vmi: Mapping[str, object], cache: PodInterfaces, iso: str | None) -> ET.Element:
    devices = ET.Element("devices")
    _text(devices, "emulator", "/usr/bin/qemu-system-x86_64")
    if iso is not None:
        disk = ET.SubElement(devices, "disk", type="file", device="disk")
        ET.SubElement(disk, "driver", name="qemu", type="raw", cache="none")
        ET.SubElement(disk, "source", file=iso)
        ET.SubElement(disk, "target", dev="vda", bus="virtio")
        ET.SubElement(disk, "readonly")
        ET.SubElement(disk, "alias", name="ua-cloudinitdisk")
    wanted = mapping(mapping(mapping(vmi, "spec"), "domain"), "devices").get("interfaces")
    for interface in wanted if isinstance(wanted, list) else []:
        pod = cache.get(interface["name"])
        if pod is not None and pod.attachment != "none":
            devices.append(build_interface(interface, pod))
    _add_console(devices)
    rng = ET.SubElement(devices, "rng", model="virtio")
    ET.SubElement(rng, "backend", model="random").text = "/dev/urandom"
    ET.SubElement(devices, "memballoon", model="none")
    return devices


def _add_console(devices: ET.Element) -> None:
    serial = ET.SubElement(devices, "serial", type="unix")
    ET.SubElement(serial, "source", mode="bind", path=CONSOLE_SOCKET)
    ET.SubElement(serial, "log", file=CONSOLE_LOG, append="on")
    ET.SubElement(serial, "target", port="0")


def _pci_address(name: str, address: str) -> ET.Element:
    match = _PCI.match(address)
    if match is None:
        raise DomainError(
            f"failed to configure interface {name}: failed to parse pci address {address}, "
            "expected <domain>:<bus>:<slot>.<function>"
        )
    domain, bus, slot, function = (f"0x{part}" for part in match.groups())
    return ET.Element("address", type="pci", domain=domain, bus=bus, slot=slot, function=function)


def _firmware_uuid(vmi: Mapping[str, object], spec: Mapping[str, object]) -> str:
    """The firmware UUID of the spec, else one derived from the VM's name, the same at every start."""
    given = mapping(spec, "firmware").get("uuid")
    if given:
        return str(given)
    return str(uuid.UUID(bytes=hashlib.sha256(domain_name(vmi).encode()).digest()[:16], version=4))


def _memory(spec: Mapping[str, object]) -> int:
    """Guest memory in bytes: memory.guest, else the request, else the limit."""
    resources = mapping(spec, "resources")
    wanted = (
        mapping(spec, "memory").get("guest")
        or mapping(resources, "requests").get("memory")
        or mapping(resources, "limits").get("memory")
    )
    return max(MINIMUM_MEMORY, parse_quantity(str(wanted)) if wanted else 0)


def _count(cpu: Mapping[str, object], key: str) -> int:
    value = cpu.get(key)
    return value if isinstance(value, int) and value > 0 else 1


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text
