"""Dialling a port from a node, with the errors of Go's net package: what virt-api does for portforward, and a kubelet
for its probes."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Final, Protocol, cast

from conformance.sandbox.network.node import Node

_SECONDS: Final = 10.0
_TYPES: Final = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class DialError(Exception):
    """The text is Go's: `dial tcp 10.244.1.5:81: connect: connection refused`."""


class Sink(Protocol):
    """Where bytes for the VM go; a UDP one sends a datagram per write."""

    def write(self, data: bytes) -> None:
        """Send, or buffer, `data`."""

    async def drain(self) -> None:
        """Wait until there is room again."""

    def close(self) -> None:
        """End the connection."""


async def dial(
    node: Node, protocol: str, address: str, port: str, seconds: float = 0.0
) -> tuple[asyncio.StreamReader, Sink]:
    """A connection from `node`, with the kernel's patience or for at most `seconds`. UDP needs no answer to succeed.

    Raises DialError.
    """
    if protocol not in _TYPES:
        raise DialError(f"dial {protocol}: unknown network {protocol}")
    if not port.isdigit():
        raise DialError(f"dial {protocol}: lookup {protocol}/{port}: unknown port")
    peer = f"dial {protocol} {f'[{address}]' if ':' in address else address}:{port}: "
    target = f"{peer}connect: "
    if not address:  # no address in the status: the dialler falls back to its own loopback, where nothing listens
        raise DialError(f"{target}connection refused")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = node.socket(family, _TYPES[protocol])
    sock.setblocking(False)
    try:
        loop = asyncio.get_running_loop()
        await asyncio.wait_for(loop.sock_connect(sock, (address, int(port))), seconds or _SECONDS)
        if protocol == "tcp":
            return await asyncio.open_connection(sock=sock)
        _, datagrams = await loop.create_datagram_endpoint(_Datagrams, sock=sock)
        return datagrams.reader, datagrams
    except TimeoutError:
        sock.close()
        raise DialError(f"{peer}i/o timeout" if seconds else f"{target}connection timed out") from None
    except OSError as error:
        sock.close()
        raise DialError(target + os.strerror(error.errno or errno.ECONNREFUSED).lower()) from None


class _Datagrams(asyncio.DatagramProtocol):
    """A connected UDP socket that reads as a stream."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own class is none in Python 3.11

    def datagram_received(self, data: bytes, _addr: object) -> None:
        self.reader.feed_data(data)

    def error_received(self, exc: Exception) -> None:
        self.reader.feed_eof()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.sendto(data)

    async def drain(self) -> None:
        """Datagrams do not queue up here."""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
