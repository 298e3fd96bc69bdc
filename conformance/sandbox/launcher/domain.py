"""A VMI turned into libvirt domain XML, as virt-launcher's converter does it.

Source: KubeVirt v1.9 pkg/virt-launcher/virtwrap/converter; `<interface>` elements as recorded from a real launcher.
"""

import hashlib
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from conformance.sandbox.launcher import compute
from conformance.sandbox.launcher.disks import BootFiles, VolumeFile, disk_elements
from conformance.sandbox.launcher.errors import DomainError
from conformance.sandbox.launcher.interfacexml import build_interface
from conformance.sandbox.launcher.podinterfaces import PodInterfaces

QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
CONSOLE_SOCKET = f"{compute.CONSOLES}/virt-serial0"
CONSOLE_LOG = f"{compute.CONSOLES}/virt-serial0-log"
AGENT_CHANNEL = "org.qemu.guest_agent.0"
MINIMUM_MEMORY = 192 << 20
"""Bytes; a guest whose kernel and initramfs are loaded into its memory cannot do with less."""

ET.register_namespace("qemu", QEMU_NAMESPACE)

_QUANTITY = re.compile(r"^([0-9.]+)(Ki|Mi|Gi|Ti|k|M|G|T)?$")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


def domain_name(vmi: Mapping[str, object]) -> str:
    """`<namespace>_<name>`, KubeVirt's name for the domain."""
    metadata = mapping(vmi, "metadata")
    return f"{metadata['namespace']}_{metadata['name']}"


def build_domain(
    vmi: Mapping[str, object], cache: PodInterfaces, boot: BootFiles | None, volumes: Sequence[VolumeFile]
) -> ET.Element:
    """The domain of a VMI. Without `boot` its first disk boots it. Raises DomainError for a bad spec."""
    spec = mapping(mapping(vmi, "spec"), "domain")
    root = ET.Element("domain", type="qemu")
    _text(root, "name", domain_name(vmi))
    _text(root, "uuid", _firmware_uuid(vmi, spec))
    ET.SubElement(root, "memory", unit="b").text = str(_memory(spec))
    cpu = mapping(spec, "cpu")
    # Said, as KubeVirt says it: a hook that reads the XML by KubeVirt's own types writes an empty value otherwise.
    vcpu = ET.SubElement(root, "vcpu", placement="static")
    vcpu.text = str(_count(cpu, "cores") * _count(cpu, "sockets") * _count(cpu, "threads"))
    system = ET.SubElement(root, "os")
    ET.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
    if boot is not None:
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
    devices = _devices(vmi, cache, volumes)
    if devices.find("interface[@type='vhostuser']") is not None:
        backing = ET.SubElement(root, "memoryBacking")
        ET.SubElement(backing, "source", type="memfd")
        ET.SubElement(backing, "access", mode="shared")
    root.append(devices)
    return root


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


def _devices(vmi: Mapping[str, object], cache: PodInterfaces, volumes: Sequence[VolumeFile]) -> ET.Element:
    devices = ET.Element("devices")
    _text(devices, "emulator", "/usr/bin/qemu-system-x86_64")
    devices.extend(disk_elements(vmi, volumes))
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
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name=AGENT_CHANNEL)


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
