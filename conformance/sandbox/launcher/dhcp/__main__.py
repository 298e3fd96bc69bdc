"""Serve one lease until the pod ends: `python3 -m virt_launcher_dhcp LEASE` returns once it listens and goes on."""

import contextlib
import os
import selectors
import socket
import struct
import sys
from pathlib import Path

from . import v4, v6
from .lease import Lease
from .resolver import read_resolv_conf

_V4_PORT, _V6_PORT = 67, 547
_SERVERS_AND_RELAYS = "ff02::1:2"
_BUFFER = 65536


class Server:
    """The sockets of one lease."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._selector = selectors.DefaultSelector()
        text = Path("/etc/resolv.conf").read_text(encoding="utf-8")
        self._resolver = read_resolv_conf(text).with_subdomain(lease.subdomain)
        self._told = v4.options(lease, self._resolver, socket.gethostname()) if lease.address is not None else {}
        self._mac = _hardware_address(lease.interface)

    def listen(self) -> None:
        """Open the sockets. Raises OSError."""
        if self._lease.address is not None:
            self._selector.register(self._open_v4(), selectors.EVENT_READ, self._answer_v4)
        if self._lease.address6 is not None:
            self._selector.register(self._open_v6(), selectors.EVENT_READ, self._answer_v6)

    def serve(self) -> None:
        """Answer for ever."""
        while True:
            for key, _ in self._selector.select():
                # An answer that cannot be sent just now (the link is down, say) is asked for again.
                with contextlib.suppress(OSError):
                    key.data(key.fileobj)

    def _open_v4(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_REUSEADDR, socket.SO_BROADCAST):
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._lease.interface.encode())
        listener.bind(("", _V4_PORT))
        return listener

    def _open_v6(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        index = socket.if_nametoindex(self._lease.interface)
        group = socket.inet_pton(socket.AF_INET6, _SERVERS_AND_RELAYS) + struct.pack("@I", index)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._lease.interface.encode())
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        listener.bind(("::", _V6_PORT))
        return listener

    def _answer_v4(self, listener: socket.socket) -> None:
        packet, (host, port) = listener.recvfrom(_BUFFER)
        message = v4.parse(packet)
        answer = v4.answer(message, self._lease, self._told) if message is not None else None
        if message is not None and answer is not None:
            to = "255.255.255.255" if host == "0.0.0.0" or message.broadcast else host
            listener.sendto(answer, (to, port))

    def _answer_v6(self, listener: socket.socket) -> None:
        packet, peer = listener.recvfrom(_BUFFER)
        assert self._lease.address6 is not None
        answer = v6.answer(packet, self._lease.address6, self._mac, self._resolver.nameservers)
        if answer is not None:
            listener.sendto(answer, peer)


def _hardware_address(interface: str) -> bytes:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as probe:
        probe.bind((interface, 0))
        hardware: bytes = probe.getsockname()[4]
    return hardware


def main(argument: str) -> None:
    server = Server(Lease.from_json(argument))
    server.listen()
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    server.serve()


if __name__ == "__main__":
    main(sys.argv[1])
