"""Traffic from and to the inside of a guest, with whatever the image brings: python3, socat or BusyBox nc."""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, Self

from conformance.guest.root import Background
from conformance.guest.shell import GuestLacks, Shell
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from conformance.traffic.agent import SLOWEST, agent_script, answer
from conformance.traffic.results import Ping, TcpConnect, TcpEcho, UdpEcho

Protocol = Literal["tcp", "udp"]
Tool = Literal["python3", "socat", "nc"]
UDP_SIZES = (1, 512, 1400)

BLOCK = 1_000_000

_AGENT = "/tmp/.kbc-agent.py"


def tools_of(shell: Shell) -> tuple[Tool, ...]:
    """Which of the tools the guest has, the most able first."""
    tools: tuple[Tool, ...] = ("python3", "socat", "nc")
    found = shell.run(f"for t in {' '.join(tools)}; do command -v $t >/dev/null 2>&1 && echo $t; done; true").stdout
    return tuple(tool for tool in tools if tool in found.split())


def tool_of(shell: Shell) -> Tool:
    """The most able tool of the guest. Raises GuestLacks when it has none."""
    found = tools_of(shell)
    if not found:
        raise GuestLacks(f"{shell.guest}: none of python3, socat, nc")
    return found[0]


@cache
def blocks_digest(size: int) -> str:
    """SHA-256, in hex, of ``size`` bytes: the numbers from 1 on, one a line, up to ``BLOCK`` bytes, over and over."""
    block = b"".join(b"%d\n" % number for number in range(1, BLOCK))[:BLOCK]
    digest = hashlib.sha256()
    for start in range(0, size, BLOCK):
        digest.update(block[: size - start])
    return digest.hexdigest()


