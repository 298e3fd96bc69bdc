from __future__ import annotations

import pytest

from conformance.traffic.pod import ClientPod
from fixtures.clients import ClientPods, pod_on
from fixtures.machines import ECHO_PORT, Machine
from fixtures.measure import Measure
from fixtures.reach import wait_reached

UNLISTED = ECHO_PORT + 1
"""A port that no machine lists."""
SIZE = 4096


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("CONN-008")
def test_listed_ports_alone_are_open(machine: Machine, client_pod: ClientPod, measure: Measure) -> None:
    """Of the ports that the guest serves a pod reaches those that the interface lists, from either node.

    Preconditions:
    * A running VM whose guest has its address and whose interface lists port 22, and port 7007 of TCP and of UDP.
    * Servers in its guest on these ports, and on port 7008 of TCP and of UDP.

    Steps:
    1. Talk to each of them from a pod on the VM's node, then from one on another.

    Expected:
    * The listed ones answer, the one below 1024 too.
    * No connection to the port that is not listed opens, and no datagram to it is answered.
    """
    machine.boot_facts()
    address, guest = machine.pod_address(), machine.guest
    measure(wait_reached(machine, client_pod, address, machine.run.timeouts.reachable.start()))
    with guest.serve("tcp", ECHO_PORT), guest.serve("udp", ECHO_PORT):
        stream = client_pod.tcp_echo(address, ECHO_PORT, size=SIZE)
        datagrams = client_pod.udp_echo(address, ECHO_PORT, flows=1, sizes=(64,))
    assert stream.intact, f"TCP to listed port {ECHO_PORT}: {stream.error}"
    assert datagrams.ok, f"UDP to listed port {ECHO_PORT}: no answer"
    with guest.serve("tcp", UNLISTED), guest.serve("udp", UNLISTED):
        opened = client_pod.tcp_connect(address, UNLISTED, timeout=2)
        answered = client_pod.udp_echo(address, UNLISTED, flows=1, sizes=(64,), attempts=2)
    assert not opened.ok, f"TCP to port {UNLISTED}, which is not listed, opens"
    assert not answered.ok, f"UDP to port {UNLISTED}, which is not listed, is answered"


@pytest.mark.xdist_group("restarts")
@pytest.mark.requirement("CONN-008")
def test_all_ports_are_open_without_a_list(restarted: Machine, client_pods: ClientPods, measure: Measure) -> None:
    """Where the interface lists no port, a pod reaches every one that the guest serves.

    Preconditions:
    * A running VM whose guest has its address and whose interface lists no port.
    * Servers in its guest on port 7008 of TCP and of UDP, and SSH.

    Steps:
    1. Talk to each of them from a pod on another node.

    Expected:
    * All of them answer.
    """
    restarted.boot_facts()
    address, pod = restarted.pod_address(), pod_on(client_pods, restarted.view().node, same=False)
    measure(wait_reached(restarted, pod, address, restarted.run.timeouts.reachable.start()))
    with restarted.guest.serve("tcp", UNLISTED), restarted.guest.serve("udp", UNLISTED):
        stream = pod.tcp_echo(address, UNLISTED, size=SIZE)
        datagrams = pod.udp_echo(address, UNLISTED, flows=1, sizes=(64,))
    assert stream.intact, f"TCP to port {UNLISTED}, with no list: {stream.error}"
    assert datagrams.ok, f"UDP to port {UNLISTED}, with no list: no answer"
