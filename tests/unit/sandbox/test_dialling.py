"""Dialling a VM's port: the errors of Go, and UDP that needs no answer."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import pytest

from conformance.sandbox.network.dialling import DialError, dial
from conformance.sandbox.network.node import Node


class _Here:
    """A node whose network is this machine's own."""

    def socket(self, family: int, type: int, netns: str | None = None) -> socket.socket:
        return socket.socket(family, type)


NODE = cast(Node, _Here())


@pytest.mark.parametrize(
    ("protocol", "address", "port", "text"),
    [
        ("frob", "127.0.0.1", "80", "dial frob: unknown network frob"),
        ("tcp", "127.0.0.1", "frob", "dial tcp: lookup tcp/frob: unknown port"),
        ("tcp", "", "80", "dial tcp :80: connect: connection refused"),
        ("tcp", "127.0.0.1", "1", "dial tcp 127.0.0.1:1: connect: connection refused"),
    ],
)
def test_what_cannot_be_dialled_is_told_as_go_tells_it(protocol: str, address: str, port: str, text: str) -> None:
    with pytest.raises(DialError) as refused:
        asyncio.run(dial(NODE, protocol, address, port))
    assert str(refused.value) == text


def test_udp_carries_datagrams_both_ways() -> None:
    async def talk() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.setblocking(False)
            reader, sink = await dial(NODE, "udp", "127.0.0.1", str(peer.getsockname()[1]))
            loop = asyncio.get_running_loop()
            sink.write(b"ping")
            data, sender = await loop.sock_recvfrom(peer, 100)
            await loop.sock_sendto(peer, data + b"-pong", sender)
            answer = await asyncio.wait_for(reader.read(100), 5)
            sink.close()
            return answer

    assert asyncio.run(talk()) == b"ping-pong"
