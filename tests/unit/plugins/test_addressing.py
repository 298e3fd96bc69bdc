"""Addresses that the suite gives guests itself: one for each NIC, and none where the binding does so."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
import yaml

from conformance.kube.vmi import NicSpec
from conformance.model import Binding, Capability, CoreBinding, Facts, load_binding
from fixtures.addressing import beside, network_data, static_address, static_subnet
from fixtures.images import LOCK

FIRST, SECOND = "02:6b:62:07:00:03", "02:6b:62:07:01:03"
SUBNET = IPv4Network("10.99.0.0/16")


@pytest.fixture
def binding() -> Binding:
    return load_binding(LOCK.parent / "bindings" / "managedtap-static.yaml")


def ethernets(binding: Binding, *nics: NicSpec) -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load(network_data(binding, nics, FIRST))["ethernets"]
    return told


def test_no_two_nics_of_a_run_have_the_same_address() -> None:
    macs = [
        f"02:6b:62:{seed:02x}:{nic:02x}:{made:02x}" for seed in (0, 7, 255) for nic in (0, 1) for made in (1, 9, 90)
    ]
    addresses = {static_address(SUBNET, mac).ip for mac in macs}
    assert len(addresses) == len(macs)
    assert all(address in SUBNET for address in addresses)
    assert SUBNET.network_address not in addresses
    assert SUBNET.broadcast_address not in addresses


def test_a_nic_is_told_by_its_mac_address_and_a_second_one_that_may_come_too(binding: Binding) -> None:
    told = ethernets(binding, NicSpec("default", binding="b", network="quiet", mac=FIRST))
    assert beside(FIRST) == SECOND
    assert [nic["match"]["macaddress"] for nic in told.values()] == [FIRST, SECOND]
    assert [IPv4Interface(*nic["addresses"]) for nic in told.values()] == [
        static_address(SUBNET, mac) for mac in (FIRST, SECOND)
    ]


def test_two_nics_with_the_binding_are_told_once_each(binding: Binding) -> None:
    nics = [NicSpec(name, binding="b", network="quiet", mac=mac) for name, mac in (("a", FIRST), ("b", SECOND))]
    assert list(ethernets(binding, *nics)) == ["a", "b"]


def test_a_nic_of_kubevirts_own_binding_asks_by_dhcp(binding: Binding) -> None:
    told = ethernets(binding, NicSpec("default", core=CoreBinding.MASQUERADE, mac=FIRST))
    assert told["default"] == {"match": {"macaddress": FIRST}, "dhcp4": True}


def test_a_nic_whose_mac_address_nobody_gives_is_told_by_its_name(binding: Binding) -> None:
    assert ethernets(binding, NicSpec("default", binding="b"))["eth0"] == {"addresses": ["10.99.7.3/16"]}


def test_the_way_out_is_what_the_vendor_says(binding: Binding) -> None:
    facts = replace(binding.facts, gateway=IPv4Address("10.99.255.1"), nameservers=(IPv4Address("10.99.255.2"),))
    told = ethernets(replace(binding, facts=facts), NicSpec("default", binding="b", mac=FIRST))["default"]
    assert told["routes"] == [{"to": "0.0.0.0/0", "via": "10.99.255.1"}]
    assert told["nameservers"] == {"addresses": ["10.99.255.2"]}


@pytest.mark.parametrize("capability", [Capability.IPAM, Capability.POD_IP, Capability.NAT])
def test_what_a_binding_gives_the_suite_does_not(binding: Binding, capability: Capability) -> None:
    assert static_subnet(binding) == SUBNET
    assert static_subnet(replace(binding, declared=binding.declared | {capability})) is None


def test_a_network_that_is_too_small_is_not_used(binding: Binding) -> None:
    small = replace(binding, facts=Facts(guest_subnet=IPv4Network("10.99.0.0/17")))
    assert network_data(small, [NicSpec("default", binding="b", mac=FIRST)], FIRST) == ""
