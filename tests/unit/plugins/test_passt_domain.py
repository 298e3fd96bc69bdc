"""What the passt sidecar makes of a domain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Interface
from xml.etree import ElementTree

import pytest

from fixtures.plugins.hook_sidecars.opt.hook_sidecars.passt.domain import Faults, PodNetwork, define_domain
from fixtures.plugins.hook_sidecars.opt.hook_sidecars.passt.service import port_budget
from fixtures.plugins.hook_sidecars.opt.hook_sidecars.server import DomainError
from fixtures.plugins.hook_sidecars.opt.hook_sidecars.vmi import Json, VmiError, interfaces_of_binding

DOMAIN = """<domain type="kvm" xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
<name>ns_vm</name><metadata><kubevirt xmlns="http://kubevirt.io"><uid>1</uid></kubevirt></metadata>
<devices><disk type="file"/><interface type="ethernet"><alias name="ua-other"/><mac
address="02:00:00:00:00:09"/></interface> </devices></domain>"""
QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
MAC = "02:00:00:00:00:02"
SOUND = Faults()
POD = PodNetwork(lambda name: 1450 if name == "eth0" else None, 7000)


def vmi(interface: Mapping[str, object]) -> bytes:
    nic = {"name": "passtnet", "binding": {"name": "passt"}, **interface}
    return json.dumps(
        {
            "metadata": {"namespace": "ns", "name": "vm", "uid": "1"},
            "spec": {"domain": {"devices": {"interfaces": [{"name": "other", "masquerade": {}}, nic]}}},
            "status": {"interfaces": [{"name": "passtnet", "podInterfaceName": "eth0"}]},
        }
    ).encode()


def define(
    interface: Mapping[str, object] | None = None,
    domain: str | bytes = DOMAIN,
    *,
    faults: Faults = SOUND,
    pod: PodNetwork = POD,
) -> bytes:
    text = domain.encode() if isinstance(domain, str) else domain
    return define_domain(text, vmi(interface or {}), "passt", pod, faults)


def nics(domain: bytes) -> list[ElementTree.Element]:
    return ElementTree.fromstring(domain).findall("devices/interface")


def nic(domain: bytes, alias: str = "ua-passtnet") -> ElementTree.Element:
    (found,) = [item for item in nics(domain) if item.find(f"alias[@name='{alias}']") is not None]
    return found


def attributes(element: ElementTree.Element, tag: str) -> Mapping[str, str] | None:
    child = element.find(tag)
    return None if child is None else child.attrib


def test_the_interface_is_passt_on_the_user_backend() -> None:
    made = nic(define({"macAddress": MAC}))
    assert made.get("type") == "user"
    assert attributes(made, "source") == {"dev": "eth0"}
    assert attributes(made, "mac") == {"address": MAC}
    assert attributes(made, "model") == {"type": "virtio-non-transitional"}
    assert attributes(made, "backend") == {"type": "passt", "logFile": "/var/run/kubevirt/passt.log"}


VHOST_USER = replace(POD, vhost_user=True)


def test_the_interface_is_passt_by_vhost_user() -> None:
    domain = define({"macAddress": MAC}, pod=VHOST_USER)
    made = nic(domain)
    assert made.get("type") == "vhostuser"
    assert attributes(made, "source") == {"dev": "eth0"}
    assert attributes(made, "backend") == {"type": "passt", "logFile": "/var/run/kubevirt/passt.log"}
    assert memory_backing(domain) == {"source": {"type": "memfd"}, "access": {"mode": "shared"}}
    assert define({"macAddress": MAC}, domain, pod=VHOST_USER) == domain


@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        ("<hugepages/>", {"hugepages": {}, "access": {"mode": "shared"}}),
        ('<source type="file"/>', {"source": {"type": "file"}, "access": {"mode": "shared"}}),
        ('<access mode="private"/>', {"access": {"mode": "shared"}, "source": {"type": "memfd"}}),
    ],
)
def test_a_memory_backing_of_the_vm_is_shared_too(present: str, wanted: dict[str, dict[str, str]]) -> None:
    domain = DOMAIN.replace("<devices>", f"<memoryBacking>{present}</memoryBacking><devices>")
    assert memory_backing(define(domain=domain, pod=VHOST_USER)) == wanted


def test_the_user_backend_leaves_the_memory_alone() -> None:
    assert memory_backing(define()) is None
    private = define(pod=VHOST_USER, faults=Faults(private_memory=True))
    assert memory_backing(private) is None


def memory_backing(domain: bytes) -> dict[str, dict[str, str]] | None:
    backing = ElementTree.fromstring(domain).find("memoryBacking")
    return None if backing is None else {child.tag: dict(child.attrib) for child in backing}


def test_everything_else_is_left_alone() -> None:
    before, after = ElementTree.fromstring(DOMAIN), ElementTree.fromstring(define({"macAddress": MAC}))
    devices = after.find("devices")
    assert devices is not None
    devices.remove(devices.findall("interface")[-1])
    after.remove(after.findall(f"{QEMU}override")[0])
    assert ElementTree.canonicalize(ElementTree.tostring(after)) == ElementTree.canonicalize(
        ElementTree.tostring(before)
    )


@pytest.mark.parametrize("interface", [{}, {"macAddress": MAC}, {"pciAddress": "0000:81:01.0", "acpiIndex": 101}])
def test_a_second_call_changes_nothing(interface: dict[str, object]) -> None:
    once = define(interface)
    assert define(interface, once) == once
    assert len(nics(once)) == 2


def test_a_replaced_interface_keeps_what_the_spec_leaves_open() -> None:
    present = define().replace(b"</interface></devices>", b"<address type='pci' bus='0x07'/></interface></devices>")
    address = nic(present).find("mac")
    assert address is not None
    again = nic(define(domain=present))
    assert attributes(again, "address") == {"type": "pci", "bus": "0x07"}
    assert attributes(again, "mac") == address.attrib


def test_a_mac_is_derived_and_the_same_on_every_node() -> None:
    first, second = attributes(nic(define()), "mac"), attributes(nic(define()), "mac")
    assert first == second
    assert first is not None
    assert int(first["address"][:2], 16) & 0b11 == 0b10


def test_pci_address_and_acpi_index_come_from_the_spec() -> None:
    made = nic(define({"pciAddress": "0000:81:01.3", "acpiIndex": 101}))
    assert attributes(made, "acpi") == {"index": "101"}
    wanted = {"type": "pci", "domain": "0x0000", "bus": "0x81", "slot": "0x01", "function": "0x3"}
    assert attributes(made, "address") == wanted


def test_listed_ports_are_forwarded_and_no_others() -> None:
    made = nic(define({"ports": [{"port": 22}, {"port": 53, "protocol": "UDP"}, {"port": 80, "protocol": "TCP"}]}))
    ranges = {item.get("proto"): [r.attrib for r in item] for item in made.findall("portForward")}
    assert ranges == {"tcp": [{"start": "22"}, {"start": "80"}], "udp": [{"start": "53"}]}


@pytest.mark.parametrize(("budget", "wanted"), [(7000, [{"start": "1", "end": "7000"}]), (65535, [])])
def test_without_a_list_every_port_that_passt_can_hold(budget: int, wanted: list[dict[str, str]]) -> None:
    made = nic(define(pod=PodNetwork(lambda _: None, budget)))
    assert [[r.attrib for r in item] for item in made.findall("portForward")] == [wanted, wanted]


@pytest.mark.parametrize(("limit", "ports"), [(20000, 7952), (1048576, 65535), (1024, 64), (-1, 65535)])
def test_the_port_budget_leaves_room_for_other_files(limit: int, ports: int) -> None:
    assert port_budget(limit) == ports


def test_a_guest_may_have_an_address_of_its_own() -> None:
    made = nic(define(pod=PodNetwork(lambda _: None, 100, IPv4Interface("10.0.2.2/24"))))
    assert attributes(made, "ip") == {"family": "ipv4", "address": "10.0.2.2", "prefix": "24"}


@pytest.mark.parametrize(
    ("interface", "words"),
    [
        ({"binding": {"name": "frob"}}, "no interface of the VMI uses the network binding 'passt'"),
        ({"name": "nowhere"}, "interface 'nowhere': no podInterfaceName in status.interfaces, and no network"),
        ({"pciAddress": "81:01.0"}, "no PCI address"),
        ({"ports": [{"port": 80, "protocol": "SCTP"}]}, "passt cannot forward port"),
    ],
)
def test_what_cannot_be_done_is_said(interface: dict[str, object], words: str) -> None:
    with pytest.raises(VmiError, match=words):
        define(interface)


@pytest.mark.parametrize(("domain", "words"), [("<domain>", "does not parse"), ("<domain/>", "no <devices>")])
def test_a_broken_domain_is_refused(domain: str, words: str) -> None:
    with pytest.raises(DomainError, match=words):
        define(domain=domain)


def test_the_guest_gets_the_mtu_of_the_pod_interface() -> None:
    (device,) = ElementTree.fromstring(define(domain=define())).findall(f"{QEMU}override/{QEMU}device")
    assert device.get("alias") == "ua-passtnet"
    (limit,) = device.findall(f"{QEMU}frontend/{QEMU}property")
    assert limit.attrib == {"name": "host_mtu", "type": "unsigned", "value": "1450"}


def test_without_a_pod_interface_the_mtu_is_left_to_passt() -> None:
    assert b"override" not in define(pod=PodNetwork(lambda _: None, 7000))


def test_fault_ignore_mac() -> None:
    assert attributes(nic(define({"macAddress": MAC}, faults=Faults(ignore_mac=True))), "mac") != {"address": MAC}


def test_fault_second_interface_is_there_once_and_unplugged() -> None:
    faults = Faults(second_interface=True)
    twice = define(domain=define(faults=faults), faults=faults)
    assert len(nics(twice)) == 3
    assert attributes(nic(twice, "ua-passtnet-second"), "link") == {"state": "down"}


def test_fault_wrong_alias() -> None:
    assert nic(define(faults=Faults(wrong_alias=True)), "ua-passtnet-passt") is not None


def test_fault_no_udp() -> None:
    made = nic(define(faults=Faults(no_udp=True)))
    assert [item.get("proto") for item in made.findall("portForward")] == ["tcp"]


def test_fault_all_ports_ignores_the_list() -> None:
    unlisted, made = nic(define()), nic(define({"ports": [{"port": 22}]}, faults=Faults(all_ports=True)))
    assert forwards(made) == forwards(unlisted)


def test_fault_listed_only_forwards_nothing_without_a_list() -> None:
    faults, listed = Faults(listed_only=True), {"ports": [{"port": 22}]}
    assert forwards(nic(define(faults=faults))) == []
    assert define(listed, faults=faults) == define(listed)


def forwards(made: ElementTree.Element) -> list[tuple[str | None, list[dict[str, str]]]]:
    return [(item.get("proto"), [dict(part.attrib) for part in item]) for item in made.findall("portForward")]


def test_fault_monitor_is_opened_once() -> None:
    twice = define(domain=define(faults=Faults(monitor=True)), faults=Faults(monitor=True))
    arguments = ElementTree.fromstring(twice).findall(f".//{QEMU}arg")
    assert [argument.get("value") for argument in arguments][::2] == ["-chardev", "-mon"]


@pytest.mark.parametrize(
    ("network", "pod_interface"),
    [
        ({"pod": {}}, "eth0"),
        ({"multus": {"networkName": "net", "default": True}}, "eth0"),
        ({"multus": {"networkName": "net"}}, "podd388a6c6411"),
    ],
)
def test_before_1_4_the_pod_interface_has_the_name_that_kubevirt_gives(
    network: dict[str, Json], pod_interface: str
) -> None:
    """The name of the secondary is one recorded on v1.9.0, which names as 1.1 does."""
    spec: dict[str, Json] = {
        "domain": {"devices": {"interfaces": [{"name": "sec1", "binding": {"name": "passt"}}]}},
        "networks": [{"name": "sec1", **network}],
    }
    (found,) = interfaces_of_binding(
        {"metadata": {}, "spec": spec, "status": {"interfaces": [{"name": "sec1"}]}}, "passt"
    )
    assert found.pod_interface == pod_interface
