from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from conformance.kube.outcome import Inconclusive
from fixtures.clients import ClientPods, pod_on
from fixtures.secondary import Companion

MESSAGE = b"by the secondary network"


@pytest.mark.xdist_group("secondary")
@pytest.mark.requirement("CONN-015")
def test_secondary_traffic_stays_off_the_pod_network(companion: Companion, client_pods: ClientPods) -> None:
    """What a guest sends out of a secondary NIC with the binding does not come to a pod.

    Preconditions:
    * A running VM with a masquerade primary and a secondary interface of the binding.
    * An echo server in a pod on its node, which the guest reaches by its primary NIC.

    Steps:
    1. Send a UDP datagram to the server out of the secondary NIC: to whoever there claims the pod's address, and to
       everybody on the link.
    2. Exchange datagrams with the server by the primary NIC.

    Expected:
    * The server hears only those of the second step.
    """
    machine = companion.machine
    nic, address = companion.secondary_nic()
    with pod_on(client_pods, machine.view().node, same=True).serve("udp") as server:
        machine.guest.send_out_of(nic, address, (IPv4Address(server.host), server.port), MESSAGE)
        control = machine.guest.client().udp_echo(server.host, server.port, flows=1, sizes=(1,))
        heard = server.peers()
    if not control.ok:
        raise Inconclusive(f"needs a guest that reaches a pod by its primary NIC: {control}")
    leaked = [peer for peer in heard if peer.received == len(MESSAGE)]
    assert not leaked, f"what the guest sent out of its secondary NIC came to a pod, from {leaked[0].host}"
