"""What a probe measured: values with their units and method, attached to a check also when it passes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from conformance.model import Measurement


class Measured(Protocol):
    """A result that can be put into the report as figures."""

    def measurements(self) -> tuple[Measurement, ...]: ...


@dataclass(frozen=True)
class TcpConnect:
    """One TCP connection: ``seconds`` until it was open, ``local`` our address, ``banner`` what the peer said first.

    ``error`` is empty when it worked, else the errno's name (``ECONNREFUSED``, ``ETIMEDOUT``, ``EHOSTUNREACH``).
    """

    host: str
    port: int
    ok: bool
    seconds: float
    local: str
    banner: str
    error: str

    def measurements(self) -> tuple[Measurement, ...]:
        return (Measurement("TCP connect", self.seconds, "s", f"one connection to port {self.port}"),)


@dataclass(frozen=True)
class TcpEcho:
    """A byte stream sent to an echo server and back. ``intact``: as many bytes came back, with the same SHA-256."""

    host: str
    port: int
    sent: int
    received: int
    intact: bool
    seconds: float
    error: str

    def measurements(self) -> tuple[Measurement, ...]:
        rate = self.received / self.seconds if self.seconds else 0.0
        return (Measurement("TCP echo", rate, "B/s", f"{self.sent} bytes to an echo server and back, by SHA-256"),)


@dataclass(frozen=True)
class UdpEcho:
    """Datagrams sent to an echo server: one flow per source port, in every flow each payload size once.

    ``sent``/``received`` count datagrams that came back intact; ``lost`` lists ``(flow, size)``; each datagram is tried
    ``attempts`` times before it counts as lost, since UDP may lose one.
    """

    host: str
    port: int
    flows: int
    sizes: tuple[int, ...]
    attempts: int
    sent: int
    received: int
    lost: tuple[tuple[int, int], ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return self.sent > 0 and self.received == self.sent

    def measurements(self) -> tuple[Measurement, ...]:
        method = f"{self.flows} flows, payloads of {list(self.sizes)} bytes, at most {self.attempts} attempts each"
        return (Measurement("UDP echo lost", float(len(self.lost)), "datagrams", method),)


@dataclass(frozen=True)
class Ping:
    """ICMP echo: ``size`` payload bytes, ``rtts`` in milliseconds of the answers that came."""

    host: str
    sent: int
    received: int
    size: int
    rtts_ms: tuple[float, ...]
    error: str

    @property
    def ok(self) -> bool:
        return self.received > 0

    def measurements(self) -> tuple[Measurement, ...]:
        method = f"{self.sent} echo requests with {self.size} bytes"
        lost = Measurement("ping lost", float(self.sent - self.received), "packets", method)
        if not self.rtts_ms:
            return (lost,)
        return lost, Measurement("ping round trip, median", statistics.median(self.rtts_ms), "ms", method)


@dataclass(frozen=True)
class Gap:
    """The longest stretch without an answer, from probes numbered and sent every ``interval`` seconds.

    ``seconds`` = from the last answered probe before the stretch to the first answered one after it, by send time,
    minus one interval (0.0 when nothing was lost); ``first_lost`` and ``last_lost`` number the probes of that stretch,
    -1 when none; ``sent`` and ``lost`` count all probes. ``open_ended``: no answer came after the stretch.
    """

    seconds: float
    first_lost: int
    last_lost: int
    interval: float
    sent: int
    lost: int
    open_ended: bool

    @classmethod
    def of(cls, sent_at: Sequence[float], lost: Sequence[int], interval: float) -> Gap:
        """From the times at which the probes were sent (seconds from the start) and the numbers without an answer."""
        stretches: list[tuple[int, int]] = []
        for number in sorted(lost):
            if stretches and number == stretches[-1][1] + 1:
                stretches[-1] = (stretches[-1][0], number)
            else:
                stretches.append((number, number))
        if not stretches:
            return cls(0.0, -1, -1, interval, len(sent_at), 0, False)

        def seconds(stretch: tuple[int, int]) -> float:
            before = sent_at[stretch[0] - 1] if stretch[0] > 0 else sent_at[0] - interval
            after = sent_at[stretch[1] + 1] if stretch[1] + 1 < len(sent_at) else sent_at[-1] + interval
            return max(0.0, after - before - interval)

        worst = max(stretches, key=seconds)
        return cls(seconds(worst), worst[0], worst[1], interval, len(sent_at), len(lost), worst[1] + 1 >= len(sent_at))

    def measurements(self) -> tuple[Measurement, ...]:
        method = f"longest stretch without an answer, one probe every {self.interval:g} s, {self.sent} sent"
        return (
            Measurement("gap", self.seconds, "s", method),
            Measurement("probes lost", float(self.lost), "packets", method),
        )


@dataclass(frozen=True)
class Peer:
    """Who talked to an echo server: the source address and port it saw, and how many bytes it got."""

    host: str
    port: int
    received: int
