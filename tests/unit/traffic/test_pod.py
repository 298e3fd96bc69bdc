"""The agent, sent over pods/exec to this machine: probes, servers and the measurement of a gap."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from conformance.kube.cluster import Cluster
from conformance.kube.timeouts import Deadline
from conformance.kube.wait import wait_until
from conformance.traffic.agent import AgentFailed, answer
from conformance.traffic.pod import ClientPod, client_pod_manifest
from conformance.traffic.results import Gap
from tests.unit.kube.apiserver import pod_manifest
from tests.unit.kube.backend import Backend


@pytest.fixture
def pod(cluster: Cluster, backend: Backend) -> ClientPod:
    """A client pod whose commands run here."""
    return ClientPod(cluster, {**pod_manifest("pod"), "status": {"podIPs": [{"ip": "127.0.0.1"}]}})


def test_tcp_probe_tells_banner_address_and_error(pod: ClientPod) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=lambda: listener.accept()[0].sendall(b"SSH-2.0-x\r\n"), daemon=True).start()
        found = pod.tcp_connect("127.0.0.1", listener.getsockname()[1], banner=True)
    assert (found.ok, found.banner, found.local, found.error) == (True, "SSH-2.0-x\r\n", "127.0.0.1", "")
    refused = pod.tcp_connect("127.0.0.1", 9)
    assert (refused.ok, refused.error) == (False, "ECONNREFUSED")


def test_tcp_echo_compares_every_byte(pod: ClientPod) -> None:
    with pod.serve("tcp") as server:
        found = pod.tcp_echo("127.0.0.1", server.port, size=3_000_000)
        assert (found.sent, found.received, found.intact, found.error) == (3_000_000, 3_000_000, True, "")
        peers = wait_until("the server has seen the end", server.peers, Deadline.patience(10), every=0.05)
    assert [(peer.host, peer.received) for peer in peers] == [("127.0.0.1", 3_000_000)]
    assert pod.tcp_echo("127.0.0.1", 9).error == "ECONNREFUSED"


def test_udp_flows_and_sizes_are_counted_one_by_one(pod: ClientPod) -> None:
    with pod.serve("udp") as server:
        found = pod.udp_echo("127.0.0.1", server.port, flows=3, sizes=(1, 1400, 8000))
        assert found.ok
        assert found.sent == 9
        peers = wait_until(
            "nine datagrams", server.peers, Deadline.patience(10), until=lambda seen: len(seen) >= 9, every=0.05
        )
        assert len({peer.port for peer in peers}) == 3
    lost = pod.udp_echo("127.0.0.1", server.port, flows=1, sizes=(1, 2), attempts=1, timeout=0.2)
    assert (lost.ok, lost.lost) == (False, ((0, 1), (0, 2)))


def test_ping(pod: ClientPod) -> None:
    found = pod.ping("127.0.0.1", count=2, interval=0.01)
    assert (found.sent, found.received, len(found.rtts_ms), found.error) == (2, 2, 2, "")
    assert found.measurements()[0].value == 0


@pytest.fixture
def wavering() -> Iterator[tuple[int, threading.Event]]:
    """A UDP echo server that is silent while the event is set."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    silent = threading.Event()

    def serve() -> None:
        while True:
            try:
                data, peer = sock.recvfrom(100)
            except OSError:
                return
            if not silent.is_set():
                sock.sendto(data, peer)

    threading.Thread(target=serve, daemon=True).start()
    yield sock.getsockname()[1], silent
    sock.close()


def test_a_gap_is_measured_to_the_interval(pod: ClientPod, wavering: tuple[int, threading.Event]) -> None:
    port, silent = wavering
    with pod.measure_gap("udp", "127.0.0.1", port, interval=0.02) as probe:
        time.sleep(0.3)
        silent.set()
        time.sleep(0.6)
        silent.clear()
        time.sleep(0.3)
    gap = probe.result()
    assert 0.4 < gap.seconds < 1.2
    assert gap.lost == gap.last_lost - gap.first_lost + 1
    assert not gap.open_ended


def test_no_gap_over_tcp_and_an_endless_one(pod: ClientPod) -> None:
    with pod.serve("tcp") as server, pod.measure_gap("tcp", "127.0.0.1", server.port, interval=0.05) as probe:
        time.sleep(0.4)
    assert (probe.result().seconds, probe.result().lost) == (0.0, 0)
    with pod.measure_gap("tcp", "127.0.0.1", 9, interval=0.05) as probe:
        time.sleep(0.3)
    assert probe.result().open_ended
    assert probe.result().first_lost == 0


def test_the_longest_stretch_counts_not_the_sum() -> None:
    sent_at = [n * 0.1 for n in range(10)]
    gap = Gap.of(sent_at, [1, 4, 5, 6], 0.1)
    assert (gap.first_lost, gap.last_lost, gap.lost, gap.sent) == (4, 6, 4, 10)
    assert gap.seconds == pytest.approx(0.3)


def test_a_place_without_python_is_an_environment_fault() -> None:
    with pytest.raises(AgentFailed, match="python3: not found"):
        answer(None, b"sh: python3: not found", {"do": "ping"})


def test_the_manifest_pins_and_drops_capabilities() -> None:
    spec = client_pod_manifest("c", "ns", "image", node="node-2")["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/hostname": "node-2"}
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW"]}
