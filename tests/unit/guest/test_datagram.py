"""A datagram out of one of two NICs, to a target that the routes put behind the other."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

from conformance.guest.datagram import send_out_of
from conformance.guest.facts import GuestNic
from tests.unit.guest.local_shell import LocalShell
from tests.unit.plugins.namespaces import namespace, needs_root

OWN, TARGET, PORT = IPv4Address("10.9.8.1"), IPv4Address("10.9.9.9"), 7007
NIC = GuestNic("eth1", "02:00:00:00:00:01", 1500, "up", True, 1, (), "", "")


@needs_root
def test_it_leaves_by_the_nic_that_is_named_both_ways() -> None:
    with namespace() as guest, namespace() as other:
        for index, ends in enumerate((("10.9.9.1/24", "10.9.9.2/24"), (f"{OWN}/24", f"{TARGET}/32"))):
            peer = ("type", "veth", "peer", "name", f"eth{index}", "netns", str(other.pid))
            guest.run("ip", "link", "add", f"eth{index}", *peer)
            for side, address in zip((guest, other), ends, strict=True):
                side.run("ip", "address", "add", address, "dev", f"eth{index}")
                side.run("ip", "link", "set", f"eth{index}", "up")
        other.run("ip", "route", "add", f"{OWN}/32", "dev", "eth1")
        server = other.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth1")
            server.bind((str(TARGET), PORT))
            server.settimeout(0.1)
            shell = LocalShell(*guest.argv("sh", "-c"))
            send_out_of(shell, NIC, OWN, (TARGET, PORT), b"hello", seconds=1)
            heard = [server.recvfrom(64) for _ in range(2)]
    assert {(data, peer[0]) for data, peer in heard} == {(b"hello", str(OWN))}
