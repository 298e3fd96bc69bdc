"""Probes for a guest's own addresses, on a link where somebody has them and on one where nobody has."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

import pytest

from conformance.guest.conflict import Claim, claims, parse_claim, probe
from tests.unit.guest.local_shell import LocalShell
from tests.unit.plugins.namespaces import Namespace, namespace, needs_root

OWN, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
ADDRESS, ADDRESS6 = IPv4Address("10.9.9.9"), IPv6Address("fd00::12:3456")


@contextmanager
def link() -> Iterator[tuple[Namespace, Namespace]]:
    """Two network namespaces on one link, with the two MAC addresses."""
    with namespace() as guest, namespace() as other:
        peer = ("type", "veth", "peer", "name", "eth0", "address", OTHER, "netns", str(other.pid))
        guest.run("ip", "link", "add", "eth0", "address", OWN, *peer)
        for side in guest, other:
            side.run("ip", "link", "set", "eth0", "up")
        yield guest, other


@needs_root
def test_whoever_has_the_address_is_found() -> None:
    with link() as (guest, other):
        guest.run("ip", "address", "add", f"{ADDRESS}/24", "dev", "eth0")
        shell = LocalShell(*guest.argv("sh", "-c"))
        assert claims(shell, "eth0", OWN, [ADDRESS, ADDRESS6]) == ()
        other.run("ip", "address", "add", f"{ADDRESS}/24", "dev", "eth0")
        other.run("ip", "address", "add", f"{ADDRESS6}/64", "dev", "eth0", "nodad")
        found = claims(shell, "eth0", OWN, [ADDRESS, ADDRESS6])
    assert sorted(found, key=str) == [Claim(ADDRESS, OTHER), Claim(ADDRESS6, OTHER)]


def test_an_arp_probe_has_no_sender_address() -> None:
    frame = probe(OWN, ADDRESS)
    assert frame[:6] == b"\xff" * 6
    assert frame[28:32] == bytes(4)
    assert frame[38:42] == ADDRESS.packed


def test_a_neighbour_solicitation_goes_to_the_group_of_the_address() -> None:
    frame = probe(OWN, ADDRESS6)
    assert frame[:6].hex(":") == "33:33:ff:12:34:56"
    assert IPv6Address(frame[22:38]) == IPv6Address("::")
    assert IPv6Address(frame[38:54]) == IPv6Address("ff02::1:ff12:3456")
    message = frame[54:]
    covered = frame[22:54] + struct.pack("!II", len(message), socket.IPPROTO_ICMPV6) + message
    assert sum(struct.unpack(f"!{len(covered) // 2}H", covered)) % 0xFFFF == 0


@pytest.mark.parametrize("length", [0, 13, 20, 41])
def test_a_frame_cut_short_claims_nothing(length: int) -> None:
    assert parse_claim(probe(OTHER, ADDRESS)[:length], OWN) is None


def test_the_guests_own_frames_claim_nothing() -> None:
    assert parse_claim(probe(OWN, ADDRESS), OWN) is None
    assert parse_claim(probe(OWN, ADDRESS6), OWN) is None
