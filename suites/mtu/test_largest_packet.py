from __future__ import annotations

import pytest

from fixtures.clients import ClientPods, pod_on
from fixtures.machines import Machine
from fixtures.measure import Measure
from fixtures.reach import pod_mtu

HEADERS = 28
"""Bytes of an IPv4 and an ICMP header."""


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("MTU-002")
@pytest.mark.where("pod")
def test_a_packet_of_mtu_size_passes_and_a_longer_one_does_not(
    machine: Machine, client_pods: ClientPods, measure: Measure
) -> None:
    """A packet of the pod network's MTU that must not be fragmented passes between the guest and a pod on another node,
    a longer one does not.

    Preconditions:
    * A running VM whose guest has its address.
    * A client pod on another node.

    Steps:
    1. Ping the pod from the guest, and the VM from the pod, with packets of exactly the MTU, fragmentation forbidden.
    2. Ping the pod from the guest with a packet that is one byte longer.

    Expected:
    * The first are answered, the last is not.
    """
    machine.boot_facts()
    node = machine.view().node
    mtu = pod_mtu(machine.run.cluster, client_pods[node])
    pod, guest = pod_on(client_pods, node, same=False), machine.guest.client()
    out = guest.ping(pod.address, size=mtu - HEADERS, dont_fragment=True)
    back = pod.ping(machine.pod_address(), size=mtu - HEADERS, dont_fragment=True)
    longer = guest.ping(pod.address, count=1, size=mtu - HEADERS + 1, dont_fragment=True)
    measure(out)
    measure(back)
    assert out.ok, f"{mtu} bytes from the guest are not answered: {out.error}"
    assert back.ok, f"{mtu} bytes to the guest are not answered: {back.error}"
    assert not longer.ok, f"{mtu + 1} bytes from the guest are answered though they must not be fragmented"


@pytest.mark.xdist_group("guest")
@pytest.mark.requirement("MTU-002")
def test_a_packet_of_the_guests_mtu_reaches_another_guest(machine: Machine, peer: Machine, measure: Measure) -> None:
    """A packet of the guest's MTU that must not be fragmented passes between guests on two nodes, a longer does not.

    Preconditions:
    * Two running VMs with the binding, on two nodes, whose guests have their addresses.

    Steps:
    1. Ping one guest from the other with a packet of exactly the MTU of its NIC, then with one that is one byte longer,
       fragmentation forbidden.

    Expected:
    * The first is answered, the other is not.
    """
    mtu, guest = machine.nic(machine.boot_facts()).mtu, machine.guest.client()
    fitting = guest.ping(peer.peer_address(), size=mtu - HEADERS, dont_fragment=True)
    longer = guest.ping(peer.peer_address(), count=1, size=mtu - HEADERS + 1, dont_fragment=True)
    measure(fitting)
    assert fitting.ok, f"{mtu} bytes from the guest are not answered: {fitting.error}"
    assert not longer.ok, f"{mtu + 1} bytes from the guest are answered though they must not be fragmented"
