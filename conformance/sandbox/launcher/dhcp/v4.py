"""DHCPv4: an offer for every DISCOVER and an acknowledgement for every REQUEST of the one client (RFC 2131)."""

import ipaddress
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .lease import LEASE_SECONDS, Lease, Route
from .resolver import Resolver

DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_BOOT_REQUEST, _BOOT_REPLY = 1, 2
_BROADCAST = 0x8000
_MINIMUM_BYTES = 272
_PAD, _MASK, _ROUTER, _DNS, _HOSTNAME, _DOMAIN, _MTU = 0, 1, 3, 6, 12, 15, 26
_LEASE_TIME, _TYPE, _SERVER_ID, _SEARCH, _ROUTES, _END = 51, 53, 54, 119, 121, 255
_OPTION_LIMIT = 255


class OptionError(ValueError):
    """What the pod or the VMI asks for does not fit into a DHCP option."""


@dataclass(frozen=True)
class Message:
    """A client's message: its type, and the fields that an answer repeats."""

    type: int
    hardware_type: int
    hardware_length: int
    transaction: int
    seconds: int
    flags: int
    relay: bytes
    hardware: bytes

    @property
    def mac(self) -> str:
        """The client's hardware address, in colon notation."""
        return self.hardware[: self.hardware_length].hex(":")

    @property
    def broadcast(self) -> bool:
        """Whether the client wants its answer broadcast."""
        return bool(self.flags & _BROADCAST)


def parse(packet: bytes) -> Message | None:
    """The message in a UDP payload, None for what is not a DHCP request."""
    if len(packet) < _HEADER.size:
        return None
    op, kind, length, _, transaction, seconds, flags, _, _, _, relay, hardware, _, _, cookie = _HEADER.unpack_from(
        packet
    )
    message_type = _message_type(packet[_HEADER.size :])
    if op != _BOOT_REQUEST or cookie != _COOKIE or length > len(hardware) or message_type is None:
        return None
    return Message(message_type, kind, length, transaction, seconds, flags, relay, hardware)


def options(lease: Lease, resolver: Resolver, hostname: str) -> Mapping[int, bytes]:
    """The options of every answer. Raises OptionError for search domains that take more than 255 bytes."""
    assert lease.address is not None
    found = {
        _DNS: b"".join(ipaddress.IPv4Address(text).packed for text in resolver.nameservers if ":" not in text),
        _MTU: struct.pack("!H", lease.mtu),
        _MASK: ipaddress.IPv4Interface(lease.address).netmask.packed,
        _HOSTNAME: hostname.encode(),
    }
    if lease.router is not None:
        found[_ROUTER] = ipaddress.IPv4Address(lease.router).packed
    if lease.routes:
        found[_ROUTES] = _classless_routes(lease.routes)
    if resolver.search:
        found[_SEARCH] = _search_list(resolver.search)
    if resolver.domain:
        found[_DOMAIN] = resolver.domain.encode()
    return found | {code: bytes.fromhex(value) for code, value in lease.options}


def answer(message: Message, lease: Lease, told: Mapping[int, bytes]) -> bytes | None:
    """The answer to a message, None when it gets none: another client's, or neither DISCOVER nor REQUEST."""
    kinds = {DISCOVER: OFFER, REQUEST: ACK}
    if message.type not in kinds or (lease.mac is not None and message.mac != lease.mac.lower()):
        return None
    assert lease.address is not None
    assert lease.server is not None
    none = bytes(4)
    own = ipaddress.IPv4Interface(lease.address).ip.packed
    packet = _HEADER.pack(
        *(_BOOT_REPLY, message.hardware_type, message.hardware_length, 0),
        *(message.transaction, message.seconds, message.flags),
        *(none, own, none, message.relay, message.hardware, bytes(64), bytes(128), _COOKIE),
    )
    head = {
        _TYPE: bytes([kinds[message.type]]),
        _SERVER_ID: ipaddress.IPv4Address(lease.server).packed,
        _LEASE_TIME: struct.pack("!I", LEASE_SECONDS),
    }
    for code, value in [*head.items(), *told.items()]:
        packet += bytes([code, len(value)]) + value
    return (packet + bytes([_END])).ljust(_MINIMUM_BYTES, bytes([_PAD]))


def _message_type(area: bytes) -> int | None:
    position = 0
    while position + 1 < len(area) and area[position] != _END:
        if area[position] == _PAD:
            position += 1
            continue
        length = area[position + 1]
        value = area[position + 2 : position + 2 + length]
        if area[position] == _TYPE and len(value) == 1:
            return value[0]
        position += 2 + length
    return None


def _classless_routes(routes: Sequence[Route]) -> bytes:
    """RFC 3442; the default route comes last, since the way to its gateway may be one of the others."""
    encoded = b""
    for route in sorted(routes, key=lambda route: route.destination == "default"):
        network = ipaddress.IPv4Network("0.0.0.0/0" if route.destination == "default" else route.destination)
        significant = network.network_address.packed[: (network.prefixlen + 7) // 8]
        encoded += bytes([network.prefixlen]) + significant
        encoded += ipaddress.IPv4Address(route.gateway or "0.0.0.0").packed
    return encoded


def _search_list(domains: Sequence[str]) -> bytes:
    """RFC 3397 without compression."""
    encoded = b""
    for domain in domains:
        encoded += b"".join(bytes([len(label)]) + label.encode() for label in domain.split(".")) + b"\0"
    if len(encoded) > _OPTION_LIMIT:
        raise OptionError(f"Search domains length exceeded allowable size: was {len(encoded)} long")
    return encoded
