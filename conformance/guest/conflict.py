"""Address conflict detection from inside a guest: who says that the guest's own addresses are taken.

What a guest does at boot before it uses an address, by ARP (RFC 5227) and by neighbour discovery (RFC 4862, 5.4), done
again on the wire: whatever network stack the guest has, and whether or not it looks.
"""

from __future__ import annotations

import base64
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from conformance.guest.echo import tools_of
from conformance.guest.frames import ARP, EVERYBODY, IPV6, checksum, hardware
from conformance.guest.root import as_root
from conformance.guest.shell import GuestLacks, Shell

Address: TypeAlias = IPv4Address | IPv6Address

PROBES, INTERVAL = 3, 1
"""How often, and how many seconds apart, as RFC 5227 has it; the last is followed by another interval of listening."""
_NOBODY = IPv6Address("::")
_ETHERNET_IPV4 = bytes.fromhex("000108000604")
_SOLICITATION, _ADVERTISEMENT, _HOP_LIMIT = 135, 136, 255
_SOLICITED: Final = bytes.fromhex("ff0200000000000000000001ff")

# Frames come out as lines of hexadecimal bytes, as socat -x writes them.
_SOCAT = (
    "( timeout {seconds} socat -b 2048 -x -u INTERFACE:{nic} OPEN:/dev/null 2>&1 "
    "| grep -E '^ (.. ){{12}}(08 06|86 dd)' ) & sleep 0.5; "
    "for _ in {rounds}; do for frame in {frames}; do "
    "echo $frame | base64 -d | socat -b 2048 -u - INTERFACE:{nic}; done; sleep {interval}; done; wait"
)
_PYTHON = """
python3 - <<'KBC'
import base64, select, socket, time
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind(("{nic}", 3))
for _ in "{rounds}".split():
    for frame in "{frames}".split():
        link.send(base64.b64decode(frame))
    over = time.monotonic() + {interval}
    while select.select([link], [], [], max(0, over - time.monotonic()))[0]:
        frame = link.recv(2048)
        if frame[12:14] in (b"\\x08\\x06", b"\\x86\\xdd"):
            print("", frame.hex(" "))
KBC
"""
_SCRIPTS = {"python3": _PYTHON, "socat": _SOCAT}


@dataclass(frozen=True)
class Claim:
    """Somebody else, at ``mac``, says that it has ``address``."""

    address: Address
    mac: str


def claims(shell: Shell, nic: str, mac: str, addresses: Sequence[Address]) -> tuple[Claim, ...]:
    """Probe for addresses on the NIC that has ``mac``, and see who claims them, each claim once."""
    tools = tools_of(shell)
    script = next((text for tool, text in _SCRIPTS.items() if tool in tools), None)
    if script is None:
        raise GuestLacks(f"{shell.guest}: an address probe needs python3 or socat, it has {', '.join(tools)}")
    command = script.format(
        nic=nic,
        frames=" ".join(base64.b64encode(probe(mac, address)).decode() for address in addresses),
        rounds=" ".join(map(str, range(PROBES))),
        interval=INTERVAL,
        seconds=(PROBES + 1) * INTERVAL,
    )
    told = shell.run(as_root(command), timeout=60).stdout
    found = (parse_claim(frame, mac) for frame in _frames(told))
    return tuple(dict.fromkeys(claim for claim in found if claim is not None and claim.address in addresses))


def probe(mac: str, address: Address) -> bytes:
    """The frame that asks whether anybody has ``address``, in the name of nobody."""
    own = hardware(mac)
    if isinstance(address, IPv4Address):
        body = _ETHERNET_IPV4 + struct.pack("!H", 1) + own + bytes(4) + bytes(6) + address.packed
        return EVERYBODY + own + ARP + body
    group = _SOLICITED + address.packed[-3:]
    unsigned = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + address.packed
    pseudo = _NOBODY.packed + group + struct.pack("!II", len(unsigned), socket.IPPROTO_ICMPV6)
    message = unsigned[:2] + struct.pack("!H", checksum(pseudo + unsigned)) + unsigned[4:]
    head = struct.pack("!IHBB", 6 << 28, len(message), socket.IPPROTO_ICMPV6, _HOP_LIMIT) + _NOBODY.packed + group
    return b"\x33\x33" + group[-4:] + own + IPV6 + head + message


def parse_claim(frame: bytes, mac: str) -> Claim | None:
    """The claim in a frame of somebody else than ``mac``: an ARP message from the address, or an advertisement."""
    kind, body = frame[12:14], frame[14:]
    if kind == ARP and len(body) >= 28 and body[:6] == _ETHERNET_IPV4:
        sender, address = body[8:14], IPv4Address(body[14:18])
        return None if sender == hardware(mac) else Claim(address, sender.hex(":"))
    advertises = kind == IPV6 and len(body) >= 64 and body[6] == socket.IPPROTO_ICMPV6 and body[40] == _ADVERTISEMENT
    if advertises and frame[6:12] != hardware(mac):
        return Claim(IPv6Address(body[48:64]), frame[6:12].hex(":"))
    return None


def _frames(told: str) -> list[bytes]:
    found = []
    for line in told.splitlines():
        try:
            found.append(bytes.fromhex(line))
        except ValueError:
            continue  # a message of the kernel on the console
    return found
