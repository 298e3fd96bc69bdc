"""What the recorded sidecars did to the domain XML, as edits of its text."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
SHARED_MEMORY = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
RESOLV_CONF = "/etc/resolv.conf"

Vmi = Mapping[str, Any]
Edit = Callable[[str, Vmi, str], str]


def user_interface(alias: str | None) -> str:
    """An interface of libvirt's user network, with or without an alias of ours."""
    named = f"<alias name='{alias}'/>" if alias else ""
    return f"<interface type='user'><model type='virtio'/>{named}</interface>"


def with_interface(xml: str, interface: str) -> str:
    """The domain with one interface more."""
    return xml.replace("</devices>", f"{interface}</devices>", 1)


def add(xml: str, _vmi: Vmi, _binding: str) -> str:
    """One NIC with the alias of the pod network, unless it is there."""
    return xml if "ua-default" in xml else with_interface(xml, user_interface("ua-default"))


def append_nameless(xml: str, _vmi: Vmi, _binding: str) -> str:
    """One NIC more at every call, without an alias."""
    return with_interface(xml, user_interface(None))


def append_two(xml: str, _vmi: Vmi, _binding: str) -> str:
    """Two NICs, the first with the right alias, the second with none."""
    return with_interface(xml, user_interface("ua-default") + user_interface(None))


def cut_off(xml: str, _vmi: Vmi, _binding: str) -> str:
    """The first half of the first line: no XML any more."""
    return xml.partition("\n")[0][:20]


def passt(xml: str, vmi: Vmi, binding: str) -> str:
    """passt as vhost-user, for the pod network only, as KubeVirt v1.9's own sidecar does."""
    for interface in pod_interfaces(vmi, binding):
        alias = f"ua-{interface['name']}"
        if alias in xml:
            continue
        mac = f"<mac address='{interface['macAddress']}'/>" if "macAddress" in interface else ""
        forwards = "".join(forward(protocol, interface) for protocol in ("tcp", "udp"))
        element = (
            f"<interface type='vhostuser'>{mac}<source dev='eth0'/>{forwards}<model type='virtio-non-transitional'/>"
            f"<backend type='passt' logFile='/var/run/kubevirt/passt.log'/><alias name='{alias}'/></interface>"
        )
        xml = with_interface(xml, element)
    if "<memoryBacking" not in xml:
        xml = xml.replace("<devices>", f"{SHARED_MEMORY}<devices>", 1)
    return xml


def slirp(xml: str, vmi: Vmi, binding: str) -> str:
    """QEMU's user network on its command line; the domain has no interface."""
    for interface in pod_interfaces(vmi, binding):
        name = interface["name"]
        network = [f"user,id={name}", "net=10.0.2.0/24", *(f"dnssearch={domain}" for domain in search_domains())]
        network += [
            f"hostfwd={port.get('protocol', 'TCP').lower()}::{port['port']}-:{port['port']}"
            for port in interface.get("ports", [])
        ]
        device = json.dumps({"driver": "e1000", "netdev": name, "id": name}, separators=(",", ":"))
        words = ("-netdev", ",".join(network), "-device", device)
        arguments = "".join(f"<qemu:arg value={quoteattr(word)}/>" for word in words)
        if "</qemu:commandline>" in xml:
            xml = xml.replace("</qemu:commandline>", f"{arguments}</qemu:commandline>", 1)
        else:
            block = f'<qemu:commandline xmlns:qemu="{QEMU}">{arguments}</qemu:commandline>'
            xml = xml.replace("</domain>", f"{block}</domain>", 1)
    return xml


def pod_interfaces(vmi: Vmi, binding: str) -> list[Vmi]:
    """The VMI's interfaces of the binding that are on the pod network."""
    spec = vmi["spec"]
    pod = {network["name"] for network in spec.get("networks", []) if "pod" in network}
    interfaces = spec["domain"]["devices"].get("interfaces", [])
    return [i for i in interfaces if (i.get("binding") or {}).get("name") == binding and i["name"] in pod]


def forward(protocol: str, interface: Vmi) -> str:
    """passt's portForward of one protocol, empty when no port asks for it."""
    listed = [p["port"] for p in interface.get("ports", []) if p.get("protocol", "TCP").lower() == protocol]
    ranges = "".join(f"<range start='{port}'/>" for port in listed)
    return f"<portForward proto='{protocol}'>{ranges}</portForward>" if listed else ""


def search_domains() -> list[str]:
    """The pod's DNS search domains."""
    with open(RESOLV_CONF, encoding="utf-8") as lines:
        found = [line.split()[1:] for line in lines if line.startswith("search ")]
    return found[-1] if found else []


EDITS: dict[str, Edit] = {
    "add": add,
    "noalias": append_nameless,
    "two": append_two,
    "v2": add,
    "dup": append_nameless,
    "badxml": cut_off,
    "slow": add,
    "passt": passt,
    "slirp": slirp,
}