class GuestEcho:
    """A server inside the guest that sends back what it gets, until :meth:`stop`. As root, so any port will do."""

    def __init__(self, shell: Shell, protocol: Protocol, port: int) -> None:
        self.protocol, self.port = protocol, port
        self._background = Background(shell, _server(shell, protocol, port), root=True)
        try:
            wait_until(
                f"{shell.guest} listens on {protocol} port {port}",
                lambda: _listens(shell, protocol, port),
                Deadline.patience(30),
                saw=lambda _: f"not listening; its stderr: {self._background.errors()!r}",
            )
        except BaseException:
            self._background.stop()
            raise

    def stop(self, shell: Shell | None = None) -> None:
        self._background.stop(shell)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class GuestConnection:
    """A TCP connection from inside the guest to an echo server that is kept busy, a line every half second, until
    :meth:`stop`.
    """

    def __init__(self, shell: Shell, host: str, port: int) -> None:
        dial = {
            "python3": f"python3 -c {shlex.quote(_HOLD_BY_PYTHON)} {host} {port}",
            "socat": f"socat - TCP:{_bracket(host)}:{port},connect-timeout=5",
            "nc": f"nc {host} {port}",
        }[tool_of(shell)]
        # what writes into a pipe may be deaf to its end
        script = f"f=/tmp/.kbc-held-$$; >$f; while [ -e $f ] && sleep 0.5; do echo .; done | {{ {dial}; rm -f $f; }}"
        self._background = Background(shell, script)

    def answers(self) -> int:
        """How many lines have come back so far."""
        return self._background.output().count(".")

    def open(self) -> bool:
        """Whether nothing has ended it: its end is noticed at the second line after it."""
        return self._background.alive()

    def stop(self) -> None:
        self._background.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class GuestClient:
    """Probes sent from inside the guest; results as those of a client pod."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._tool = tool_of(shell)

    def tcp_connect(self, host: str, port: int, *, timeout: float = 5.0) -> TcpConnect:
        """Open one TCP connection. Without python3 ``error`` is only ``failed``; ``seconds`` includes the command."""
        if self._tool == "python3":
            request = {"do": "tcp-connect", "host": host, "port": port, "timeout": timeout, "banner": False}
            found = self._ask(request, timeout)
            return TcpConnect(host, port, found["ok"], found["seconds"], found["local"], "", found["error"])
        wait = max(1, round(timeout))
        command = {
            "socat": f"socat -u /dev/null TCP:{_bracket(host)}:{port},connect-timeout={wait}",
            "nc": f"nc -w {wait} {host} {port} </dev/null >/dev/null",
        }[self._tool]
        result = self._shell.run(command, timeout=timeout + 30)
        return TcpConnect(host, port, result.ok, result.seconds, "", "", "" if result.ok else "failed")

    def tcp_echo(self, host: str, port: int, *, size: int = 1 << 18, timeout: float = 30.0) -> TcpEcho:
        """Send ``size`` bytes to an echo server and compare what comes back."""
        if self._tool == "python3":
            request = {"do": "tcp-echo", "host": host, "port": port, "timeout": timeout, "size": size}
            f = self._ask(request, timeout + size / SLOWEST)
            return TcpEcho(host, port, f["sent"], f["received"], f["intact"], f["seconds"], f["error"])
        wait = max(1, round(timeout))
        dial = {
            "socat": f"socat -T {wait} -t {wait} - TCP:{_bracket(host)}:{port},connect-timeout={wait}",
            "nc": f"nc -w {wait} {host} {port}",
        }[self._tool]
        return self._streamed(dial, host, port, size, timeout)

    def _streamed(self, dial: str, host: str, port: int, size: int, timeout: float) -> TcpEcho:
        """A block of numbers is sent, over and over: cheap in an emulated guest, which keeps no more than the block."""
        # head ends the pipe when everything is back: nc does not shut down its sending side
        script = (
            f"f=/tmp/.kbc-echo-$$; mkfifo $f; seq 1 {BLOCK} | head -c {BLOCK} > $f.block; wc -c < $f > $f.count & "
            f"while cat $f.block; do :; done 2>/dev/null | head -c {size} | {dial} | head -c {size} | tee $f "
            "| sha256sum; wait; cat $f.count; rm -f $f $f.block $f.count"
        )
        started = time.monotonic()
        words = self._shell.run(script, timeout=timeout + size / SLOWEST + 30).stdout.split()
        received = int(words[-1]) if words and words[-1].isdigit() else 0
        error = "" if received else "failed"
        intact = received == size and words[0] == blocks_digest(size)
        return TcpEcho(host, port, size, received, intact, time.monotonic() - started, error)

    def udp_echo(
        self,
        host: str,
        port: int,
        *,
        flows: int = 4,
        sizes: Sequence[int] = UDP_SIZES,
        attempts: int = 3,
        timeout: float = 1.0,
    ) -> UdpEcho:
        """Exchange datagrams with an echo server. Needs python3 or socat in the guest, else GuestLacks."""
        if self._tool == "python3":
            request = {"do": "udp-echo", "host": host, "port": port, "timeout": timeout, "flows": flows}
            longest = timeout * attempts * flows * len(sizes)
            f = self._ask({**request, "sizes": list(sizes), "attempts": attempts}, longest)
            lost = tuple((int(flow), int(size)) for flow, size in f["lost"])
            return UdpEcho(host, port, flows, tuple(sizes), attempts, f["sent"], f["received"], lost, f["seconds"])
        if self._tool != "socat":
            raise GuestLacks(f"{self._shell.guest}: UDP needs python3 or socat, it has only {self._tool}")
        started = time.monotonic()
        found = self._shell.run(
            _UDP_BY_SOCAT.format(
                target=f"{_bracket(host)}:{port}",
                flows=" ".join(map(str, range(flows))),
                sizes=" ".join(map(str, sizes)),
                attempts=" ".join(map(str, range(attempts))),
                wait=max(0.2, timeout),
            ),
            timeout=60 + 2 * timeout * flows * len(sizes) * attempts,
        )
        missed = [line.split()[1:] for line in found.stdout.splitlines() if line.startswith("lost ")]
        lost = tuple((int(flow), int(size)) for flow, size in missed)
        sent, seconds = flows * len(sizes), time.monotonic() - started
        return UdpEcho(host, port, flows, tuple(sizes), attempts, sent, sent - len(lost), lost, seconds)

    def ping(self, host: str, *, count: int = 3, size: int = 56, timeout: int = 2, dont_fragment: bool = False) -> Ping:
        """ICMP echo by the guest's own ``ping``. ``dont_fragment`` needs iputils' ping."""
        options = f"-c {count} -s {size} -W {timeout} {'-M do ' if dont_fragment else ''}"
        result = self._shell.run(f"ping {options}{host}", timeout=count * (timeout + 1) + 30)
        lines = result.stdout.splitlines()
        rtts = tuple(float(line.split("time=")[1].split()[0]) for line in lines if "time=" in line)
        error = "" if rtts else (result.stderr.strip() or "no answer").splitlines()[-1]
        return Ping(host, count, len(rtts), size, rtts, error)

    def ask_nameserver(self, server: str, name: str) -> bool:
        """Whether the name server ``server`` has an address for ``name``, asked over UDP whatever the guest's resolver
        thinks of the name. Raises GuestLacks without a tool to ask.
        """
        where = " ".join(map(shlex.quote, (name, server)))
        script = (
            f"if command -v nslookup >/dev/null 2>&1; then nslookup {where}; "
            f"elif command -v dig >/dev/null 2>&1; then dig +short +tries=2 @{shlex.quote(server)} {shlex.quote(name)} "
            "| grep -q .; "
            f"elif command -v python3 >/dev/null 2>&1; then python3 -c {shlex.quote(_ASK_BY_PYTHON)} {where}; "
            "else exit 127; fi"
        )
        result = self._shell.run(script, timeout=60)
        if result.exit_status == 127:
            raise GuestLacks(f"{self._shell.guest}: neither nslookup, dig nor python3")
        return result.ok

    def _ask(self, request: dict[str, object], seconds: float) -> dict[str, Any]:
        upload_agent(self._shell)
        result = self._shell.run(f"python3 {_AGENT} {shlex.quote(json.dumps(request))}", timeout=seconds + 60)
        lines = result.stdout.splitlines() or [""]
        return answer(lines[-1], result.stderr.encode(), request)


def upload_agent(shell: Shell) -> None:
    """Put the agent script into the guest, once per boot."""
    script = agent_script().decode()
    if not shell.run(f'[ "$(wc -c < {_AGENT} 2>/dev/null)" = {len(script.encode())} ]').ok:
        shell.run(f"cat > {_AGENT} <<'KBC-AGENT'\n{script}KBC-AGENT\n", timeout=120, check=True)


# What comes by stdin goes out, what comes back goes to stdout, until either ends.
_HOLD_BY_PYTHON = """
import os, select, socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
s.settimeout(None)
while True:
    for ready in select.select([s, 0], [], [])[0]:
        data = s.recv(4096) if ready is s else os.read(0, 4096)
        if not data:
            sys.exit()
        os.write(1, data) if ready is s else s.sendall(data)
