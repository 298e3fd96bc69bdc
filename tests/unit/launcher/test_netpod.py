"""Names and decisions of the pod's network set-up; the plumbing itself is tested on real links."""

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from conformance.sandbox.launcher.errors import PodNetworkSetupError
from conformance.sandbox.launcher.netpod import attachment_of, setup_pod_network
from conformance.sandbox.launcher.netpod.masquerade import GuestNetwork, nat_rules
from conformance.sandbox.launcher.netpod.namespace import Link
from conformance.sandbox.launcher.netpod.plan import Plan
from conformance.sandbox.launcher.podinterfaces import (
    PodInterface,
    bridge_name,
    enslaved_name,
    pod_interface_name,
    pod_interface_names,
    tap_name,
)

SECONDARY = {"name": "sec1", "multus": {"networkName": "sec-bridge"}}


def test_names_as_on_a_real_cluster() -> None:
    pod = pod_interface_name(SECONDARY)
    assert pod == "podd388a6c6411"
    assert tap_name(SECONDARY, pod) == "tapd388a6c6411"
    assert bridge_name(pod) == "k6t-d388a6c6411"
    assert enslaved_name(pod) == "d388a6c6411-nic"
    assert max(len(name) for name in (pod, tap_name(SECONDARY, pod), bridge_name(pod), enslaved_name(pod))) <= 15


def test_primary_names() -> None:
    for network in ({"name": "default", "pod": {}}, {"name": "x", "multus": {"networkName": "n", "default": True}}):
        assert (pod_interface_name(network), tap_name(network, "eth0")) == ("eth0", "tap0")
    assert (bridge_name("eth0"), enslaved_name("eth0")) == ("k6t-eth0", "eth0-nic")


@pytest.mark.parametrize(
    ("present", "names"),
    [
        (["lo", "eth0", "podd388a6c6411"], {"default": "eth0", "sec1": "podd388a6c6411", "z": "pod594e519ae49"}),
        (["eth0", "podd388a6c6411", "net7"], {"default": "eth0", "sec1": "net1", "z": "net2"}),
        (["eth0", "net", "net1a", "xnet1"], {"default": "eth0", "sec1": "podd388a6c6411", "z": "pod594e519ae49"}),
    ],
)
def test_one_ordinal_name_is_enough_for_the_older_scheme(present: list[str], names: dict[str, str]) -> None:
    networks = [{"name": "default", "pod": {}}, SECONDARY, {"name": "z", "multus": {"networkName": "n"}}]
    assert pod_interface_names(networks, present) == names


@pytest.mark.parametrize(
    ("registered", "attachment"),
    [("tap", "tap"), ("managedTap", "managedTap"), ("Tap", "none"), ("frob", "none"), (None, "none")],
)
def test_the_attachment_must_be_spelled_exactly(registered: str | None, attachment: str) -> None:
    interface = {"name": "a", "binding": {"name": "b"}}
    assert attachment_of(interface, {"b": {"domainAttachmentType": registered}}) == attachment
    assert attachment_of(interface, {}) == "none", "an unregistered binding is no error here"


@pytest.mark.parametrize(
    ("method", "attachment"), [("masquerade", "masquerade"), ("bridge", "bridge"), ("passtBinding", "passt")]
)
def test_core_bindings(method: str, attachment: str) -> None:
    assert attachment_of({"name": "a", method: {}}, {}) == attachment


def test_a_core_binding_that_is_not_provided_is_refused_by_name() -> None:
    with pytest.raises(PodNetworkSetupError, match="core binding sriov is not provided"):
        attachment_of({"name": "a", "sriov": {}}, {})


def test_an_interface_without_a_binding_has_kubevirts_text() -> None:
    with pytest.raises(PodNetworkSetupError, match="undefined binding method"):
        attachment_of({"name": "a"}, {})


@dataclass
class Answer:
    returncode: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


