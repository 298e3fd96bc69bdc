"""The QEMU guest agent of a VM: whether it is there, and what it says of the guest's network and system.

libvirt keeps the channel and asks the agent, as it does for virt-launcher.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.sandbox.launcher.domain import AGENT_CHANNEL, parse_domain
from conformance.sandbox.launcher.libvirt import Libvirt

_SECONDS = 10.0
_INTERFACE = re.compile(r"^if\.(\d+)\.(name|hwaddr|addr\.(\d+)\.addr)$")
_LOOPBACK = "lo"
_SYSTEM = {
    "os.id": "id",
    "os.name": "name",
    "os.pretty-name": "prettyName",
    "os.version": "version",
    "os.version-id": "versionId",
    "os.kernel-release": "kernelRelease",
    "os.kernel-version": "kernelVersion",
    "os.machine": "machine",
}


@dataclass(frozen=True)
class GuestInterface:
    """A NIC as the guest names it, loopback left out. `addresses` without prefix lengths, in the agent's order."""

    name: str
    mac: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuestReport:
    """One answer of the agent; `system` has the keys of a VMI's status.guestOSInfo."""

    interfaces: tuple[GuestInterface, ...]
    system: Mapping[str, str] = field(default_factory=dict)


def is_connected(domain_xml: str) -> bool:
    """Whether an agent has opened the channel, by the live XML of the domain."""
    channels = parse_domain(domain_xml).findall("./devices/channel/target")
    return any(target.get("name") == AGENT_CHANNEL and target.get("state") == "connected" for target in channels)


async def ask(libvirt: Libvirt, domain: str) -> GuestReport:
    """Ask the agent now. Raises LibvirtError when it does not answer."""
    return parse_report(await libvirt.values("guestinfo", domain, "--interface", "--os", timeout=_SECONDS))


def parse_report(values: Mapping[str, str]) -> GuestReport:
    """The report in libvirt's typed parameters (`if.0.name`, `if.0.addr.1.addr`, `os.id`, ...)."""
    names: dict[int, str] = {}
    macs: dict[int, str] = {}
    addresses: dict[int, list[str]] = {}
    for key, value in values.items():
        if (match := _INTERFACE.match(key)) is None:
            continue
        index = int(match[1])
        if match[2] == "name":
            names[index] = value
        elif match[2] == "hwaddr":
            macs[index] = value
        else:
            addresses.setdefault(index, []).append(value)
    interfaces = tuple(
        GuestInterface(name, macs.get(index, ""), tuple(addresses.get(index, ())))
        for index, name in sorted(names.items())
        if name != _LOOPBACK
    )
    return GuestReport(interfaces, {field: values[key] for key, field in _SYSTEM.items() if key in values})
