"""Single DHCP requests that the guest sends beside its own client, and what the server says to them (RFC 2131).

A client renews when it thinks fit, and keeps the answer to itself; here each message of a lease's life can be sent at
will. They carry the NIC's MAC address and no client identifier, so that a server which goes by either takes them for
the client's own.
"""

from __future__ import annotations

import base64
import secrets
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from conformance.guest.echo import tools_of
from conformance.guest.frames import broadcast_datagram, hardware
from conformance.guest.root import as_root
from conformance.guest.shell import GuestLacks, Shell

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
_ADDRESS, _LEASE_TIME, _TYPE, _SERVER, _ASKED, _END = 50, 51, 53, 54, 55, 255
_PAD: Final = 0
_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_BROADCAST_FLAG = 0x8000
_SHORTEST = 300
_WAITS = (1, 2, 4)
"""Seconds to wait for an answer, attempt by attempt, as a client backs off (RFC 2131, 4.1)."""
NOWHERE, EVERYWHERE = IPv4Address(0), IPv4Address("255.255.255.255")

# A line for each place where the answer may come in: at the address that the guest holds, where the client's own socket
# would take it from one bound to every address, and at every address, where alone a broadcast arrives.
_SOCAT = (
    "( socat -T {seconds} -u UDP4-RECV:68,reuseaddr,so-bindtodevice={nic} - | base64 | tr -d '\\n' ) & sleep 0.2; "
    "( echo {message} | base64 -d | socat -b 2048 -t {seconds} - "
    "UDP4-DATAGRAM:{target}:67,bind={source}:68,reuseaddr,broadcast,so-bindtodevice={nic} | base64 | tr -d '\\n'; "
    "echo ); wait"
)
# A client that has no address sends from none. The kernel would put the NIC's own into its datagram, which a server may
# take for a packet of its own pod; so the whole frame is made here. Its answer is broadcast.
_SOCAT_FRAME = (
    "( socat -T {seconds} -u UDP4-RECV:68,reuseaddr,so-bindtodevice={nic} - | base64 | tr -d '\\n' ) & sleep 0.2; "
    "echo {message} | base64 -d | socat -b 2048 -u - INTERFACE:{nic}; wait"
)
_PYTHON = """
python3 - <<'KBC'
import base64, select, socket
sockets = []
for address in "{source}", "0.0.0.0":
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in socket.SO_REUSEADDR, socket.SO_BROADCAST:
        s.setsockopt(socket.SOL_SOCKET, option, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"{nic}")
    s.bind((address, 68))
    sockets.append(s)
sockets[0].sendto(base64.b64decode("{message}"), ("{target}", 67))
for s in select.select(sockets, [], [], {seconds})[0]:
    print(base64.b64encode(s.recv(2048)).decode())
KBC
"""
_PYTHON_FRAME = """
python3 - <<'KBC'
import base64, select, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"{nic}")
s.bind(("0.0.0.0", 68))
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("{nic}", 0))
link.send(base64.b64decode("{message}"))
if select.select([s], [], [], {seconds})[0]:
    print(base64.b64encode(s.recv(2048)).decode())
KBC
"""
_DATAGRAM, _FRAME = {"python3": _PYTHON, "socat": _SOCAT}, {"python3": _PYTHON_FRAME, "socat": _SOCAT_FRAME}


