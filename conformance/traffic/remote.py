"""The agent that runs inside a pod or a guest: standard library only, Python 3.8 or newer, one file.

``python3 ... '{"do": "tcp-echo", ...}'`` prints one JSON object a line; the last one is the result. It is sent over
as text (see :mod:`conformance.traffic.agent`), so it imports nothing of this project.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator


def say(**fields: object) -> None:
    """One JSON object on a line of its own, at once."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def name_of(error: OSError) -> str:
    """``ECONNREFUSED`` rather than a sentence in the C library's language."""
    if isinstance(error, TimeoutError):
        return "ETIMEDOUT"
    return errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)


def payload(size: int, seed: object) -> bytes:
    """``size`` bytes that differ from flow to flow and from place to place, and are cheap to make."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def tcp_connect(host: str, port: int, timeout: float, banner: bool) -> None:
    started = time.monotonic()
    local, first = "", b""
    try:
        with socket.create_connection((host, port), timeout) as sock:
            local = sock.getsockname()[0]
            seconds = time.monotonic() - started
            if banner:
                first = sock.recv(256)
    except OSError as error:
        say(ok=False, seconds=time.monotonic() - started, local=local, banner="", error=name_of(error))
        return
    say(ok=True, seconds=seconds, local=local, banner=first.decode("utf-8", "replace"), error="")


def tcp_echo(host: str, port: int, timeout: float, size: int) -> None:
    started = time.monotonic()
    data = payload(size, "tcp")
    wanted, seen, received, error = hashlib.sha256(data).digest(), hashlib.sha256(), 0, ""
    try:
        with socket.create_connection((host, port), timeout) as sock:
            sender = threading.Thread(target=send_all, args=(sock, data), daemon=True)
            sender.start()
            while received < size:
                piece = sock.recv(65536)
                if not piece:
                    error = "EOF"
                    break
                seen.update(piece)
                received += len(piece)
    except OSError as problem:
        error = name_of(problem)
    intact = received == size and seen.digest() == wanted
    say(sent=size, received=received, intact=intact, seconds=time.monotonic() - started, error=error)


def send_all(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the reading side reports how the connection ended
        sock.sendall(data)


def udp_echo(host: str, port: int, *, timeout: float, flows: int, sizes: list[int], attempts: int) -> None:
    started = time.monotonic()
    family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
    lost: list[list[int]] = []
    sent = 0
    for flow in range(flows):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.connect((host, port))
            for size in sizes:
                sent += 1
                if not any(exchange(sock, payload(size, (flow, size, attempt))) for attempt in range(attempts)):
                    lost.append([flow, size])
    say(sent=sent, received=sent - len(lost), lost=lost, seconds=time.monotonic() - started)


def exchange(sock: socket.socket, data: bytes) -> bool:
    """Send one datagram and wait for exactly it; late answers to an earlier attempt are passed over."""
    try:
        sock.send(data)
        while True:
            if sock.recv(65536) == data:
                return True
    except OSError:
        return False


def serve(protocol: str, port: int, family: int, seconds: float) -> None:
    """Echo until stdin says something or ends, telling who talked to us; ``seconds`` bounds it where stdin is empty."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", port))
    if protocol == "tcp":
        sock.listen(64)
    say(ready=sock.getsockname()[1])
    work = serve_tcp if protocol == "tcp" else serve_udp
    threading.Thread(target=work, args=(sock,), daemon=True).start()
    if seconds:
        time.sleep(seconds)
    else:
        sys.stdin.read(1)


def serve_tcp(sock: socket.socket) -> None:
    while True:
        peer, address = sock.accept()
        threading.Thread(target=echo_back, args=(peer, address), daemon=True).start()


def echo_back(peer: socket.socket, address: tuple[str, int]) -> None:
    count = 0
    with peer:
        try:
            while True:
                data = peer.recv(65536)
                if not data:
                    break
                count += len(data)
                peer.sendall(data)
        except OSError:
            pass  # the peer's end of the story is told by the peer
    say(peer=address[0], port=address[1], received=count)


