"""A client pod: traffic measured from a place on the cluster network that the binding under test does not touch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from conformance.kube.cluster import Cluster
from conformance.kube.manifest import POD, Manifest, Ref, dig, is_true
from conformance.kube.outcome import Inconclusive
from conformance.kube.pods import PodProcess, start_in_pod
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_for
from conformance.traffic.agent import SLOWEST, agent_argv, agent_script, answer
from conformance.traffic.results import Gap, Peer, Ping, TcpConnect, TcpEcho, UdpEcho

Protocol = Literal["tcp", "udp"]
CONTAINER = "client"
_LAST_WORDS_SECONDS = 10.0
UDP_SIZES = (1, 64, 512, 1400, 4000)


def client_pod_manifest(
    name: str, namespace: str, image: str, *, node: str = "", labels: Mapping[str, str] | None = None
) -> Manifest:
    """A pod that sleeps and has Python 3; ``node`` pins it. NET_RAW for ping, nothing else."""
    container = {
        "name": CONTAINER,
        "image": image,
        "command": ["python3", "-c", "import signal; signal.signal(15, lambda *_: exit(0)); signal.pause()"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}},
    }
    spec: Manifest = {"containers": [container], "terminationGracePeriodSeconds": 1}
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    meta = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
    return {"apiVersion": POD.api_version, "kind": POD.kind, "metadata": meta, "spec": spec}


class ClientPod:
    """A running pod made from :func:`client_pod_manifest`. Safe to use from several threads."""

    def __init__(self, cluster: Cluster, manifest: Manifest) -> None:
        self.cluster, self.ref = cluster, Ref.of(manifest)
        self.node = str(dig(manifest, "spec", "nodeName", default=""))
        self.addresses = tuple(str(entry["ip"]) for entry in dig(manifest, "status", "podIPs", default=[]))

    @classmethod
    def start(cls, cluster: Cluster, manifest: Manifest, deadline: Deadline) -> ClientPod:
        """Create the pod (recorded in the cluster's ledger) and follow it until it is Ready."""
        ref = Ref.of(cluster.create(manifest))
        ready = wait_for(
            cluster,
            ref,
            f"{ref} is Ready",
            lambda seen: seen is not None and is_true(seen, "Ready"),
            deadline,
            stop_if=lambda seen: seen is None or dig(seen, "status", "phase") in ("Failed", "Succeeded"),
        )
        return cls(cluster, ready or {})

    @property
    def address(self) -> str:
        """The first of ``status.podIPs``."""
        return self.addresses[0]

    def address_of(self, family: Literal[4, 6]) -> str:
        """The pod's address of that family. Raises Inconclusive where it has none."""
        found = next((address for address in self.addresses if (":" in address) == (family == 6)), None)
        if found is None:
            raise Inconclusive(f"{self.ref} has no IPv{family} address: the cluster has none to give")
        return found

    def start_process(self, argv: Sequence[str]) -> PodProcess:
        """A command in the pod, its stdin attached."""
        return start_in_pod(self.cluster, self.ref.namespace, self.ref.name, CONTAINER, argv)

    # -- probes ---------------------------------------------------------------------------------------------------

    def tcp_connect(self, host: str, port: int, *, timeout: float = 5.0, banner: bool = False) -> TcpConnect:
        """Open one TCP connection; with ``banner`` also wait for what the peer says first (SSH does)."""
        found = self._ask(
            {"do": "tcp-connect", "host": host, "port": port, "timeout": timeout, "banner": banner}, timeout
        )
        return TcpConnect(host, port, found["ok"], found["seconds"], found["local"], found["banner"], found["error"])

    def tcp_echo(self, host: str, port: int, *, size: int = 1 << 20, timeout: float = 30.0) -> TcpEcho:
        """Send ``size`` bytes to an echo server and compare what comes back; ``timeout`` bounds each step of it."""
        request = {"do": "tcp-echo", "host": host, "port": port, "timeout": timeout, "size": size}
        found = self._ask(request, timeout + size / SLOWEST)
        return TcpEcho(host, port, found["sent"], found["received"], found["intact"], found["seconds"], found["error"])

    def udp_echo(
        self,
        host: str,
        port: int,
        *,
        flows: int = 8,
        sizes: Sequence[int] = UDP_SIZES,
        attempts: int = 3,
        timeout: float = 1.0,
    ) -> UdpEcho:
        """Exchange datagrams with an echo server: ``flows`` source ports, each payload size once per flow."""
        request = {"do": "udp-echo", "host": host, "port": port, "timeout": timeout, "flows": flows}
        longest = timeout * attempts * flows * len(sizes)
        found = self._ask({**request, "sizes": list(sizes), "attempts": attempts}, longest)
        lost = tuple((int(flow), int(size)) for flow, size in found["lost"])
        sent, received, seconds = found["sent"], found["received"], found["seconds"]
        return UdpEcho(host, port, flows, tuple(sizes), attempts, sent, received, lost, seconds)

    def ping(
        self,
        host: str,
        *,
        count: int = 3,
        size: int = 56,
        interval: float = 0.2,
        timeout: float = 2.0,
        dont_fragment: bool = False,
    ) -> Ping:
        """ICMP echo over IPv4. ``size`` is the payload: an MTU of 1500 takes 1472. ``error`` names the last failure."""
        request = {"do": "ping", "host": host, "count": count, "size": size, "interval": interval, "timeout": timeout}
        found = self._ask({**request, "dont_fragment": dont_fragment}, count * (timeout + interval))
        return Ping(host, found["sent"], found["received"], size, tuple(found["rtts_ms"]), found["error"])

    @contextmanager
    def measure_gap(
        self, protocol: Literal["tcp", "udp", "icmp"], host: str, port: int = 0, *, interval: float = 0.05
    ) -> Iterator[GapProbe]:
        """Probe ``host`` every ``interval`` seconds for as long as the block lasts; then ``probe.result()``.

        ``udp`` and ``tcp`` need an echo server (``tcp`` opens a connection per probe), ``icmp`` takes no port.
        """
        request = {"do": "gap", "protocol": protocol, "host": host, "port": port, "interval": interval, "linger": 2.0}
        with self._running(request) as process:
            probe = GapProbe(process, request, interval)
            yield probe
            probe.result()

    @contextmanager
    def hold(self, host: str, port: int, *, interval: float = 0.2, patience: float = 0.0) -> Iterator[HeldConnection]:
        """A TCP connection to an echo server, kept busy for as long as the block lasts.

        It says something every ``interval`` seconds. With ``patience`` it ends when what it said stays unacknowledged
        for as many seconds, else as the pod's kernel has it (after a quarter of an hour).
        """
        request = {"do": "hold", "host": host, "port": port, "interval": interval, "patience": patience}
        with self.start_process(agent_argv(request)) as process:
            process.write(agent_script())
            opened = answer(process.line(0, 30), process.stderr, request)
            yield HeldConnection(process, request, error="" if opened["open"] else opened["error"])

    @contextmanager
    def serve(self, protocol: Protocol, *, port: int = 0, family: Literal[4, 6] = 4) -> Iterator[PodEcho]:
        """An echo server in the pod for as long as the block lasts; port 0 takes a free one."""
        request = {"do": "serve", "protocol": protocol, "port": port, "family": family, "seconds": 0}
        with self._running(request) as process:
            ready = answer(process.line(0, 30), process.stderr, request)
            yield PodEcho(process, self.address_of(family), int(ready["ready"]))
            # told, not only hung up on: the port is free again when the block is over
            process.write(b"\n")
            process.wait(_LAST_WORDS_SECONDS)

    # -- plumbing -------------------------------------------------------------------------------------------------

    @contextmanager
    def _running(self, request: Mapping[str, object]) -> Iterator[PodProcess]:
        with self.start_process(agent_argv(request)) as process:
            process.write(agent_script())
            answer(process.line(0, 30), process.stderr, request)
            yield process

    def _ask(self, request: Mapping[str, object], seconds: float) -> dict[str, Any]:
        with self.start_process(agent_argv(request)) as process:
            process.write(agent_script())
            return answer(process.line(0, seconds + 30), process.stderr, request)


class GapProbe:
    """A gap measurement under way."""

    def __init__(self, process: PodProcess, request: Mapping[str, object], interval: float) -> None:
        self._process, self._request, self._interval = process, request, interval
        self._result: Gap | None = None

    def result(self) -> Gap:
        """Stop probing (leaving the block does it too) and return what was measured."""
        if self._result is None:
            self._process.write(b"\n")
            found = answer(self._process.line(1, 30), self._process.stderr, self._request)
            self._result = Gap.of(found["sent_at"], found["lost"], self._interval)
        return self._result


class HeldConnection:
    """A TCP connection that is kept busy. ``error`` is why it did not open, else empty."""

    def __init__(self, process: PodProcess, request: Mapping[str, object], error: str) -> None:
        self._process, self._request, self.error = process, request, error

    def answers(self) -> int:
        """How many answers have come so far."""
        return sum("answered" in line for line in self._lines())

    def ended(self) -> str:
        """What ended it (``ECONNRESET``, ``ETIMEDOUT``, ``EOF``); empty while it is open."""
        return "".join(str(line["ended"]) for line in self._lines() if "ended" in line)

    def _lines(self) -> list[dict[str, Any]]:
        # the first line said whether it opened, the last one may be half a line as yet
        lines = self._process.stdout.decode("utf-8", "replace").split("\n")[1:-1]
        return [answer(line, self._process.stderr, self._request) for line in lines]


class PodEcho:
    """An echo server in a pod: where it listens, and who has talked to it."""

    def __init__(self, process: PodProcess, host: str, port: int) -> None:
        self._process, self.host, self.port = process, host, port

    def peers(self) -> tuple[Peer, ...]:
        """The peers so far: for TCP one entry per finished connection, for UDP one per datagram."""
        # the first line said that it listens, the last one may be half a line as yet
        lines = self._process.stdout.decode("utf-8", "replace").split("\n")[1:-1]
        found = (answer(line, b"", {"do": "serve"}) for line in lines)
        return tuple(Peer(entry["peer"], entry["port"], entry["received"]) for entry in found)
