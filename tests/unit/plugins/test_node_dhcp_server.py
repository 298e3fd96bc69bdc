"""The node DHCP server on a real bridge: a node's network namespace, a pod's, and a client in the pod."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from conformance.guest.conflict import claims
from fixtures.plugins.node_dhcp.opt.node_dhcp import packets
from fixtures.plugins.node_dhcp.opt.node_dhcp.packets import ACK, DISCOVER, OFFER, REQUEST, Datagram, Message
from tests.unit.guest.local_shell import LocalShell
from tests.unit.plugins.namespaces import Namespace, namespace, needs_root

PROGRAM = Path(__file__).parents[3] / "fixtures/plugins/node_dhcp/node-dhcp"
GUEST = bytes.fromhex("020000000002")
ANSWER_SECONDS = 5.0

pytestmark = needs_root


class Client:
    """A guest behind the pod's interface: a MAC of its own, raw frames."""

    def __init__(self, pod: Namespace) -> None:
        self._socket = pod.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        self._socket.bind(("eth0", 3))

    def ask(self, message: Message, seconds: float = ANSWER_SECONDS) -> tuple[Datagram, Message] | None:
        """Broadcast a message; the first answer to it and its frame, or None after ``seconds`` of silence."""
        everywhere, nowhere = packets.EVERYWHERE, packets.NOWHERE
        frame = Datagram(GUEST, packets.BROADCAST_MAC, nowhere, everywhere, 68, 67, message.encode())
        self._socket.send(frame.encode())
        while select.select([self._socket], [], [], seconds)[0]:
            data = self._socket.recv(65535)
            if data[:6] != GUEST:
                continue
            answer = Datagram.decode(data)
            return answer, Message.decode(answer.payload)
        return None

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespace() as made:
        made.run("ip", "link", "add", "cni0", "address", "0a:00:00:00:00:01", "type", "bridge", "forward_delay", "0")
        made.run("ip", "addr", "add", "10.244.1.1/24", "dev", "cni0")
        made.run("ip", "link", "set", "cni0", "up")
        yield made


@pytest.fixture
def pod(node: Namespace) -> Iterator[Namespace]:
    with namespace() as made:
        peer = ["type", "veth", "peer", "name", "eth0", "netns", str(made.pid)]
        node.run("ip", "link", "add", "veth1", "mtu", "1450", *peer)
        node.run("ip", "link", "set", "veth1", "master", "cni0", "up")
        made.run("ip", "link", "set", "eth0", "up")
        yield made


@pytest.fixture
def client(pod: Namespace) -> Iterator[Client]:
    made = Client(pod)
    yield made
    made.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    interfaces = [{"name": "cni0"}, {"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/a"}]
    ips = [{"interface": 2, "address": "10.244.1.5/24", "gateway": "10.244.1.1"}]
    entry = {"containerId": "c1", "cniArgs": [], "result": {"interfaces": interfaces, "ips": ips}}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "cbr0-c1-eth0").write_text(json.dumps(entry))
    return tmp_path


@contextmanager
def serving(node: Namespace, cache: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-u", str(PROGRAM), "--cni-cache", str(cache), "--nameserver", "10.96.0.10", *arguments]
    with subprocess.Popen(node.argv(*argv), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert b"serving" in process.stdout.readline()
            yield process
        finally:
            process.terminate()
            assert process.wait(timeout=10) == 0


def message(kind: int, wanted: str = "") -> Message:
    options = {packets.REQUESTED_ADDRESS: IPv4Address(wanted).packed} if wanted else {}
    return Message(1, 0x1234, GUEST, kind, options)


def test_a_guest_gets_the_address_of_its_pod(node: Namespace, cache: Path, client: Client) -> None:
    with serving(node, cache):
        offered = client.ask(message(DISCOVER))
        acknowledged = client.ask(message(REQUEST, "10.244.1.5"))
    assert offered is not None
    assert acknowledged is not None
    frame, offer = offered
    assert (offer.kind, offer.offered) == (OFFER, IPv4Address("10.244.1.5"))
    assert acknowledged[1].kind == ACK
    assert acknowledged[1].options[packets.INTERFACE_MTU] == (1450).to_bytes(2, "big")
    assert (frame.source, frame.source_mac.hex()) == (IPv4Address("10.244.1.1"), "0a0000000001")


def test_a_renewal_sent_to_the_gateway_is_answered(
    node: Namespace, cache: Path, client: Client, pod: Namespace
) -> None:
    renewal = Message(1, 0x1234, GUEST, REQUEST, current=IPv4Address("10.244.1.5"))
    with serving(node, cache):
        answered = client.ask(renewal)
    assert answered is not None
    assert (answered[0].target, answered[1].kind) == (IPv4Address("10.244.1.5"), ACK)


def test_a_pod_that_cni_does_not_know_is_not_served(node: Namespace, cache: Path, client: Client) -> None:
    (cache / "results" / "cbr0-c1-eth0").unlink()
    with serving(node, cache):
        assert client.ask(message(DISCOVER), seconds=0.5) is None


def test_the_deaf_server_says_nothing(node: Namespace, cache: Path, client: Client) -> None:
    with serving(node, cache, "--fault", "deaf"):
        assert client.ask(message(DISCOVER), seconds=0.5) is None


def test_the_fault_answers_probes_tells_the_guest_that_its_address_is_taken(
    node: Namespace, cache: Path, pod: Namespace
) -> None:
    own = IPv4Address("10.244.1.5")
    mac = pod.run("cat", "/sys/class/net/eth0/address").strip()
    shell = LocalShell(*pod.argv("sh", "-c"))
    with serving(node, cache):
        assert claims(shell, "eth0", mac, [own]) == ()
    with serving(node, cache, "--fault", "answers-probes"):
        assert [claim.address for claim in claims(shell, "eth0", mac, [own])] == [own]