"""


# A query for the A record of a name, twice; exit status 0 for an answer with a record.
_ASK_BY_PYTHON = """
import socket, struct, sys
name, server = sys.argv[1:]
parts = name.rstrip(".").split(".")
query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"".join(bytes([len(p)]) + p.encode() for p in parts)
query += struct.pack("!B2H", 0, 1, 1)
peer = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
peer.settimeout(5)
peer.connect((server, 53))
for attempt in range(2):
    try:
        peer.send(query)
        answer = peer.recv(4096)
        sys.exit(0 if answer[:2] == query[:2] and not answer[3] & 15 and struct.unpack("!H", answer[6:8])[0] else 1)
    except OSError:
        continue
sys.exit(1)
"""


# One socat per datagram: a flow is a source port, so every datagram is its own flow here.
_UDP_BY_SOCAT = """
f=/tmp/.kbc-udp-$$
for flow in {flows}; do for size in {sizes}; do
  ok=
  for attempt in {attempts}; do
    head -c $size /dev/urandom > $f.sent
    socat -b 65536 -t {wait} - UDP:{target} < $f.sent > $f.back 2>/dev/null
    cmp -s $f.sent $f.back && ok=1 && break
  done
  [ "$ok" ] || echo lost $flow $size
done; done
rm -f $f.sent $f.back
"""


def _server(shell: Shell, protocol: Protocol, port: int) -> str:
    tools = tools_of(shell)
    if "python3" in tools:
        upload_agent(shell)
        request = {"do": "serve", "protocol": protocol, "port": port, "family": 4, "seconds": 86400}
        return f"exec python3 {_AGENT} {shlex.quote(json.dumps(request))}"
    if "socat" in tools:
        kind = "TCP-LISTEN" if protocol == "tcp" else "UDP-RECVFROM"
        size = "" if protocol == "tcp" else "-b 65536 "
        return f"exec socat {size}{kind}:{port},fork,reuseaddr EXEC:cat"
    if "nc" in tools and protocol == "tcp":
        # BusyBox goes on listening with -ll; others take one connection at a time, and refuse some in between
        return f"while :; do nc -ll -p {port} -e cat; done"
    raise GuestLacks(f"{shell.guest}: {protocol} server needs python3 or socat, it has {', '.join(tools) or 'no tool'}")


def _listens(shell: Shell, protocol: Protocol, port: int) -> bool:
    """By the kernel's own table: ports in hex, state 0A (listen) for TCP."""
    state = " 0A " if protocol == "tcp" else " "
    command = f"cat /proc/net/{protocol} /proc/net/{protocol}6 2>/dev/null | grep -qi ':{port:04X} [0-9A-F:]*{state}'"
    return shell.run(command).ok


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host
