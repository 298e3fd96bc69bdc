"""DHCP messages and frames of the node DHCP server, byte by byte."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.plugins.node_dhcp.opt.node_dhcp import packets
from fixtures.plugins.node_dhcp.opt.node_dhcp.packets import Datagram, Message, PacketError

CLIENT = bytes.fromhex("020000000002")
SERVER_MAC = bytes.fromhex("0a0000000001")
addresses = st.integers(0, 2**32 - 1).map(IPv4Address)
option_codes = st.integers(1, 254).filter(lambda code: code != packets.MESSAGE_TYPE)


def message(**fields: bytes) -> Message:
    return Message(1, 0xDEADBEEF, CLIENT, packets.DISCOVER, {int(name[1:]): value for name, value in fields.items()})


@given(
    transaction=st.integers(0, 2**32 - 1),
    client=st.binary(min_size=6, max_size=6),
    kind=st.integers(1, 8),
    options=st.dictionaries(option_codes, st.binary(max_size=600), max_size=4),
    parts=st.tuples(addresses, addresses, addresses, addresses),
)
def test_what_is_encoded_is_decoded(
    transaction: int,
    client: bytes,
    kind: int,
    options: dict[int, bytes],
    parts: tuple[IPv4Address, IPv4Address, IPv4Address, IPv4Address],
) -> None:
    made = Message(2, transaction, client, kind, options, 0x8000, *parts)
    assert Message.decode(made.encode()) == made


def test_a_discover_of_rfc_2131_is_read() -> None:
    wire = bytes.fromhex("01010600deadbeef00008000") + bytes(16) + CLIENT + bytes(10 + 64 + 128)
    wire += bytes.fromhex("6382536335010132040af401050c0476697274ff")
    read = Message.decode(wire)
    assert (read.kind, read.client, read.transaction, read.flags) == (packets.DISCOVER, CLIENT, 0xDEADBEEF, 0x8000)
    assert read.address(packets.REQUESTED_ADDRESS) == IPv4Address("10.244.1.5")
    assert read.options[packets.HOST_NAME] == b"virt"


def test_a_message_is_padded_for_old_clients() -> None:
    assert len(message().encode()) == 300


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(240),
        message().encode()[:1] + b"\x06" + message().encode()[2:],
        message().encode()[:240] + b"\xff",
        message().encode()[:240] + b"\x35\x01\x01\x03\x09abc",
        message().encode()[:240] + b"\x35",
    ],
    ids=["empty", "no cookie", "no Ethernet", "no type", "option cut off", "option without length"],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        Message.decode(data)


def test_classless_routes_have_only_the_significant_octets() -> None:
    routes = {
        IPv4Network("10.244.0.0/16"): IPv4Address("10.244.1.1"),
        IPv4Network("0.0.0.0/0"): IPv4Address("10.244.1.1"),
    }
    assert packets.classless_routes(routes) == bytes.fromhex("100af40af40101000af40101")


def test_a_search_list_is_a_row_of_labels() -> None:
    assert packets.domain_search(("svc.a", "b.")) == b"\x03svc\x01a\x00\x01b\x00"


def datagram(payload: bytes = b"payload") -> Datagram:
    source, target = IPv4Address("10.244.1.1"), IPv4Address("10.244.1.5")
    return Datagram(SERVER_MAC, CLIENT, source, target, 67, 68, payload)


@given(st.binary(max_size=1400))
def test_a_frame_is_read_as_it_was_made(payload: bytes) -> None:
    assert Datagram.decode(datagram(payload).encode()) == datagram(payload)


@given(st.binary(max_size=200))
def test_both_checksums_add_up(payload: bytes) -> None:
    frame = datagram(payload).encode()
    udp = frame[34:]
    pseudo = frame[26:34] + struct.pack("!BBH", 0, 17, len(udp))
    assert ones_complement_sum(frame[14:34]) == 0xFFFF
    assert ones_complement_sum(pseudo + udp) == 0xFFFF


def ones_complement_sum(data: bytes) -> int:
    words: tuple[int, ...] = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total = sum(words)
    while total > 0xFFFF:
        total = total % 0x10000 + total // 0x10000
    return total


@pytest.mark.parametrize(
    "frame",
    [
        b"short",
        datagram().encode()[:12] + b"\x86\xdd" + datagram().encode()[14:],
        datagram().encode()[:20] + b"\x20\x00" + datagram().encode()[22:],
        datagram().encode()[:23] + b"\x06" + datagram().encode()[24:],
    ],
    ids=["short", "IPv6", "fragment", "TCP"],
)
def test_what_is_no_whole_datagram_is_refused(frame: bytes) -> None:
    with pytest.raises(PacketError):
        Datagram.decode(frame)