class FakeNode:
    """A node whose pod has the given links."""

    name = "n"

    def __init__(self, *links: dict[str, object]) -> None:
        self.links = links

    async def run(
        self,
        *argv: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        netns: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> Answer:
        return Answer(stdout=json.dumps(self.links).encode())

    def socket(self, family: int, type: int, netns: str | None) -> socket.socket:
        raise NotImplementedError


def vmi(binding: str, network: Mapping[str, object]) -> dict[str, object]:
    interface = {"name": network["name"], "binding": {"name": binding}}
    return {"spec": {"domain": {"devices": {"interfaces": [interface]}}, "networks": [network]}}


def test_missing_pod_link_has_kubevirts_text() -> None:
    registrations = {"m": {"domainAttachmentType": "managedTap"}}
    with pytest.raises(PodNetworkSetupError, match=r"^pod link \(podd388a6c6411\) is missing$"):
        asyncio.run(setup_pod_network(FakeNode(), "p", vmi("m", SECONDARY), registrations))


def test_a_plugins_missing_link_is_no_error() -> None:
    cache = asyncio.run(setup_pod_network(FakeNode(), "p", vmi("passt", SECONDARY), {}))
    assert not cache["sec1"].exists


def test_tap_takes_the_tap_if_there_is_one_else_the_pod_interface() -> None:
    registrations = {"t": {"domainAttachmentType": "tap"}}
    macvtap: dict[str, object] = {"ifname": "podd388a6c6411", "mtu": 1400, "address": "02:00:00:00:00:01"}
    tap: dict[str, object] = {"ifname": "tapd388a6c6411", "mtu": 1400, "address": "02:00:00:00:00:02"}
    for links, target in (((macvtap,), "podd388a6c6411"), ((macvtap, tap), "tapd388a6c6411")):
        cache = asyncio.run(setup_pod_network(FakeNode(*links), "p", vmi("t", SECONDARY), registrations))
        found = cache["sec1"]
        assert (found.target, found.mac, found.mtu) == (target, "02:00:00:00:00:01", 1400)


def test_the_first_global_address_of_each_family_is_cached() -> None:
    addresses = [
        {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
        {"local": "fd00::5", "prefixlen": 64, "scope": "global"},
        {"local": "10.244.1.5", "prefixlen": 24, "scope": "global"},
        {"local": "10.244.1.6", "prefixlen": 24, "scope": "global"},
    ]
    link = {"ifname": "eth0", "mtu": 1500, "address": "02:00:00:00:00:01", "addr_info": addresses}
    cache = asyncio.run(setup_pod_network(FakeNode(link), "p", vmi("passt", {"name": "default", "pod": {}}), {}))
    assert cache["default"].addresses == ("10.244.1.5", "fd00::5")


def masquerade_plan(interface: dict[str, object], network: dict[str, object]) -> Plan:
    record = PodInterface("default", "eth0", "masquerade", True, "02:00:00:00:00:01", 1500, target="tap0")
    link = Link("eth0", "02:00:00:00:00:01", 1500, ("10.244.1.5/24", "fd00::5/64"))
    return Plan(record, link, interface, network, 0, "")


def rules_of(ports: list[dict[str, object]], version: Literal[4, 6] = 4, **pod: str) -> list[str]:
    """The rules below the chains, without the words they all begin with."""
    network: dict[str, object] = {"name": "default", "pod": pod}
    plan = masquerade_plan({"name": "default", "masquerade": {}, "ports": ports}, network)
    lines = nat_rules(GuestNetwork.of(version, network), "eth0", "k6t-eth0", plan)
    return [line.partition(" nat ")[2] for line in lines if line.startswith("add rule")]


def test_masquerade_without_ports_forwards_everything() -> None:
    assert rules_of([]) == [
        "postrouting ip saddr 10.0.2.2 counter masquerade",
        'prerouting iifname "eth0" counter jump KUBEVIRT_PREINBOUND',
        'postrouting oifname "k6t-eth0" counter jump KUBEVIRT_POSTINBOUND',
        "KUBEVIRT_PREINBOUND counter dnat to 10.0.2.2",
        "KUBEVIRT_POSTINBOUND ip saddr { 127.0.0.1 } counter snat to 10.0.2.1",
        "output ip daddr { 127.0.0.1 } counter dnat to 10.0.2.2",
    ]


def test_masquerade_with_ports_forwards_those() -> None:
    rules = rules_of([{"port": 80}, {"port": 53, "protocol": "UDP"}], version=6)
    assert rules[3:] == [
        "KUBEVIRT_PREINBOUND tcp dport 80 counter dnat to fd10:0:2::2",
        "KUBEVIRT_POSTINBOUND tcp dport 80 ip6 saddr { ::1 } counter snat to fd10:0:2::1",
        "output ip6 daddr { ::1 } tcp dport 80 counter dnat to fd10:0:2::2",
        "KUBEVIRT_PREINBOUND udp dport 53 counter dnat to fd10:0:2::2",
        "KUBEVIRT_POSTINBOUND udp dport 53 ip6 saddr { ::1 } counter snat to fd10:0:2::1",
        "output ip6 daddr { ::1 } udp dport 53 counter dnat to fd10:0:2::2",
    ]


def test_masquerade_on_a_network_of_the_vmis_own() -> None:
    assert rules_of([], vmNetworkCIDR="192.168.7.0/28")[0] == "postrouting ip saddr 192.168.7.2 counter masquerade"
