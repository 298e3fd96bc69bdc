"""DHCPv6: one address for whoever asks, behind masquerade (RFC 8415). No router is announced: KubeVirt sends no RA."""

import ipaddress
import struct
from collections.abc import Iterator, Sequence

from .lease import LEASE_SECONDS

SOLICIT, ADVERTISE, REPLY = 1, 2, 7

_ANSWERED = (SOLICIT, 3, 4, 5, 6, 8, 11)
"""SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, RELEASE and INFORMATION-REQUEST."""
_CLIENT_ID, _SERVER_ID, _IA_NA, _IA_ADDRESS, _RAPID_COMMIT, _DNS = 1, 2, 3, 5, 14, 23
_DUID_LL, _ETHERNET = 3, 1


def answer(packet: bytes, address: str, server_mac: bytes, nameservers: Sequence[str]) -> bytes | None:
    """The answer to a client's message, None for one that gets none.

    Every answer carries the address, also one to a message that asks for none: KubeVirt adds it unasked.
    """
    if len(packet) < 4 or packet[0] not in _ANSWERED:
        return None
    asked = dict(_options(packet[4:]))
    if _CLIENT_ID not in asked:
        return None
    advertise = packet[0] == SOLICIT and _RAPID_COMMIT not in asked
    answer = bytes([ADVERTISE if advertise else REPLY]) + packet[1:4]
    answer += _option(_CLIENT_ID, asked[_CLIENT_ID])
    answer += _option(_SERVER_ID, struct.pack("!HH", _DUID_LL, _ETHERNET) + server_mac)
    if packet[0] == SOLICIT and not advertise:
        answer += _option(_RAPID_COMMIT, b"")
    lifetimes = struct.pack("!II", LEASE_SECONDS, LEASE_SECONDS)
    own = _option(_IA_ADDRESS, ipaddress.IPv6Address(address).packed + lifetimes)
    association = asked.get(_IA_NA, b"")[:4].ljust(4, b"\0")
    answer += _option(_IA_NA, association + struct.pack("!II", 0, 0) + own)
    if servers := [ipaddress.IPv6Address(text).packed for text in nameservers if ":" in text]:
        answer += _option(_DNS, b"".join(servers))
    return answer


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def _options(area: bytes) -> Iterator[tuple[int, bytes]]:
    while len(area) >= 4:
        code, length = struct.unpack_from("!HH", area)
        if len(area) < 4 + length:
            return
        yield code, area[4 : 4 + length]
        area = area[4 + length :]
