"""A UDP server that answers each datagram, or does not, for asyncio."""

import asyncio
from collections.abc import Callable
from typing import cast


class Responder(asyncio.DatagramProtocol):
    """Sends back to each sender what `answer` makes of its datagram; None sends nothing."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # a cast and no check: before Python 3.12 asyncio's own transport is no DatagramTransport
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._answer(data)
        if answer is not None:
            self._transport.sendto(answer, addr)
