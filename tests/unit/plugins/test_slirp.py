"""What the slirp sidecar makes of a domain."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from fixtures.plugins.hook_sidecars.opt.hook_sidecars.server import DomainError
from fixtures.plugins.hook_sidecars.opt.hook_sidecars.slirp.domain import Nic, define_domain
from fixtures.plugins.hook_sidecars.opt.hook_sidecars.slirp.service import DRIVER, search_domains
from fixtures.plugins.hook_sidecars.opt.hook_sidecars.vmi import BindingInterface

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
NIC = Nic(
    DRIVER, search_domains("search old.example\nnameserver 10.96.0.10\nsearch s.svc.cluster.local cluster.local\n")
)
PLAIN = BindingInterface("default", "eth0", None, "virtio", 0, None, {"tcp": [80]}, "ns/vm/default")
DOMAIN = (
    b'<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0"><devices><disk/></devices>'
    b'<qemu:commandline><qemu:arg value="-device"/><qemu:arg value="other"/></qemu:commandline></domain>'
)


def arguments(domain: bytes) -> list[str]:
    return [argument.get("value", "") for argument in ElementTree.fromstring(domain).iter(f"{QEMU}arg")]


def test_the_arguments_are_those_recorded() -> None:
    assert arguments(define_domain(b"<domain/>", [PLAIN], NIC)) == [
        "-netdev",
        "user,id=default,net=10.0.2.0/24,dnssearch=s.svc.cluster.local,dnssearch=cluster.local,hostfwd=tcp::80-:80",
        "-device",
        '{"driver":"e1000","netdev":"default","id":"default"}',
    ]


def test_a_second_call_replaces_its_own_arguments_and_no_others() -> None:
    once = define_domain(DOMAIN, [PLAIN], NIC)
    assert define_domain(once, [PLAIN], NIC) == once
    assert arguments(once)[:2] == ["-device", "other"]
    assert ElementTree.fromstring(once).find("devices/disk") is not None


def test_mac_address_and_ports_come_from_the_spec() -> None:
    interface = replace(PLAIN, mac="02:00:00:00:00:01", ports={"tcp": [22], "udp": [53]})
    words = arguments(define_domain(DOMAIN, [interface], NIC))
    assert words[3].endswith("hostfwd=tcp::22-:22,hostfwd=udp::53-:53")
    assert words[5].endswith('"mac":"02:00:00:00:00:01"}')
    assert "hostfwd" not in arguments(define_domain(DOMAIN, [interface], NIC, ["no-forward"]))[3]


def test_a_domain_that_does_not_parse() -> None:
    with pytest.raises(DomainError, match="does not parse"):
        define_domain(b"<domain>", [PLAIN], NIC)
