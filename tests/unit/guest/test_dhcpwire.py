"""DHCP requests sent from a guest: on a real socket, to a server that answers as it is told."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from conformance.guest.dhcpwire import (
    DISCOVER,
    NOWHERE,
    DhcpAnswer,
    DhcpWire,
    broadcast_frame,
    encode_request,
    other_mac,
    parse_answer,
)
from fixtures.plugins.node_dhcp.opt.node_dhcp import packets
from fixtures.plugins.node_dhcp.opt.node_dhcp.packets import ACK, NAK, OFFER, REQUEST, Message
from tests.unit.guest.local_shell import LocalShell
from tests.unit.plugins.namespaces import Namespace, namespace, needs_root

MAC = "02:00:00:00:00:01"
OWN, SERVER, STALE = IPv4Address("127.0.0.1"), IPv4Address("127.0.0.2"), IPv4Address("10.9.9.9")
LEASED = {packets.LEASE_TIME: (3600).to_bytes(4), packets.SERVER_IDENTIFIER: SERVER.packed}


def reply(request: Message, kind: int = ACK, operation: int = 2) -> bytes:
    return Message(operation, request.transaction, request.client, kind, LEASED, offered=request.current).encode()


@contextmanager
def server(guest: Namespace, say: Callable[[Message], bytes]) -> Iterator[list[Message]]:
    """A DHCP server on the guest's own loopback, and what it has heard."""
    heard: list[Message] = []
    listener = guest.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    listener.bind((str(SERVER), packets.SERVER_PORT))
    listener.settimeout(0.1)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                data, peer = listener.recvfrom(2048)
            except TimeoutError:
                continue
            heard.append(Message.decode(data))
            listener.sendto(say(heard[-1]), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield heard
    finally:
        over.set()
        thread.join()
        listener.close()


@needs_root
def test_a_renewal_goes_to_the_server_from_the_address_held() -> None:
    with namespace() as guest:
        wire = DhcpWire(LocalShell(*guest.argv("sh", "-c")), "lo", MAC, OWN)
        with server(guest, reply) as heard:
            assert wire.renew(SERVER) == DhcpAnswer(True, OWN, 3600, SERVER)
        with server(guest, lambda request: reply(request, kind=NAK)):
            refused = wire.renew(SERVER)
        assert wire.renew(SERVER) is None
    assert refused is not None
    assert not refused.acknowledged
    (request,) = heard
    assert (request.kind, request.client.hex(":"), request.current) == (REQUEST, MAC, OWN)
    assert request.address(packets.REQUESTED_ADDRESS) is None


def test_a_client_that_remembers_an_address_asks_for_it_and_wants_a_broadcast() -> None:
    request = Message.decode(encode_request(7, MAC, NOWHERE, STALE))
    assert (request.transaction, request.current, request.flags) == (7, NOWHERE, packets.BROADCAST_FLAG)
    assert request.address(packets.REQUESTED_ADDRESS) == STALE
    assert request.address(packets.SERVER_IDENTIFIER) is None


def test_a_client_that_knows_nothing_asks_for_an_offer() -> None:
    request = Message.decode(encode_request(7, MAC, NOWHERE, NOWHERE, DISCOVER))
    assert (request.kind, request.current, request.flags) == (packets.DISCOVER, NOWHERE, packets.BROADCAST_FLAG)
    offer = reply(request, kind=packets.OFFER)
    assert parse_answer(offer, 7) is None
    assert parse_answer(offer, 7, (OFFER,)) == DhcpAnswer(False, NOWHERE, 3600, SERVER)


def test_a_client_names_the_options_it_wants() -> None:
    request = Message.decode(encode_request(7, MAC, NOWHERE, NOWHERE, DISCOVER, (66, 42)))
    assert request.options[55] == bytes((66, 42))
    answer = parse_answer(reply(request), 7)
    assert answer is not None
    assert answer.options[packets.LEASE_TIME] == LEASED[packets.LEASE_TIME]


def test_a_stranger_has_another_unicast_mac_address() -> None:
    assert other_mac(MAC) == "02:6b:63:00:00:01"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0" * 100,
        reply(Message(1, 8, bytes(6), REQUEST)),
        reply(Message(1, 7, bytes(6), REQUEST), kind=OFFER),
        reply(Message(1, 7, bytes(6), REQUEST), operation=1),
        reply(Message(1, 7, bytes(6), REQUEST))[:236] + bytes(64),
    ],
    ids=["nothing", "short", "of another exchange", "an offer", "a request", "no cookie"],
)
def test_what_answers_nothing_is_no_answer(packet: bytes) -> None:
    assert parse_answer(packet, 7) is None


def test_options_end_where_the_packet_does() -> None:
    whole = reply(Message(1, 7, bytes(6), REQUEST))
    for length in range(236, len(whole)):
        found = parse_answer(whole[:length], 7)
        assert found is None or found.acknowledged


def ones_complement(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("message", [b"\1" * 300, b"\xfe" * 300])
def test_a_client_without_an_address_sends_from_none(message: bytes) -> None:
    frame = broadcast_frame(message, MAC)
    assert frame[:14] == b"\xff" * 6 + bytes.fromhex(MAC.replace(":", "")) + b"\x08\0"
    head, datagram = frame[14:34], frame[34:]
    assert (head[9], head[12:16], head[16:20]) == (17, bytes(4), b"\xff" * 4)
    assert struct.unpack("!HHH", datagram[:6]) == (68, 67, 8 + len(message))
    assert datagram[8:] == message
    # With its own checksum in it, the sum of what a checksum covers has every bit set.
    assert ones_complement(head) == 0xFFFF
    assert ones_complement(head[12:20] + struct.pack("!HH", 17, len(datagram)) + datagram) == 0xFFFF