def serve_udp(sock: socket.socket) -> None:
    while True:
        data, address = sock.recvfrom(65536)
        sock.sendto(data, address)
        say(peer=address[0], port=address[1], received=len(data))


def icmp_socket() -> tuple[socket.socket, bool]:
    """A datagram ICMP socket where ``ping_group_range`` allows it, else a raw one (CAP_NET_RAW)."""
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP), False
    except OSError:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), True


def icmp_packet(ident: int, sequence: int, data: bytes) -> bytes:
    def checksum(packet: bytes) -> int:
        padded = packet + b"\0" * (len(packet) % 2)
        total = sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
        total = (total >> 16) + (total & 0xFFFF)
        return ~(total + (total >> 16)) & 0xFFFF

    bare = struct.pack("!BBHHH", 8, 0, 0, ident, sequence) + data
    return struct.pack("!BBHHH", 8, 0, checksum(bare), ident, sequence) + data


def icmp_sequence(data: bytes, raw: bool, ident: int) -> int | None:
    """The sequence number of an echo reply to us, else None."""
    if raw:
        data = data[(data[0] & 15) * 4 :]
    kind, _, _, seen, sequence = struct.unpack("!BBHHH", data[:8])
    return int(sequence) if kind == 0 and (not raw or seen == ident) else None


def ping(host: str, count: int, size: int, *, interval: float, timeout: float, dont_fragment: bool) -> None:
    rtts: list[float] = []
    error, sent, ident = "", 0, os.getpid() & 0xFFFF
    try:
        sock, raw = icmp_socket()
        # IP_MTU_DISCOVER = IP_PMTUDISC_PROBE: DF set, and the kernel's cached path MTU ignored
        sock.setsockopt(socket.IPPROTO_IP, 10, 3 if dont_fragment else 0)
        sock.connect((host, 0))
    except OSError as problem:
        say(sent=0, received=0, rtts_ms=[], error=name_of(problem))
        return
    for sequence in range(count):
        started = time.monotonic()
        try:
            sent += 1
            sock.send(icmp_packet(ident, sequence, payload(size, sequence)))
            while True:
                left = started + timeout - time.monotonic()
                if left <= 0 or not select.select([sock], [], [], left)[0]:
                    error = error or "ETIMEDOUT"
                    break
                if icmp_sequence(sock.recv(65536), raw, ident) == sequence:
                    rtts.append((time.monotonic() - started) * 1000)
                    break
        except OSError as problem:
            error = name_of(problem)
        time.sleep(max(0.0, started + interval - time.monotonic()))
    say(sent=sent, received=len(rtts), rtts_ms=rtts, error=error)


