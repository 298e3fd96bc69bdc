"""What a probe measured: values with units and method, attached to a check also when it passes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol


class Measurement(Protocol):
    """Anything the report can carry: a name for the quantity, and a flat JSON object with units in the keys."""

    @property
    def quantity(self) -> str: ...

    def as_json(self) -> dict[str, object]: ...


@dataclass(frozen=True)
class _Flat:
    """``as_json`` of a frozen dataclass."""

    def as_json(self) -> dict[str, object]:
        return {"quantity": self.quantity, **asdict(self)}

    @property
    def quantity(self) -> str:
        return type(self).__name__


@dataclass(frozen=True)
class TcpConnect(_Flat):
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


@dataclass(frozen=True)
class TcpEcho(_Flat):
    """A byte stream sent to an echo server and back. ``intact``: as many bytes came back, with the same SHA-256."""

    host: str
    port: int
    sent: int
    received: int
    intact: bool
    seconds: float
    error: str


@dataclass(frozen=True)
class UdpEcho(_Flat):
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


@dataclass(frozen=True)
class Ping(_Flat):
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


@dataclass(frozen=True)
class Gap(_Flat):
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


@dataclass(frozen=True)
class Peer(_Flat):
    """Who talked to an echo server: the source address and port it saw, and how many bytes it got."""

    host: str
    port: int
    received: int
