"""What DHCP clients tell of their leases, in the words of each."""

from __future__ import annotations

import pytest

from conformance.guest.dhcp import DhcpClient, Offered, parse_lease
from conformance.guest.shell import GuestLacks
from tests.unit.guest.local_shell import LocalShell

DHCPCD = """reason=BOUND
interface=eth0
protocol=dhcp
ip_address=10.244.1.5
host_name=main-1
interface_mtu=1450
dhcp_lease_time=3600
"""
NETWORKMANAGER = """DHCP4.OPTION[1]:dhcp_client_identifier = 01:02:6b:62:9f:00:01
DHCP4.OPTION[4]:host_name = main-1
DHCP4.OPTION[5]:interface_mtu = 1450
DHCP4.OPTION[9]:requested_host_name = 1
DHCP4.OPTION[10]:requested_interface_mtu = 1
"""
NETWORKD = """# This is private data. Do not parse.
ADDRESS=10.244.1.5
NETMASK=255.255.255.0
MTU=1450
HOSTNAME=main-1
CLIENTID=ff0000
"""


@pytest.mark.parametrize(
    "text",
    [DHCPCD, NETWORKMANAGER, NETWORKD, DHCPCD.replace("=main-1", "='main-1'")],
    ids=["dhcpcd", "nm", "networkd", "quoted"],
)
def test_mtu_and_host_name_are_read(text: str) -> None:
    assert parse_lease(text) == Offered(1450, "main-1")


def test_the_search_list_of_networkd_is_read() -> None:
    told = f"{NETWORKD}DOMAIN_SEARCH_LIST=vms.svc.cluster.local cluster.local\n"
    assert parse_lease(told).search == ("vms.svc.cluster.local", "cluster.local")


def test_what_a_lease_does_not_say_is_none() -> None:
    assert parse_lease("interface=eth0\nDHCP4.OPTION[9]:requested_host_name = 1\n") == Offered(None, None)


def test_a_client_that_keeps_no_lease_cannot_tell() -> None:
    with pytest.raises(GuestLacks, match="udhcpc keeps no record"):
        DhcpClient("udhcpc", "eth0", 7).offered(LocalShell())