@dataclass(frozen=True)
class DhcpAnswer:
    """What a server said: whether it acknowledges (an offer does not), the address it names, for how many seconds (None
    where it does not say), and its identifier. ``options`` are all that it sent, by their codes.
    """

    acknowledged: bool
    address: IPv4Address
    seconds: int | None
    server: IPv4Address | None
    options: Mapping[int, bytes] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class DhcpWire:
    """Requests in the name of a client with ``mac`` that holds ``address``, sent on a NIC. None is silence, at as many
    attempts as there are ``waits``.
    """

    shell: Shell
    nic: str
    mac: str
    address: IPv4Address
    waits: tuple[int, ...] = _WAITS

    def discover(self, asked: Collection[int] = ()) -> DhcpAnswer | None:
        """What a client sends that knows nothing yet, and wants these options; the answer is an offer."""
        return self._ask(EVERYWHERE, NOWHERE, kind=DISCOVER, asked=asked)

    def renew(self, server: IPv4Address) -> DhcpAnswer | None:
        """What a client sends from T1 on: to the server alone, from the address it holds."""
        return self._ask(server, self.address, current=self.address)

    def rebind(self) -> DhcpAnswer | None:
        """What a client sends from T2 on: to everybody, from the address it holds."""
        return self._ask(EVERYWHERE, self.address, current=self.address)

    def verify(self, address: IPv4Address) -> DhcpAnswer | None:
        """What a client sends at boot that remembers ``address``, and does not know whether it may still have it."""
        return self._ask(EVERYWHERE, NOWHERE, requested=address)

    def _ask(
        self,
        target: IPv4Address,
        source: IPv4Address,
        *,
        current: IPv4Address = NOWHERE,
        requested: IPv4Address = NOWHERE,
        kind: int = REQUEST,
        asked: Collection[int] = (),
    ) -> DhcpAnswer | None:
        wanted = (OFFER,) if kind == DISCOVER else (ACK, NAK)
        for seconds in self.waits:
            transaction = secrets.randbits(32)
            message = encode_request(transaction, self.mac, current, requested, kind, asked)
            packets = self._exchange(message, target, source, seconds)
            answers = (parse_answer(packet, transaction, wanted) for packet in packets)
            found = next((answer for answer in answers if answer is not None), None)
            if found is not None:
                return found
        return None

    def _exchange(self, message: bytes, target: IPv4Address, source: IPv4Address, seconds: int) -> list[bytes]:
        templates, tools = _FRAME if source == NOWHERE else _DATAGRAM, tools_of(self.shell)
        template = next((text for tool, text in templates.items() if tool in tools), None)
        if template is None:
            raise GuestLacks(f"{self.shell.guest}: a DHCP request needs python3 or socat, it has {', '.join(tools)}")
        sent = broadcast_frame(message, self.mac) if source == NOWHERE else message
        command = template.format(
            message=base64.b64encode(sent).decode(), target=target, source=source, nic=self.nic, seconds=seconds
        )
        told = self.shell.run(as_root(command), timeout=60, check=True).stdout
        return [base64.b64decode(line) for line in told.split()]


def encode_request(
    transaction: int,
    mac: str,
    current: IPv4Address,
    requested: IPv4Address,
    kind: int = REQUEST,
    asked: Collection[int] = (),
) -> bytes:
    """A DHCPREQUEST that names no server, or another message of a client; one without an address wants its answer
    broadcast.
    """
    flags = _BROADCAST_FLAG if current == NOWHERE else 0
    nobody = NOWHERE.packed
    fixed = (
        1,
        1,
        6,
        0,
        transaction,
        0,
        flags,
        current.packed,
        nobody,
        nobody,
        nobody,
        hardware(mac),
        b"",
        b"",
        _COOKIE,
    )
    options = {_TYPE: bytes([kind])}
    if requested != NOWHERE:
        options[_ADDRESS] = requested.packed
    if asked:
        options[_ASKED] = bytes(asked)
    body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    return (_FIXED.pack(*fixed) + body + bytes([_END])).ljust(_SHORTEST, b"\0")


def broadcast_frame(message: bytes, mac: str) -> bytes:
    """The Ethernet frame of a client without an address: from 0.0.0.0:68 to 255.255.255.255:67 (RFC 2131, 4.1)."""
    return broadcast_datagram(mac, (NOWHERE, 68), (EVERYWHERE, 67), message)


def parse_answer(packet: bytes, transaction: int, wanted: Collection[int] = (ACK, NAK)) -> DhcpAnswer | None:
    """The answer in a datagram, of a kind that is wanted; None for anything else, and for other transactions."""
    if len(packet) < _FIXED.size:
        return None
    fixed = _FIXED.unpack_from(packet)
    options = _options(packet[_FIXED.size :])
    kind = options.get(_TYPE, b"\0")[0]
    if (fixed[0], fixed[4], fixed[-1]) != (2, transaction, _COOKIE) or kind not in wanted:
        return None
    seconds, server = options.get(_LEASE_TIME, b""), options.get(_SERVER, b"")
    return DhcpAnswer(
        kind == ACK,
        IPv4Address(fixed[8]),
        int.from_bytes(seconds) if len(seconds) == 4 else None,
        IPv4Address(server) if len(server) == 4 else None,
        options,
    )


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while data and data[0] != _END:
        if data[0] == _PAD:
            data = data[1:]
            continue
        length = data[1] if len(data) > 1 else 0
        found[data[0]] = data[2 : 2 + length]
        data = data[2 + length :]
    return {code: value for code, value in found.items() if value}


def other_mac(mac: str) -> str:
    """The MAC address of a host that nobody is, made from one that somebody has: unicast, locally administered."""
    return f"02:6b:63:{mac[-8:]}"
