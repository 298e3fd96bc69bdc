"""Ethernet frames that a guest puts on its link as they are, past its own addresses and routes."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address
from typing import Final

EVERYBODY: Final = b"\xff" * 6
ARP, IPV4, IPV6 = b"\x08\x06", b"\x08\x00", b"\x86\xdd"


def hardware(mac: str) -> bytes:
    """The six bytes of a MAC address."""
    return bytes.fromhex(mac.replace(":", ""))


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071); an odd number of bytes is padded with a zero."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def broadcast_datagram(
    mac: str, source: tuple[IPv4Address, int], target: tuple[IPv4Address, int], message: bytes
) -> bytes:
    """A frame to everybody on the link with a UDP datagram in it; the ends are address and port."""
    ends = source[0].packed + target[0].packed
    length = 8 + len(message)
    datagram = struct.pack("!HHH", source[1], target[1], length)
    total = checksum(ends + struct.pack("!HH", socket.IPPROTO_UDP, length) + datagram + message) or 0xFFFF
    datagram += struct.pack("!H", total) + message
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0, 64, socket.IPPROTO_UDP)
    packet = head + struct.pack("!H", checksum(head + ends)) + ends + datagram
    return EVERYBODY + hardware(mac) + IPV4 + packet