class UdpProbe:
    """Numbered datagrams to an echo server."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.connect((host, port))

    def send(self, number: int) -> None:
        self.sock.send(struct.pack("!Q", number))

    def answers(self, seconds: float) -> Iterator[int]:
        if select.select([self.sock], [], [], seconds)[0]:
            yield int.from_bytes(self.sock.recv(64)[:8], "big")


class IcmpProbe:
    """Numbered echo requests; the number of a 16-bit sequence is told by the payload."""

    def __init__(self, host: str, _port: int) -> None:
        self.sock, self.raw = icmp_socket()
        self.sock.setblocking(False)
        self.sock.connect((host, 0))
        self.ident = os.getpid() & 0xFFFF

    def send(self, number: int) -> None:
        self.sock.send(icmp_packet(self.ident, number & 0xFFFF, struct.pack("!Q", number)))

    def answers(self, seconds: float) -> Iterator[int]:
        if select.select([self.sock], [], [], seconds)[0]:
            data = self.sock.recv(256)
            if icmp_sequence(data, self.raw, self.ident) is not None:
                yield int.from_bytes(data[-8:], "big")


class TcpProbe:
    """A new connection for each number, answered when an echo server has sent the number back.

    That it opens is no answer: what stands in front of a guest opens one for a guest that is gone.
    """

    def __init__(self, host: str, port: int) -> None:
        self.address = (host, port)
        self.opening: dict[socket.socket, tuple[int, float]] = {}
        self.asked: dict[socket.socket, tuple[int, float]] = {}

    def send(self, number: int) -> None:
        sock = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        self.opening[sock] = (number, time.monotonic())
        sock.connect_ex(self.address)

    def answers(self, seconds: float) -> Iterator[int]:
        readable, writable, _ = select.select(list(self.asked), list(self.opening), [], seconds)
        for sock in writable:
            number, _ = self.asked[sock] = self.opening.pop(sock)
            with contextlib.suppress(OSError):  # refused: reading says so, too
                sock.send(struct.pack("!Q", number))
        for sock in readable:
            number, _ = self.asked.pop(sock)
            data = b""
            with contextlib.suppress(OSError), sock:
                data = sock.recv(64)
            if data == struct.pack("!Q", number):
                yield number
        for waiting in (self.opening, self.asked):
            for sock in [s for s, (_, at) in waiting.items() if time.monotonic() - at > 10]:
                del waiting[sock]
                sock.close()


def hold(host: str, port: int, interval: float, patience: float) -> None:
    """Keep a connection to an echo server busy until stdin says something or ends, or the connection does.

    One line for each answer, and one at the end with the error that ended it ("" where it did not end). ``patience`` is
    how many seconds data may stay unacknowledged (TCP_USER_TIMEOUT), 0 for the kernel's own quarter of an hour.
    """
    over = threading.Event()
    try:
        sock = socket.create_connection((host, port), 10)
        if patience:
            sock.setsockopt(socket.IPPROTO_TCP, 18, int(patience * 1000))
    except OSError as error:
        say(open=False, error=name_of(error))
        return
    say(open=True)
    threading.Thread(target=end_of_stdin, args=(over,), daemon=True).start()
    sock.settimeout(0)
    started, due, ended = time.monotonic(), time.monotonic(), ""
    while not over.is_set() and not ended:
        try:
            if time.monotonic() >= due:
                due += interval
                sock.send(b"held")
            if select.select([sock], [], [], min(0.05, max(0.0, due - time.monotonic())))[0]:
                if sock.recv(65536):
                    say(answered=time.monotonic() - started)
                else:
                    ended = "EOF"
        except OSError as error:
            ended = name_of(error)
    say(ended=ended, seconds=time.monotonic() - started)
    sock.close()


def end_of_stdin(over: threading.Event) -> None:
    sys.stdin.read(1)
    over.set()


def gap(protocol: str, host: str, port: int, interval: float, linger: float) -> None:
    """Probe until stdin says something or ends, wait ``linger`` seconds for late answers, and report every number."""
    kinds: dict[str, Callable[[str, int], UdpProbe | IcmpProbe | TcpProbe]]
    kinds = {"udp": UdpProbe, "icmp": IcmpProbe, "tcp": TcpProbe}
    probe = kinds[protocol](host, port)
    over = threading.Event()
    threading.Thread(target=end_of_stdin, args=(over,), daemon=True).start()
    sent_at: list[float] = []
    answered: set[int] = set()
    started = time.monotonic()
    say(ready=1)
    last: float | None = None
    while last is None or time.monotonic() < last + linger:
        now = time.monotonic()
        if last is None and over.is_set():
            last = now
        due = started + len(sent_at) * interval
        if last is None and now >= due:
            sent_at.append(now - started)
            with contextlib.suppress(OSError):  # a probe that cannot be sent is a lost one
                probe.send(len(sent_at) - 1)
            continue
        pause = max(0.0, min(0.05, due - now)) if last is None else 0.05
        with contextlib.suppress(OSError):  # an ICMP error about an earlier probe
            answered.update(probe.answers(pause))
    say(sent_at=sent_at, lost=[n for n in range(len(sent_at)) if n not in answered])


DO: dict[str, Callable[..., None]] = {
    "tcp-connect": tcp_connect,
    "tcp-echo": tcp_echo,
    "udp-echo": udp_echo,
    "serve": serve,
    "ping": ping,
    "gap": gap,
    "hold": hold,
}

if __name__ == "__main__":
    REQUEST = json.loads(sys.argv[-1])
    DO[REQUEST.pop("do")](**REQUEST)
